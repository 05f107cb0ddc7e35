"""Shared state: values under keys. Not an execution's state: no lock of one is taken, and none is waited for.

A change and the journal's entry that says it happened commit together, and only for the claim that is the row's present
one. Locks are taken in this order: state, executions, node runs. A body's change takes its key's row and then, at the
very end, its own node run's. A transactional body holds the rows of the keys that it has changed until it ends, and
settles then. Nobody waits for a key while holding an execution or a node run.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine import state
from orchestration.engine.errors import NotCountable

from . import clock, journal, sql
from .claim import Claim
from .journal import Entry
from .sql import Rows, Statement, execute
from .transaction import transaction

KEPT = 86_400.0  # seconds for which the row of an absent key stays, so that its version counts on
PURGED = 1000  # rows that one round of the purge deletes
EVERY = 60.0  # seconds between two rounds
Run = Callable[[Statement], Rows]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is: in an execution, a workflow, or nowhere in particular, under a key."""

    scope: str
    owner: str
    key: str = ""

    @classmethod
    def of_execution(cls, id: uuid.UUID, key: str = "") -> Place:
        return cls(state.EXECUTION, str(id), key)

    @property
    def execution(self) -> uuid.UUID | None:
        return uuid.UUID(self.owner) if self.scope == state.EXECUTION else None


@dataclass(frozen=True, slots=True)
class Writer:
    """Who changes a value: a person, or the node of an execution."""

    person: str = ""
    execution: uuid.UUID | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one value. `version` is the one that it must have (0: there must be no value), or None."""

    kind: str  # set, incr or delete
    place: Place
    writer: Writer
    value: str = "null"  # JSON text; for incr, what is added
    ttl: float | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A value that is there."""

    value: Any
    version: int


def find(place: Place, using: str = DEFAULT_DB_ALIAS) -> Found | None:
    """Return the value that is there now."""
    connection = connections[using]
    text = f"SELECT {_TEXT[connection.vendor]}, version FROM {_TABLE} s WHERE {_AT} AND {_alive(connection)}"
    found = execute(connection, text, _at(place))
    return Found(json.loads(found[0][0]), found[0][1]) if found else None


