"""Writing what changed under the lock: any number of executions in a constant number of statements.

One UPDATE and one INSERT of node runs, one INSERT of events, one UPDATE of executions.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.graph import NodeSpec
from orchestration.engine.view import Key, Row

from . import clock, sql
from .locked import Claimer, Locked, Times, read_uuid
from .sql import Statement, run

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


def write(connection: BaseDatabaseWrapper, items: Sequence[Locked], claimer: Claimer | None = None) -> None:
    """Persist everything that changed; rows marked as claimed go to the claimer, running."""
    old: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for item in items:
        for key in sorted(item.touched):
            row, times = item.view.rows[key], item.times[key]
            data = _state(connection, item, row, times, claimer)
            if times.id is None:
                spec = item.graph.nodes[key.node]
                new.append(_birth(connection, item, key, spec) | data)
            else:
                old.append({"id": times.id, "superseded": False} | data)
        for row, times in item.superseded:
            data = _state(connection, item, row, times, None)
            old.append({"id": times.id, "superseded": True} | data)
    statements = [_events(connection, items), _executions(connection, items)]
    if old:
        statements.insert(0, _update(connection, old))
    if new:
        statements.append(_births(connection, new))
    results = run(connection, [statement for statement in statements if statement is not None])
    if new:
        _note_ids(items, results[-1])


def _note_ids(items: Sequence[Locked], found: Sequence[tuple[Any, ...]]) -> None:
    ids = {(read_uuid(row[1]), Key(row[2], row[3], row[4])): row[0] for row in found}
    for item in items:
        for key, times in item.times.items():
            times.id = times.id or ids.get((item.id, key))


def insert(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> None:
    """Insert the node runs and events of executions that are inserted in this transaction themselves."""
    rows = [
        _birth(connection, item, key, item.graph.nodes[key.node])
        | _state(connection, item, item.view.rows[key], item.times[key], None)
        for item in items
        for key in sorted(item.touched)
    ]
    events = _events(connection, items)
    run(connection, [_births(connection, rows), *([events] if events else [])])


def _state(
    connection: BaseDatabaseWrapper, item: Locked, row: Row, times: Times, claimer: Claimer | None
) -> dict[str, Any]:
    at = lambda moment: clock.write(connection, moment)  # noqa: E731
    data: dict[str, Any] = {
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
        "error": json.dumps(row.error) if row.error is not None else None,
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
        "execution_id": sql.key(connection, item.id),
        "generation": item.view.generation,
        "node": key.node,
        "index": key.index,
        "for_node": key.for_node,
        "queue": item.queue or spec.queue,
        "lane": spec.lane,
        "priority": spec.priority or item.priority,
    }


def _update(connection: BaseDatabaseWrapper, rows: list[dict[str, Any]]) -> Statement:
    return _update_text(connection.vendor), [sql.records(rows)]


@cache
def _update_text(vendor: str) -> str:
    sets = []
    for name, kind in _UPDATE.items():
        new = sql.value(vendor, name, kind)
        if name == "lease_until":
            # Whoever still runs keeps the lease the heartbeat gave; whoever does not has none.
            new = f"CASE WHEN r.status = 'running' THEN COALESCE({new}, n.lease_until) END"
        elif name in _KEEP:
            new = f'COALESCE({new}, n."{name}")'
        if name != "id":
            sets.append(f'"{name}" = {new}')
    return (
        f"UPDATE orchestration_noderun AS n SET {', '.join(sets)}"
        f" FROM {sql.recordset(vendor, _UPDATE)} WHERE n.id = r.id"
    )


def _births(connection: BaseDatabaseWrapper, rows: list[dict[str, Any]]) -> Statement:
    return _births_text(connection.vendor), [sql.records(rows)]


@cache
def _births_text(vendor: str) -> str:
    names = ", ".join(f'"{name}"' for name in _INSERT)
    values = ", ".join(sql.value(vendor, name, kind) for name, kind in _INSERT.items())
    false = "false" if vendor == "postgresql" else "0"
    # WHERE true: else SQLite's parser takes what follows the SELECT for a part of its FROM.
    return (
        f"INSERT INTO orchestration_noderun ({names}, superseded, labels)"
        f" SELECT {values}, {false}, '{{}}' FROM {sql.recordset(vendor, _INSERT)} WHERE true"
        f' RETURNING id, execution_id, node, "index", for_node'
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


def _events(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> Statement | None:
    rows = [
        event
        | {
            "execution_id": sql.key(connection, item.id),
            "at": clock.write(connection, event["at"]),
            "data": json.dumps(event["data"], ensure_ascii=False),
        }
        for item in items
        for event in item.events
    ]
    return (_events_text(connection.vendor), [sql.records(rows)]) if rows else None


@cache
def _events_text(vendor: str) -> str:
    names = ", ".join(f'"{name}"' for name in _EVENT)
    values = ", ".join(sql.value(vendor, name, kind) for name, kind in _EVENT.items())
    return f"INSERT INTO orchestration_executionevent ({names}) SELECT {values} FROM {sql.recordset(vendor, _EVENT)}"


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


def _executions(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> Statement:
    return _executions_text(connection.vendor), [sql.records(_execution(connection, item) for item in items)]


@cache
def _executions_text(vendor: str) -> str:
    sets = ", ".join(
        f'"{name}" = ' + (f"COALESCE({new}, e.cause)" if name == "cause" else new)
        for name, new in ((name, sql.value(vendor, name, kind)) for name, kind in _EXECUTION.items())
        if name != "id"
    )
    return f"UPDATE orchestration_execution AS e SET {sets} FROM {sql.recordset(vendor, _EXECUTION)} WHERE e.id = r.id"


def _execution(connection: BaseDatabaseWrapper, item: Locked) -> dict[str, Any]:
    view = item.view
    return {
        "id": sql.key(connection, item.id),
        "status": view.status.value,
        "generation": view.generation,
        "seq": item.seq,
        "open_nodes": view.open,
        "failures": view.failures,
        "blocked_nodes": view.blocked,
        "output": item.output,
        "error": json.dumps(view.error) if view.error is not None else None,
        "cause": json.dumps(item.cause) if item.cause is not None else None,
        "finished_at": clock.write(connection, item.now) if view.status.is_terminal else None,
        "deadline_at": clock.write(connection, item.timeout_at),
    }
