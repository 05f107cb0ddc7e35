"""How an idle lane waits: on PostgreSQL for a NOTIFY, on SQLite for the file to change; always for a word from its
own process, and never past a time limit."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable

from django.db import connection

from orchestration.store import sql
from orchestration.store.wakeups import channel

LOOK = 0.02  # seconds between two looks at SQLite's data_version


class Waiter:
    """Wait for work. Belongs to one thread (its connection); `wake` may be called from any."""

    def __init__(self, lane: str, stop_fds: Iterable[int] = ()) -> None:
        self._channel = channel(lane)
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._stop_fds = list(stop_fds)
        self._listening: object = None
        self._version: int | None = None

    def wake(self) -> None:
        """End the present wait, or the next one."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"!")

    def prepare(self) -> bool:
        """Begin to notice changes; call before looking for work, so that none is made unseen in between.

        Return whether every change since the last wait has been noticed already.
        """
        connection.ensure_connection()
        if not sql.is_postgres(connection):
            self._version = self._data_version()
            return False
        if self._listening is connection.connection:
            return True
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {self._channel}")
        self._listening = connection.connection
        return False

    def wait(self, seconds: float) -> None:
        """Return when something may have changed, at the latest after so many seconds."""
        if sql.is_postgres(connection):
            with connection.wrap_database_errors:  # lanes know Django's errors, not psycopg's
                self._wait_for_notify(seconds)
        else:
            self._wait_for_change(seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def _wait_for_notify(self, seconds: float) -> None:
        pg = connection.connection
        if any(True for _ in pg.notifies(timeout=0)):
            return
        ready, _, _ = select.select([pg.fileno(), self._read, *self._stop_fds], [], [], seconds)
        if pg.fileno() in ready:
            for _ in pg.notifies(timeout=0):
                pass

    def _wait_for_change(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._read, *self._stop_fds], [], [], min(LOOK, left))
            if ready or self._data_version() != self._version:
                return

    def _data_version(self) -> int:
        # SQLite counts commits of *other* connections here: microseconds, no table is read.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            return int(cursor.fetchone()[0])

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
