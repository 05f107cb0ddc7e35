"""Wake-ups carry no state: losing every one delays work until the next look, and loses nothing.

NOTIFY takes a global lock at commit on PostgreSQL, so it is sent where idle workers may be needed, never for a hop.
On SQLite a waiting worker sees the file change (PRAGMA data_version) and needs no word.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from . import sql
from .sql import Statement, execute

CHANNEL = "igon7_ready"


def statements(connection: BaseDatabaseWrapper) -> list[Statement]:
    """Return what tells idle workers, at commit, that something may be claimed or is due earlier than they know."""
    return [(f"SELECT pg_notify('{CHANNEL}', '')", [])] if sql.is_postgres(connection) else []


def wake(connection: BaseDatabaseWrapper) -> None:
    """Tell idle workers at commit."""
    for text, params in statements(connection):
        execute(connection, text, params)
