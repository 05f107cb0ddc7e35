"""For tests alone: let Django's flush, which empties tables between tests, empty append-only ones too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.operations import BaseDatabaseOperations

from security.append_only import PREFIX


@contextmanager
def flushable() -> Iterator[None]:
    """Make test flushes take the append-only triggers away and put them back, in the flush's transaction.

    Meant for one session-wide fixture. The triggers themselves know no exception, so nothing that the
    product, a setting or a session variable could do opens them by accident.
    """
    flush = BaseDatabaseOperations.execute_sql_flush

    def lifted(operations: Any, sql_list: list[str]) -> None:
        lift, restore = _statements(operations.connection) if sql_list else ([], [])
        flush(operations, [*lift, *sql_list, *restore])

    with mock.patch.object(BaseDatabaseOperations, "execute_sql_flush", lifted):
        yield


def _statements(connection: BaseDatabaseWrapper) -> tuple[list[str], list[str]]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE starts_with(tgname, %s)",
                [PREFIX],
            )
            found = cursor.fetchall()
            return tuple(
                [f'ALTER TABLE {table} {verb} TRIGGER "{name}"' for table, name in found]
                for verb in ("DISABLE", "ENABLE")
            )  # type: ignore[return-value]
        cursor.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, %s) = %s",
            [len(PREFIX), PREFIX],
        )
        found = cursor.fetchall()
    return [f'DROP TRIGGER "{name}"' for name, _ in found], [sql for _, sql in found]
