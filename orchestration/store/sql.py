"""The little that differs between PostgreSQL and SQLite, so that each hot statement is one text.

Sets of rows go in as one JSON parameter: `jsonb_array_elements` on PostgreSQL, `json_each` on SQLite.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

Statement = tuple[str, list[Any]]
Rows = list[tuple[Any, ...]]

# One encoder for all: json.dumps makes a new one for each call with settings.
to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

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


def records(columns: dict[str, str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as one JSON parameter: an array of arrays, each with these columns' values in their order."""
    return json.dumps(
        [[row[name] for name in columns] for row in rows], ensure_ascii=False, separators=(",", ":")
    )


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


def idle_limit(connection: BaseDatabaseWrapper) -> str:
    """Return a column that lets the server end this transaction once it has been idle for half a lease.

    Else the locks of a process that is stopped, or whose machine is gone, would hold up everybody who needs them until
    TCP finds out, which takes hours.
    """
    if not is_postgres(connection):
        return "NULL"
    limit = max(100, int(settings.IGON7_LEASE_SECONDS * 500))
    # A query of its own inside the statement: it runs once, however many rows there are.
    return f"(SELECT set_config('idle_in_transaction_session_timeout', '{limit}', true))"


def json_text(connection: BaseDatabaseWrapper, column: str) -> str:
    return f"{column}::text" if is_postgres(connection) else column


def execute(connection: BaseDatabaseWrapper, text: str, params: list[Any]) -> Rows:
    """Run one statement and return its rows."""
    with _cursor(connection) as cursor:
        cursor.execute(text, params)
        return _rows(connection, cursor)


def run(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> list[Rows]:
    """Run statements that do not need each other's rows and return the rows of each.

    On PostgreSQL they travel in one round trip and, outside of a transaction, are one.
    """
    if not is_postgres(connection) or len(statements) == 1:
        return [execute(connection, text, params) for text, params in statements]
    from .pipeline import pipeline

    connection.ensure_connection()
    with connection.wrap_database_errors, pipeline(connection.connection):
        cursors = [_cursor(connection) for _ in statements]
        for cursor, (text, params) in zip(cursors, statements, strict=True):
            cursor.execute(text, params)
    return [_rows(connection, cursor) for cursor in cursors]


def _rows(connection: BaseDatabaseWrapper, cursor: Any) -> Rows:
    # psycopg makes an object for each column where it is asked for its description.
    some = cursor.pgresult.nfields if is_postgres(connection) else cursor.description
    return list(cursor.fetchall()) if some else []


def _cursor(connection: BaseDatabaseWrapper) -> Any:
    """Return a cursor that binds on the server where there is one, so that hot statements stay prepared.

    Django's own cursors bind on the client, which has PostgreSQL parse and plan each text anew.
    """
    if not is_postgres(connection):
        return connection.cursor()
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.ensure_connection()
    cursor = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]
    return connection._prepare_cursor(cursor)  # type: ignore[attr-defined]
