"""Writing what may be lost: nobody waits for the disk on account of a cache."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.store import sql


def returning(connection: BaseDatabaseWrapper, columns: str) -> str:
    """Return a RETURNING clause under which PostgreSQL commits this statement without waiting for its log.

    Whatever the server's death takes back is computed again. Inside a transaction of others it is an ordinary clause:
    theirs must not become any lighter by it.
    """
    if not sql.is_postgres(connection) or connection.in_atomic_block:
        return f"RETURNING {columns}"
    return f"RETURNING {columns}, (SELECT set_config('synchronous_commit', 'off', true))"