def keys(place: Place, after: str, limit: int, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Return the keys that begin with the place's and come after that one, in their order."""
    connection = connections[using]
    text = (
        f"SELECT key FROM {_TABLE} s WHERE scope = %s AND owner = %s AND key >= %s AND key < %s AND key > %s"
        f" AND {_alive(connection)} ORDER BY key LIMIT %s"
    )
    params = [place.scope, place.owner, place.key, place.key + state.PAST, after, limit]
    return [row[0] for row in execute(connection, text, params)]


def change(connection: BaseDatabaseWrapper, asked: Change) -> str:
    """Make a change in the transaction that is open; return what came of it, as JSON text.

    That is the new version of what was set or deleted, null where the version was another or there was nothing to
    delete, and the sum of what was counted. Raises NotCountable.
    """
    return _change(connection, lambda statement: execute(connection, *statement), asked)


class _Refused(Exception):
    """The journal did not take the entry."""


def change_once(claim: Claim, key: str, asked: Change, using: str = DEFAULT_DB_ALIAS) -> Entry | None:
    """Make a change for a body that runs, and keep in its journal what came of it: both, or neither.

    Asked again under the same key, as by who did not hear the answer, it gives what is in the journal. Returns None
    when the claim is ours no longer. Raises NotCountable.
    """
    connection = connections[using]
    # In a transaction of the author's the lock would keep the lease from being renewed until that ends.
    lock = "" if connection.in_atomic_block or not sql.is_postgres(connection) else "FOR SHARE OF n"
    try:
        with transaction(connection) as turn:
            came = _change(connection, lambda statement: turn.run([statement])[0], asked)
            entry = Entry(key, asked.kind, journal.VALUE, came)
            if not turn.run([journal.keeping(connection, claim, entry, lock=lock)])[0]:
                raise _Refused
    except _Refused:
        return journal.of_claim(claim, key, using)
    return entry


def copying(
    connection: BaseDatabaseWrapper, source: uuid.UUID, to: uuid.UUID, nodes: Iterable[str]
) -> Statement:
    """Return what gives an execution the state of another, as far as these nodes, or people, have written it last."""
    condition, names = sql.one_of(connection, "s.by_node", ["", *sorted(nodes)], "text")
    new = "%s::uuid" if sql.is_postgres(connection) else "%s"
    text = (
        f"INSERT INTO {_TABLE} ({_COLUMNS}) SELECT scope, %s, key, {new},"
        " value, version, expires_at, updated_at, person, by_execution, by_node"
        f" FROM {_TABLE} s WHERE s.scope = %s AND s.owner = %s AND {_alive(connection)} AND {condition}"
    )
    return text, [str(to), sql.key(connection, to), state.EXECUTION, str(source), names]


def purge(using: str = DEFAULT_DB_ALIAS) -> None:
    """Delete rows of keys that have been absent for a day."""
    connection = connections[using]
    locking = sql.for_update(connection, skip=True)
    text = (
        f"DELETE FROM {_TABLE} WHERE id IN (SELECT id FROM {_TABLE} WHERE expires_at <= {clock.sql(connection, -KEPT)}"
        f" ORDER BY expires_at LIMIT {PURGED} {locking})"
    )
    execute(connection, text, [])


# --- how -------------------------------------------------------------------------------------------


def _change(connection: BaseDatabaseWrapper, run: Run, asked: Change) -> str:
    rows = run(_STATEMENTS[asked.kind](connection, asked))
    if asked.kind != "incr":
        return str(rows[0][0]) if rows else "null"
    if not rows:
        raise NotCountable(by=asked.value, key=asked.place.key, why=_why_not(connection, run, asked))
    return str(rows[0][1])


def _why_not(connection: BaseDatabaseWrapper, run: Run, asked: Change) -> str:
    text = f"SELECT {_TEXT[connection.vendor]} FROM {_TABLE} s WHERE {_AT}"
    found = json.loads(run((text, _at(asked.place)))[0][0] or "null")
    if isinstance(found, int) and not isinstance(found, bool):
        return f"the sum would be beyond ±{state.MOST}."
    return "its value is not a whole number."


_TABLE = "orchestration_stateentry"
_AT = "s.scope = %s AND s.owner = %s AND s.key = %s"
_TEXT = {"postgresql": "s.value::text", "sqlite": "s.value"}
_COLUMNS = (
    "scope, owner, key, execution_id, value, version, expires_at, updated_at, person, by_execution, by_node"
)
_NEW = ", ".join(f"{name} = excluded.{name}" for name in ("updated_at", "person", "by_execution", "by_node"))


def _at(place: Place) -> list[Any]:
    return [place.scope, place.owner, place.key]


def _alive(connection: BaseDatabaseWrapper) -> str:
    return f"(s.expires_at IS NULL OR s.expires_at > {clock.sql(connection)})"


def _until(connection: BaseDatabaseWrapper, ttl: float | None) -> tuple[str, list[float]]:
    """Return the expression for when the value expires, and its parameters: its text must not vary."""
    if ttl is None:
        return "NULL", []
    if not sql.is_postgres(connection):
        return clock.sql(connection, ttl), []
    return f"{clock.sql(connection)} + %s * interval '1 s'", [ttl]


def _by(connection: BaseDatabaseWrapper, writer: Writer) -> list[Any]:
    by = sql.key(connection, writer.execution) if writer.execution is not None else None
    return [writer.person, by, writer.node]


def _upsert(
    connection: BaseDatabaseWrapper, asked: Change, value: str, expires: str, where: str
) -> Statement:
    """Return what makes the row, or changes the one that is there: to this value, until then, where that holds."""
    until, seconds = _until(connection, asked.ttl)
    place = asked.place
    whose = sql.key(connection, place.execution) if place.execution is not None else None
    text = (
        f"INSERT INTO {_TABLE} AS s ({_COLUMNS}) VALUES"
        f" (%s, %s, %s, %s, %s, 1, {until}, {clock.sql(connection)}, %s, %s, %s)"
        f" ON CONFLICT (scope, owner, key) DO UPDATE SET value = {value}, version = s.version + 1,"
        f" expires_at = {expires}, {_NEW} {where} RETURNING version, {_TEXT[connection.vendor].replace('s.', '')}"
    )
    return text, [*_at(place), whose, asked.value, *seconds, *_by(connection, asked.writer)]


def _set(connection: BaseDatabaseWrapper, asked: Change) -> Statement:
    if asked.version:
        return _replace(connection, asked)
    where = f"WHERE NOT {_alive(connection)}" if asked.version == 0 else ""
    return _upsert(connection, asked, "excluded.value", "excluded.expires_at", where)


def _replace(connection: BaseDatabaseWrapper, asked: Change) -> Statement:
    until, seconds = _until(connection, asked.ttl)
    return _update(connection, asked, f"value = %s, expires_at = {until}", [asked.value, *seconds])


def _delete(connection: BaseDatabaseWrapper, asked: Change) -> Statement:
    return _update(connection, asked, f"value = NULL, expires_at = {clock.sql(connection)}", [])


def _update(connection: BaseDatabaseWrapper, asked: Change, what: str, params: list[Any]) -> Statement:
    text = (
        f"UPDATE {_TABLE} AS s SET {what}, version = s.version + 1, updated_at = {clock.sql(connection)},"
        f" person = %s, by_execution = %s, by_node = %s WHERE {_AT} AND {_alive(connection)}"
    )
    params = [*params, *_by(connection, asked.writer), *_at(asked.place)]
    if asked.version is not None:
        text, params = f"{text} AND s.version = %s", [*params, asked.version]
    return f"{text} RETURNING version", params


def _count(connection: BaseDatabaseWrapper, asked: Change) -> Statement:
    """Return what adds to a whole number, exactly, and to nothing else; where there is none, it begins at 0."""
    alive = _alive(connection)
    if sql.is_postgres(connection):
        whole = "s.value::text ~ '^-?[0-9]{1,16}$'"
        total = "s.value::text::numeric + %s"
        value = f"CASE WHEN {alive} THEN to_json({total}) ELSE excluded.value END"
    else:
        whole, total = "json_type(s.value) = 'integer'", "CAST(s.value AS INTEGER) + %s"
        value = f"CASE WHEN {alive} THEN CAST({total} AS TEXT) ELSE excluded.value END"
    fits = f"CASE WHEN {whole} THEN abs({total}) <= {state.MOST} ELSE false END"
    expires = "excluded.expires_at" if asked.ttl is not None else f"CASE WHEN {alive} THEN s.expires_at END"
    text, params = _upsert(connection, asked, value, expires, f"WHERE NOT {alive} OR {fits}")
    return text, [*params, int(asked.value), int(asked.value)]


_STATEMENTS = {"set": _set, "incr": _count, "delete": _delete}
