"""The little that differs between PostgreSQL and SQLite, so that each hot statement is one text.

Sets of rows go in as one JSON parameter: `jsonb_array_elements` on PostgreSQL, `json_each` on SQLite.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import orjson
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from security import masking

Statement = tuple[str, list[Any]]
Rows = list[tuple[Any, ...]]

_PG = {
    "id": "::bigint",
    "int": "::bigint",
    "uuid": "::uuid",
    "bool": "::boolean",
    "time": "::timestamptz",
    "json": "::json",
    "jsonb": "::jsonb",
}


def is_postgres(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql"


def recordset(vendor: str, columns: dict[str, str]) -> str:
    """Return a FROM item called `r` with one parameter: what `records` makes of rows of these columns.

    Column kinds: id int uuid text bool time json jsonb (JSON travels as text, so that numbers keep their digits).
    """
    items = ", ".join(f'{value} AS "{name}"' for name, value in values(vendor, columns).items())
    return f"(SELECT {items} FROM {source(vendor)} WHERE {few(vendor)}) AS r"


def values(vendor: str, columns: dict[str, str]) -> dict[str, str]:
    """Return each column's expression over `source`."""
    if vendor == "postgresql":
        return {name: f"(value->>{n}){_PG.get(kind, '')}" for n, (name, kind) in enumerate(columns.items())}
    return {name: f"json_extract(value, '$[{n}]')" for n, name in enumerate(columns)}


def source(vendor: str) -> str:
    """Return the FROM item for the parameter that `records` makes."""
    return (
        "jsonb_array_elements(%s::jsonb) WITH ORDINALITY r(value, at)"
        if vendor == "postgresql"
        else "json_each(%s) r"
    )


def few(vendor: str) -> str:
    """Return a condition, always true, from which PostgreSQL concludes that `source` has one row.

    Else it expects a hundred, and reads small tables whole to join them: slow, once updates have left dead rows.
    """
    return "r.at BETWEEN 1 AND 1000000" if vendor == "postgresql" else "true"


def records(connection: BaseDatabaseWrapper, rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as one JSON parameter: an array of arrays, each with the columns' values in their order."""
    if is_postgres(connection):
        return to_json([*rows])
    return to_json([[_as_django_keeps_it(value) for value in row] for row in rows])


def _as_django_keeps_it(value: Any) -> Any:
    """Return what stands in an SQLite column for a value for which JSON has a form of its own."""
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return value


def to_json(value: Any) -> str:
    """Return our own data as compact JSON (what authors give goes through the engine's codec)."""
    return orjson.dumps(value).decode()


def key(connection: BaseDatabaseWrapper, id: uuid.UUID) -> str:
    """Return a UUID as its column takes it."""
    return str(id) if is_postgres(connection) else id.hex


def one_of(connection: BaseDatabaseWrapper, column: str, values: Sequence[Any], cast: str) -> tuple[str, Any]:
    """Return a condition "column is one of these" with one parameter, so that its text does not grow."""
    if is_postgres(connection):
        return f"{column} = ANY(%s::{cast}[])", list(values)
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(list(values))


def for_update(connection: BaseDatabaseWrapper, *, skip: bool = False, of: str = "") -> str:
    """Return the locking clause; SQLite's writer holds the whole file already."""
    if not is_postgres(connection):
        return ""
    return "FOR UPDATE" + (f" OF {of}" if of else "") + (" SKIP LOCKED" if skip else "")


def limited(connection: BaseDatabaseWrapper, *, brief: bool = False) -> str:
    """Return what joins a SELECT (as l) that locks, and lets the server end this transaction once it has been idle for
    half a lease; a `brief` one also waits for the lock for a sixth of a lease at most.

    Else the locks of a process that is stopped, or whose machine is gone, would hold up everybody who needs them until
    TCP finds out, which takes hours. Who is stopped while it waits would get the lock in its turn, and keep it for the
    next half.
    """
    if not is_postgres(connection):
        return "(SELECT NULL) AS l"
    limits = {"idle_in_transaction_session_timeout": half_lease()}
    if brief:
        limits["lock_timeout"] = max(100, half_lease() // 3)
    # Joined, they are set before the first row is waited for, and once, however many rows there are.
    calls = (f"set_config('{name}', '{limit}', true) AS {name}" for name, limit in limits.items())
    return f"(SELECT {', '.join(calls)}) AS l"


def half_lease() -> int:
    """Return the milliseconds for which locks are left to who does nothing with them."""
    return max(100, int(settings.IGON7_LEASE_SECONDS * 500))


def json_text(connection: BaseDatabaseWrapper, column: str) -> str:
    return f"{column}::text" if is_postgres(connection) else column


def execute(connection: BaseDatabaseWrapper, text: str, params: list[Any]) -> Rows:
    """Run one statement and return its rows."""
    return run(connection, [(text, params)])[0]


def run(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> list[Rows]:
    """Run statements that do not need each other's rows and return the rows of each.

    On PostgreSQL they travel in one round trip and, outside of a transaction, are one.
    """
    if masking.is_active():  # the last door: whatever a body has put into whatever text
        statements = [(text, [masking.mask_param(param) for param in params]) for text, params in statements]
    if not is_postgres(connection):
        return [_run_here(connection, *statement) for statement in statements]
    from . import wire

    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    if connection.queries_logged or connection.execute_wrappers:
        _tell(connection, statements)
    with connection.wrap_database_errors:
        return wire.ask(connection.connection, statements)


def as_one(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> list[Statement]:
    """Return as one statement, where PostgreSQL allows it, several of which only the last reads rows and none those of
    another: each costs the server a plan to set up, and a result to tell.
    """
    if not is_postgres(connection):
        return list(statements)
    return [
        (
            _joined(tuple(text for text, _ in statements)),
            [each for _, params in statements for each in params],
        )
    ]


@cache
def _joined(texts: tuple[str, ...]) -> str:
    *first, last = texts
    return f"WITH {', '.join(f's{number} AS ({text})' for number, text in enumerate(first))} {last}"


def _run_here(connection: BaseDatabaseWrapper, text: str, params: list[Any]) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(text, params)
        return list(cursor.fetchall()) if cursor.description else []


def _tell(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> None:
    """Let whoever listens to Django's statements know of these, before they are sent."""
    for text, params in statements:
        tell: Callable[..., Any] = lambda *_: None  # noqa: E731
        for wrapper in reversed(connection.execute_wrappers):
            tell = partial(wrapper, tell)
        tell(text, params, False, {"connection": connection, "cursor": None})
        if connection.queries_logged:
            connection.queries_log.append({"sql": text, "time": "0.000"})
