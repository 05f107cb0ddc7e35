"""A full disk: nothing is lost or half written, and work goes on by itself once there is room."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.db import DatabaseError, connection

from tests.cluster import wait_until
from tests.faults.crew import Trial

from . import drill

SPARE = 100  # more files of its log than PostgreSQL keeps ready
# What the clusters' logs say: SQLite's words, PostgreSQL's for data, and what is left of it when it cannot write WAL.
_REFUSED = ("disk is full", "No space left on device", "server closed the connection", "connection to server")


@drill("a full disk below the database, for a second or two", times=20, short=2, needs=("disk",))
def full_disk(trial: Trial) -> None:
    assert trial.crew.disk is not None
    server, before = trial.crew.server, len(trial.crew.cluster.log)

    def is_refused() -> bool:
        return any(words in trial.crew.cluster.log[before:] for words in _REFUSED)

    with trial.fault():
        with _ballast(trial.crew.disk):
            with suppress(DatabaseError):
                _need_room(is_refused)
            wait_until(is_refused, what="writes are refused")
            time.sleep(trial.chance.uniform(0.5, 2))  # the outage
        connection.close()
        if server is not None and not server.is_running():
            server.start()  # whoever supervises it does this: it ends where it cannot write its log


@contextmanager
def _ballast(disk: Path) -> Iterator[None]:
    """Fill the disk to its last byte for the block."""
    path = disk / "ballast"
    try:
        with path.open("wb", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                with suppress(OSError):
                    while True:
                        os.write(file.fileno(), b"\0" * size)
        yield
    finally:
        path.unlink()


def _need_room(is_refused: Callable[[], bool]) -> None:
    """Make the next commits need room: both databases write their logs into files that they already have."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return
        for _ in range(
            SPARE
        ):  # PostgreSQL keeps some for later, and begins each only when something is to be written
            if is_refused():
                return
            cursor.execute("SELECT pg_logical_emit_message(true, 'igon7', 'room'), pg_switch_wal()")
