"""The admin: everything of executions to be read, nothing to be changed, because only the store writes them; grants."""

from . import bulk, caching, executions, grants, messages

__all__ = ["bulk", "caching", "executions", "grants", "messages"]
