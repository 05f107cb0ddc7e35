"""Writing what changed under the lock: any number of executions in a constant number of statements.

One UPDATE and one INSERT of node runs, one INSERT of events, one UPDATE of executions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.graph import NodeSpec
from orchestration.engine.view import Key, Row

from . import clock, sql
from .locked import Claimer, Locked, Times, read_uuid
from .sql import Rows, Statement, run

_STATE = {
    "status": "text",
    "verdict": "text",
    "held": "bool",
    "available_at": "time",
    "attempt": "int",
    "losses": "int",
    "ok": "int",
    "failed": "int",
    "skipped": "int",
    "lease_until": "time",
    "worker": "uuid",
    "pid": "int",
    "alone": "bool",
    "fence": "int",
    "ready_at": "time",
    "started_at": "time",
    "finished_at": "time",
    "result": "json",
    "error": "jsonb",
}
_UPDATE = {"id": "id", "superseded": "bool", **_STATE}
_UPDATE_KNOWN = {**_UPDATE, "execution_id": "uuid"}
# What a settle says nothing of stays as it is.
_KEEP = ("available_at", "worker", "pid", "ready_at", "lease_until")
_INSERT = {
    "execution_id": "uuid",
    "generation": "int",
    "node": "text",
    "index": "int",
    "for_node": "text",
    "queue": "text",
    "lane": "text",
    "priority": "int",
    **_STATE,
}


def write(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> None:
    """Persist everything that changed."""
    note_ids(items, run(connection, statements(connection, items))[-1])


def statements(
    connection: BaseDatabaseWrapper, items: Sequence[Locked], claimer: Claimer | None = None
) -> list[Statement]:
    """Return what persists everything that changed; rows marked as claimed go to the claimer, running.

    The last one's rows are for `note_ids`.
    """
    vendor = connection.vendor
    changes = _changes(connection, items, claimer)
    found: list[Statement] = []
    if changes.old:
        found.append((_update_text(vendor), [sql.records(_UPDATE, changes.old)]))
    if changes.events:
        found.append((_events_text(vendor), [sql.records(_EVENT, changes.events)]))
    found.append((_executions_text(vendor), [sql.records(_EXECUTION, changes.executions)]))
    if changes.new:
        found.append((_births_text(vendor), [sql.records(_INSERT, changes.new)]))
    return found


def guarded(
    connection: BaseDatabaseWrapper, items: Sequence[Locked], claimer: Claimer | None = None
) -> Statement:
    """Return the one statement that persists what changed of each execution whose log is as long as it was known to be.

    Its rows are the ids of the executions that were, and those of the births, for `note_ids`. (PostgreSQL only.)
    """
    changes = _changes(connection, items, claimer)
    text = _guarded_text(len(items) == 1)
    executions = sql.records(_EXECUTION_KNOWN, changes.executions)
    params = [] if len(items) == 1 else [[item.id for item in items]]
    old, new = sql.records(_UPDATE_KNOWN, changes.old), sql.records(_INSERT, changes.new)
    return text, [*params, executions, old, new, sql.records(_EVENT, changes.events)]


@dataclass(slots=True)
class _Changes:
    executions: list[dict[str, Any]]
    old: list[dict[str, Any]]
    new: list[dict[str, Any]]
    events: list[dict[str, Any]]


def _changes(connection: BaseDatabaseWrapper, items: Sequence[Locked], claimer: Claimer | None) -> _Changes:
    found = _Changes([_execution(connection, item) for item in items], [], [], _events(connection, items))
    for item in items:
        # What is read without the lock is trusted as long as the log has not grown: each change must be told there.
        assert item.events or not item.touched, f"a change of execution {item.id} without an event"
        for key in sorted(item.touched):
            times = item.times[key]
            data = _state(connection, item, item.view.rows[key], times, claimer)
            if times.id is None:
                found.new.append(_birth(connection, item, key, item.graph.nodes[key.node]) | data)
            else:
                found.old.append({"id": times.id, "superseded": False} | data)
        for row, times in item.superseded:
            found.old.append(
                {"id": times.id, "superseded": True} | _state(connection, item, row, times, None)
            )
    return found


def note_ids(items: Sequence[Locked], found: Rows) -> None:
    """Take the ids that births were given out of rows of (id, execution, node, index, for_node)."""
    ids = {(read_uuid(row[1]), Key(row[2], row[3], row[4])): row[0] for row in found if row[0] is not None}
    for item in items if ids else ():
        for key in item.touched:
            times = item.times[key]
            times.id = times.id or ids.get((item.id, key))


def births(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> list[Statement]:
    """Return what inserts the node runs and events of executions that are inserted in this transaction themselves."""
    changes, vendor = _changes(connection, items, None), connection.vendor
    return [
        (_births_text(vendor), [sql.records(_INSERT, changes.new)]),
        (_events_text(vendor), [sql.records(_EVENT, changes.events)]),
    ]


def _state(
    connection: BaseDatabaseWrapper, item: Locked, row: Row, times: Times, claimer: Claimer | None
) -> dict[str, Any]:
    at = lambda moment: clock.write(connection, moment)  # noqa: E731
    data: dict[str, Any] = {
        "execution_id": sql.key(connection, item.id),
        "status": row.status.value,
        "verdict": row.verdict,
        "held": row.held,
        "available_at": at(times.available_at or (item.now if times.id is None else None)),
        "attempt": row.attempt,
        "losses": row.losses,
        "ok": row.ok,
        "failed": row.failed,
        "skipped": row.skipped,
        "alone": times.alone,
        "fence": times.fence,
        "ready_at": at(times.ready_at),
        "started_at": at(times.started_at),
        "finished_at": at(times.finished_at),
        "result": row.result,
        "error": sql.to_json(row.error) if row.error is not None else None,
        "worker": None,
        "pid": None,
        "lease_until": None,
    }
    if times.claimed and claimer is not None:
        lease = item.now + dt.timedelta(seconds=claimer.lease)
        data |= {"worker": sql.key(connection, claimer.worker), "pid": claimer.pid, "lease_until": at(lease)}
    return data


def _birth(connection: BaseDatabaseWrapper, item: Locked, key: Key, spec: NodeSpec) -> dict[str, Any]:
    return {
        "generation": item.view.generation,
        "node": key.node,
        "index": key.index,
        "for_node": key.for_node,
        "queue": item.queue or spec.queue,
        "lane": spec.lane,
        "priority": spec.priority or item.priority,
    }


@cache
def _update_text(vendor: str, columns: tuple[str, ...] = tuple(_UPDATE), condition: str = "true") -> str:
    new = sql.values(vendor, {name: _UPDATE_KNOWN[name] for name in columns})
    sets = []
    for name in _UPDATE:
        value = new[name]
        if name == "lease_until":
            # Whoever still runs keeps the lease the heartbeat gave; whoever does not has none.
            value = f"CASE WHEN {new['status']} = 'running' THEN COALESCE({value}, n.lease_until) END"
        elif name in _KEEP:
            value = f'COALESCE({value}, n."{name}")'
        if name != "id":
            sets.append(f'"{name}" = {value}')
    return (
        f"UPDATE orchestration_noderun AS n SET {', '.join(sets)} FROM {sql.source(vendor)}"
        f" WHERE n.id = {new['id']} AND {sql.few(vendor)} AND {condition}"
    )


@cache
def _births_text(vendor: str, condition: str = "true") -> str:
    names = ", ".join(f'"{name}"' for name in _INSERT)
    values = ", ".join(sql.values(vendor, _INSERT).values())
    false = "false" if vendor == "postgresql" else "0"
    # Never without WHERE: else SQLite's parser takes what follows the SELECT for a part of its FROM.
    return (
        f"INSERT INTO orchestration_noderun ({names}, superseded, labels)"
        f" SELECT {values}, {false}, '{{}}' FROM {sql.source(vendor)} WHERE {sql.few(vendor)} AND {condition}"
        f' RETURNING id, execution_id, node, "index", for_node'
    )


@cache
def _guarded_text(alone: bool) -> str:
    """Return the whole of a settle as one statement.

    `won` takes the lock of each execution whose log has not grown. One is waited for; of several, those that somebody
    else holds are left out, so that no ring of waiting can form.
    """
    pg = "postgresql"
    # An array, not a join: the planner believes in one row and would compare each with each.
    won = "{} = ANY(ARRAY(SELECT id FROM won))"
    update = _update_text(pg, tuple(_UPDATE_KNOWN), won.format(sql.values(pg, _UPDATE_KNOWN)["execution_id"]))
    free = (
        "free AS MATERIALIZED (SELECT id FROM orchestration_execution WHERE id = ANY(%s::uuid[])"
        " ORDER BY id FOR UPDATE SKIP LOCKED), "
    )
    known = sql.values(pg, _EXECUTION_KNOWN)
    guard = f"e.seq = {known['known']}" + ("" if alone else " AND e.id = ANY(ARRAY(SELECT id FROM free))")
    return (
        f"WITH {'' if alone else free}won AS ({_executions_text(pg, tuple(_EXECUTION_KNOWN), guard)} RETURNING e.id), "
        f"changed AS ({update}), "
        f"born AS ({_births_text(pg, won.format(sql.values(pg, _INSERT)['execution_id']))}), "
        f"logged AS ({_events_text(pg, won.format(sql.values(pg, _EVENT)['execution_id']))}) "
        "SELECT NULL::bigint, id, NULL, NULL::integer, NULL FROM won UNION ALL SELECT * FROM born"
    )


_EVENT = {
    "execution_id": "uuid",
    "seq": "int",
    "type": "text",
    "at": "time",
    "node": "text",
    "index": "int",
    "attempt": "int",
    "data": "json",
}


def _events(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> list[dict[str, Any]]:
    return [
        event
        | {
            "execution_id": sql.key(connection, item.id),
            "at": clock.write(connection, event["at"]),
            "data": sql.to_json(event["data"]),
        }
        for item in items
        for event in item.events
    ]


@cache
def _events_text(vendor: str, condition: str = "true") -> str:
    names = ", ".join(f'"{name}"' for name in _EVENT)
    values = ", ".join(sql.values(vendor, _EVENT).values())
    return (
        f"INSERT INTO orchestration_executionevent ({names}) SELECT {values} FROM {sql.source(vendor)}"
        f" WHERE {sql.few(vendor)} AND {condition}"
    )


_EXECUTION = {
    "id": "uuid",
    "status": "text",
    "generation": "int",
    "seq": "int",
    "open_nodes": "int",
    "failures": "int",
    "blocked_nodes": "int",
    "output": "json",
    "error": "jsonb",
    "cause": "jsonb",
    "finished_at": "time",
    "deadline_at": "time",
}
_EXECUTION_KNOWN = {**_EXECUTION, "known": "int"}


@cache
def _executions_text(
    vendor: str, columns: tuple[str, ...] = tuple(_EXECUTION), condition: str = "true"
) -> str:
    new = sql.values(vendor, {name: _EXECUTION_KNOWN[name] for name in columns})
    sets = ", ".join(
        f'"{name}" = ' + (f"COALESCE({new[name]}, e.cause)" if name == "cause" else new[name])
        for name in _EXECUTION
        if name != "id"
    )
    return (
        f"UPDATE orchestration_execution AS e SET {sets} FROM {sql.source(vendor)}"
        f" WHERE e.id = {new['id']} AND {sql.few(vendor)} AND {condition}"
    )


def _execution(connection: BaseDatabaseWrapper, item: Locked) -> dict[str, Any]:
    view = item.view
    return {
        "id": sql.key(connection, item.id),
        "status": view.status.value,
        "generation": view.generation,
        "seq": item.seq,
        "known": item.seq - len(item.events),
        "open_nodes": view.open,
        "failures": view.failures,
        "blocked_nodes": view.blocked,
        "output": item.output,
        "error": sql.to_json(view.error) if view.error is not None else None,
        "cause": sql.to_json(item.cause) if item.cause is not None else None,
        "finished_at": clock.write(connection, item.now) if view.status.is_terminal else None,
        "deadline_at": clock.write(connection, item.timeout_at),
    }
