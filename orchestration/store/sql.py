"""The little that differs between PostgreSQL and SQLite, so that each hot statement is one text.

Sets of rows go in as one JSON parameter: `jsonb_to_recordset` on PostgreSQL, `json_each` on SQLite.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

Statement = tuple[str, list[Any]]

_PG = {
    "id": "bigint",
    "int": "bigint",
    "uuid": "uuid",
    "text": "text",
    "bool": "boolean",
    "time": "timestamptz",
}


def is_postgres(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql"


def recordset(vendor: str, columns: dict[str, str]) -> str:
    """Return a FROM item called `r` with one parameter: a JSON array of arrays' objects, keyed by column.

    Column kinds: id int uuid text bool time json jsonb (JSON travels as text, so that numbers keep their digits).
    """
    if vendor == "postgresql":
        spec = ", ".join(f'"{name}" {_PG.get(kind, "text")}' for name, kind in columns.items())
        return f"jsonb_to_recordset(%s::jsonb) AS r({spec})"
    items = ", ".join(f"json_extract(value, '$.{name}') AS \"{name}\"" for name in columns)
    return f"(SELECT {items} FROM json_each(%s)) AS r"


def value(vendor: str, name: str, kind: str) -> str:
    """Return the expression for a record set's column, cast where PostgreSQL asks for it."""
    return f'r."{name}"::{kind}' if kind in ("json", "jsonb") and vendor == "postgresql" else f'r."{name}"'


def records(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows), ensure_ascii=False, separators=(",", ":"))


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


def execute(connection: BaseDatabaseWrapper, text: str, params: list[Any]) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows."""
    with _cursor(connection) as cursor:
        cursor.execute(text, params)
        return list(cursor.fetchall()) if cursor.description else []


def run(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> list[list[tuple[Any, ...]]]:
    """Run statements that do not need each other's rows; on PostgreSQL they travel in one round trip."""
    if not is_postgres(connection):
        return [execute(connection, text, params) for text, params in statements]
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        cursors = [_cursor(connection) for _ in statements]
        for cursor, (text, params) in zip(cursors, statements, strict=True):
            cursor.execute(text, params)
    return [list(cursor.fetchall()) if cursor.description else [] for cursor in cursors]


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
