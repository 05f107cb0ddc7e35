"""Processes that were halted in the midst of what they say to PostgreSQL, as by SIGSTOP or with their machine.

The server has run the first of it and waits for the rest. That is no idle transaction (`sql.limited`), and so
nothing else would end it. All who need its locks would wait, among them the sweep, which is to end its leases.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from psycopg.errors import LockNotAvailable

from . import sql

log = logging.getLogger(__name__)

# A COPY waits for its client for as long as that takes.
_HALTED = (
    "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a"
    " WHERE a.datname = current_database() AND a.usename = current_user"
    " AND a.application_name = current_setting('application_name') AND a.pid <> pg_backend_pid()"
    " AND a.state = 'active' AND a.wait_event = 'ClientRead'"
    " AND a.state_change < clock_timestamp() - make_interval(secs => %s::float / 1000)"
    " AND NOT EXISTS (SELECT FROM pg_stat_progress_copy c WHERE c.pid = a.pid)"
)


def end_halted(using: str = DEFAULT_DB_ALIAS) -> int:
    """End the sessions of who has been silent in mid-sentence for half a lease; return how many there were."""
    connection = connections[using]
    if not sql.is_postgres(connection):
        return 0
    return int(sql.execute(connection, _HALTED, [sql.half_lease()])[0][0])


def wait_briefly(using: str = DEFAULT_DB_ALIAS) -> None:
    """Let this connection wait for a lock for a second at most (PostgreSQL): see `unless_locked`."""
    connection = connections[using]
    if sql.is_postgres(connection):
        sql.execute(connection, "SELECT set_config('lock_timeout', '1s', false)", [])


@contextmanager
def unless_locked() -> Iterator[None]:
    """Leave what is in the block to the next round when somebody keeps the lock: others must not wait for that."""
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        log.info("A lock was not to be had; the next round tries again: %s", str(error).strip())
