"""Wake-ups carry no state: losing every one delays work until the next look, and loses nothing.

NOTIFY takes a global lock at commit on PostgreSQL, so it is sent where idle workers may be needed, never for a hop.
On SQLite a waiting worker sees the file change (PRAGMA data_version) and needs no word.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.graph import LANES

from . import sql
from .sql import Statement, execute


def channel(lane: str) -> str:
    """Return the channel that the lane's idle workers listen on: one each, so that nobody is woken for nothing."""
    return f"igon7_ready_{lane}"


def statements(connection: BaseDatabaseWrapper, lanes: Collection[str] = LANES) -> list[Statement]:
    """Return what tells idle workers, at commit, that something may be claimed or is due earlier than they know."""
    if not lanes or not sql.is_postgres(connection):
        return []
    calls = ", ".join(f"pg_notify('{channel(lane)}', '')" for lane in sorted(lanes))
    return [(f"SELECT {calls}", [])]


def wake(connection: BaseDatabaseWrapper) -> None:
    """Tell idle workers at commit."""
    for text, params in statements(connection):
        execute(connection, text, params)
