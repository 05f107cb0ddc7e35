"""The admin: everything to be read, nothing to be changed, because only the store writes executions."""

from . import bulk, caching, executions, messages

__all__ = ["bulk", "caching", "executions", "messages"]
