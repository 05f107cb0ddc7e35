"""What is written of an execution that was decided on, as rows: each table's columns, and their values in that order.

`sql.values` counts columns by their place, so a row has a value for each column of its table's list, in its order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Key, Row

from . import sql
from .locked import Claimer, Locked, Times

Values = list[Any]

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
    "items": "int",
    "born": "int",
    "lease_until": "time",
    "worker": "uuid",
    "pid": "int",
    "alone": "bool",
    "fence": "int",
    "ready_at": "time",
    "started_at": "time",
    "finished_at": "time",
    "expires_at": "time",
    "deadline_at": "time",
    "result": "json",
    "error": "jsonb",
}
UPDATE = {"execution_id": "uuid", "id": "id", "superseded": "bool", **_STATE}
INSERT = {
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
EVENT = {
    "execution_id": "uuid",
    "seq": "int",
    "type": "text",
    "at": "time",
    "node": "text",
    "index": "int",
    "attempt": "int",
    "data": "json",
}
EXECUTION = {
    "id": "uuid",
    "known": "int",  # the length of the log that was decided on; the row has none
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
    "unread_signals": "int",
}


@dataclass(slots=True)
class Changes:
    """The rows to write: of EXECUTION, UPDATE, INSERT and EVENT."""

    executions: list[Values]
    old: list[Values] = field(default_factory=list)
    new: list[Values] = field(default_factory=list)
    events: list[Values] = field(default_factory=list)


def changes(items: Sequence[Locked], claimer: Claimer | None) -> Changes:
    """Return what changed of the executions; rows marked as claimed are the claimer's, running."""
    found = Changes([_execution(item) for item in items])
    for item in items:
        # What is read without the lock is trusted as long as the log has not grown: each change must be told there.
        assert item.events or not item.touched, f"a change of execution {item.id} without an event"
        found.events += [_event(item, event) for event in item.events]
        for key in item.touched:
            times = item.times[key]
            state = _state(item, item.view.rows[key], times, claimer)
            if times.id is None:
                found.new.append(_birth(item, key) + state)
            else:
                found.old.append([item.id, times.id, False, *state])
        for row, times in item.superseded:
            found.old.append([item.id, times.id, True, *_state(item, row, times, None)])
    return found


def _state(item: Locked, row: Row, times: Times, claimer: Claimer | None) -> Values:
    mine = claimer if times.claimed else None
    return [
        row.status,
        row.verdict,
        row.held,
        times.available_at or (item.now if times.id is None else None),
        row.attempt,
        row.losses,
        row.ok,
        row.failed,
        row.skipped,
        row.items,
        row.born,
        item.now + dt.timedelta(seconds=mine.lease) if mine is not None else None,
        mine.worker if mine is not None else None,
        mine.pid if mine is not None else None,
        times.alone,
        times.fence,
        times.ready_at,
        times.started_at,
        times.finished_at,
        _expires_at(row, times),
        times.deadline_at,
        row.result,
        sql.to_json(row.error) if row.error is not None else None,
    ]


def _expires_at(row: Row, times: Times) -> dt.datetime | None:
    if row.status is NodeStatus.RUNNING or row.parked:
        return times.deadline_at
    return times.expires_at if row.status is NodeStatus.READY else None


def _birth(item: Locked, key: Key) -> Values:
    spec = item.graph.nodes[key.node]
    queue, priority = item.queue or spec.queue, spec.priority or item.priority
    return [item.id, item.view.generation, key.node, key.index, key.for_node, queue, spec.lane, priority]


def _event(item: Locked, event: dict[str, Any]) -> Values:
    return [
        item.id,
        event["seq"],
        event["type"],
        event["at"],
        event["node"],
        event["index"],
        event["attempt"],
        sql.to_json(event["data"]),
    ]


def _execution(item: Locked) -> Values:
    view = item.view
    return [
        item.id,
        item.seq - len(item.events),
        view.status,
        view.generation,
        item.seq,
        view.open,
        view.failures,
        view.blocked,
        item.output,
        sql.to_json(view.error) if view.error is not None else None,
        sql.to_json(item.cause) if item.cause is not None else None,
        item.now if view.status.is_terminal else None,
        item.timeout_at,
        item.unread,
    ]
