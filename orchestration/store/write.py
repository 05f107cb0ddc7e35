"""Writing what changed under the lock: any number of executions in a constant number of statements.

One UPDATE and one INSERT of node runs, one INSERT of events, one UPDATE of executions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.view import Key

from . import owed, sql
from .locked import Claimer, Locked, read_uuid
from .rows import EVENT, EXECUTION, INSERT, UPDATE, changes
from .sql import Rows, Statement, run

# What a settle says nothing of stays as it is.
_KEEP = ("available_at", "worker", "pid", "ready_at", "lease_until")


def write(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> None:
    """Persist everything that changed."""
    note_ids(items, run(connection, statements(connection, items))[-1])
    if any(owed.concerns(item) for item in items):
        owed.soon(connection)


def statements(
    connection: BaseDatabaseWrapper, items: Sequence[Locked], claimer: Claimer | None = None
) -> list[Statement]:
    """Return what persists everything that changed; rows marked as claimed go to the claimer, running.

    The last one's rows are for `note_ids`.
    """
    vendor, found = connection.vendor, changes(items, claimer)
    writing: list[Statement] = []
    if found.old:
        writing.append((_update_text(vendor), [sql.records(connection, found.old)]))
    if found.events:
        writing.append((_events_text(vendor), [sql.records(connection, found.events)]))
    writing.append((_executions_text(vendor), [sql.records(connection, found.executions)]))
    writing += owed.statements(connection, items)
    if found.new:
        writing.append((_births_text(vendor), [sql.records(connection, found.new)]))
    return writing


def guarded(
    connection: BaseDatabaseWrapper, items: Sequence[Locked], claimer: Claimer | None = None
) -> Statement:
    """Return the one statement that persists what changed of each execution whose log is as long as it was known to be.

    Its rows are the ids of the executions that were, and those of the births, for `note_ids`. (PostgreSQL only.)
    """
    found = changes(items, claimer)
    rows = [found.executions, found.old, found.new, found.events]
    params = [] if len(items) == 1 else [[item.id for item in items]]
    return _guarded_text(len(items) == 1), [*params, *(sql.records(connection, each) for each in rows)]


def births(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> list[Statement]:
    """Return what inserts the node runs and events of executions that are inserted in this transaction themselves."""
    vendor, found = connection.vendor, changes(items, None)
    return [
        (_births_text(vendor), [sql.records(connection, found.new)]),
        (_events_text(vendor), [sql.records(connection, found.events)]),
    ]


def note_ids(items: Sequence[Locked], found: Rows) -> None:
    """Take the ids that births were given out of rows of (id, execution, node, index, for_node)."""
    ids = {(read_uuid(row[1]), Key(row[2], row[3], row[4])): row[0] for row in found if row[0] is not None}
    for item in items if ids else ():
        for key in item.touched:
            times = item.times[key]
            times.id = times.id or ids.get((item.id, key))


# --- the texts -------------------------------------------------------------------------------------


@cache
def _update_text(vendor: str, condition: str = "true") -> str:
    new = sql.values(vendor, UPDATE)
    sets = []
    for name in UPDATE:
        value = new[name]
        if name == "lease_until":
            # Whoever still runs keeps the lease the heartbeat gave; whoever does not has none.
            value = f"CASE WHEN {new['status']} = 'running' THEN COALESCE({value}, n.lease_until) END"
        elif name in _KEEP:
            value = f'COALESCE({value}, n."{name}")'
        if name not in ("id", "execution_id"):
            sets.append(f'"{name}" = {value}')
    return (
        f"UPDATE orchestration_noderun AS n SET {', '.join(sets)} FROM {sql.source(vendor)}"
        f" WHERE n.id = {new['id']} AND {sql.few(vendor)} AND {condition}"
    )


@cache
def _births_text(vendor: str, condition: str = "true") -> str:
    names = ", ".join(f'"{name}"' for name in INSERT)
    values = ", ".join(sql.values(vendor, INSERT).values())
    false = "false" if vendor == "postgresql" else "0"
    # Never without WHERE: else SQLite's parser takes what follows the SELECT for a part of its FROM.
    return (
        f"INSERT INTO orchestration_noderun ({names}, superseded, labels)"
        f" SELECT {values}, {false}, '{{}}' FROM {sql.source(vendor)} WHERE {sql.few(vendor)} AND {condition}"
        f' RETURNING id, execution_id, node, "index", for_node'
    )


@cache
def _events_text(vendor: str, condition: str = "true") -> str:
    names = ", ".join(f'"{name}"' for name in EVENT)
    values = ", ".join(sql.values(vendor, EVENT).values())
    return (
        f"INSERT INTO orchestration_executionevent ({names}) SELECT {values} FROM {sql.source(vendor)}"
        f" WHERE {sql.few(vendor)} AND {condition}"
    )


@cache
def _executions_text(vendor: str, condition: str = "true") -> str:
    new = sql.values(vendor, EXECUTION)
    sets = ", ".join(
        f'"{name}" = ' + (f"COALESCE({new[name]}, e.cause)" if name == "cause" else new[name])
        for name in EXECUTION
        if name not in ("id", "known")
    )
    return (
        f"UPDATE orchestration_execution AS e SET {sets} FROM {sql.source(vendor)}"
        f" WHERE e.id = {new['id']} AND {sql.few(vendor)} AND {condition}"
    )


@cache
def _guarded_text(alone: bool) -> str:
    """Return the whole of a settle as one statement.

    `won` takes the lock of each execution whose log has not grown. One is waited for; of several, those that somebody
    else holds are left out, so that no ring of waiting can form.
    """
    pg = "postgresql"
    free = (
        "free AS MATERIALIZED (SELECT id FROM orchestration_execution WHERE id = ANY(%s::uuid[])"
        " ORDER BY id FOR UPDATE SKIP LOCKED), "
    )
    guard = f"e.seq = {sql.values(pg, EXECUTION)['known']}"
    if not alone:
        guard += " AND e.id = ANY(ARRAY(SELECT id FROM free))"

    def won(columns: dict[str, str]) -> str:
        # An array, not a join: the planner believes in one row and would compare each with each.
        return f"{sql.values(pg, columns)['execution_id']} = ANY(ARRAY(SELECT id FROM won))"

    return (
        f"WITH {'' if alone else free}won AS ({_executions_text(pg, guard)} RETURNING e.id), "
        f"changed AS ({_update_text(pg, won(UPDATE))}), "
        f"born AS ({_births_text(pg, won(INSERT))}), "
        f"logged AS ({_events_text(pg, won(EVENT))}) "
        "SELECT NULL::bigint, id, NULL, NULL::integer, NULL FROM won UNION ALL SELECT * FROM born"
    )
