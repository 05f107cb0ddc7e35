"""The one clock: the database's. Due times are compared where they are kept, so a worker whose own clock is off
neither wakes nor expires anything early. Tests move it with `ahead`."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.signals import connection_created

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

COUNTED = 1.0  # seconds for which a time that was told is counted on

_offset = 0.0
_told: WeakKeyDictionary[Any, tuple[dt.datetime, float]] = (
    WeakKeyDictionary()
)  # by session: (time, when, monotonic)


@contextmanager
def ahead(seconds: float) -> Iterator[None]:
    """Put this process's view of the database's clock ahead by so many seconds (for tests)."""
    global _offset
    before = _offset
    _offset += seconds
    try:
        yield
    finally:
        _offset = before  # not what is left of a subtraction


def _ahead() -> dt.timedelta:
    return dt.timedelta(seconds=_offset)


def sql(connection: BaseDatabaseWrapper, seconds: float = 0.0) -> str:
    """Return the SQL expression for the moment `seconds` from now."""
    delta = float(seconds) + _offset
    if connection.vendor != "postgresql":
        return f"igon7_now({delta!r})"
    return f"(clock_timestamp() + interval '{delta!r} s')" if delta else "clock_timestamp()"


def now(using: str = DEFAULT_DB_ALIAS) -> dt.datetime:
    """Return the database's time, aware, in UTC."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql(connection)}")
        return read(cursor.fetchone()[0])


def counted(connection: BaseDatabaseWrapper) -> dt.datetime:
    """Return the database's time, which it told a second ago at most and is counted on from there: never ahead of it.

    For who sends everything in one round trip. The steps of a clock that is set show a second late here.
    """
    if connection.vendor != "postgresql":
        return now(connection.alias)  # asks this process
    connection.ensure_connection()
    told = _told.get(connection.connection)
    if told is None or time.monotonic() - told[1] > COUNTED:
        told = _told[connection.connection] = (now(connection.alias) - _ahead(), time.monotonic())
    return told[0] + _ahead() + dt.timedelta(seconds=time.monotonic() - told[1])


def read(value: Any) -> dt.datetime:
    """Return what a raw query gave for a timestamp as an aware datetime in UTC."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    return dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)


def _sqlite_now(delta: float) -> str:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=delta)
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def _teach_sqlite(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("igon7_now", 1, _sqlite_now)


connection_created.connect(_teach_sqlite, dispatch_uid="igon7-clock")
