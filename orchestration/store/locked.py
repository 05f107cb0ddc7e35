"""Executions under their lock: load what an outcome touches, decide, and note what has to be written.

This is the only way execution state is changed: `Locked` is one execution whose row lock the open transaction has,
and `write.py` persists what its commands did.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.errors import UnknownExecution
from orchestration.engine.graph import Graph
from orchestration.engine.states import NODE_LIVE, ExecutionStatus, NodeStatus
from orchestration.engine.view import (
    Command,
    Doom,
    Emit,
    End,
    Hold,
    Judge,
    Key,
    Move,
    Park,
    Release,
    Requeue,
    Row,
    Start,
    Supersede,
    View,
    apply,
)

from . import clock, sql
from .sql import Rows, Statement, execute
from .versions import graph_of

LIVE = "n.status IN (" + ", ".join(f"'{status.value}'" for status in sorted(NODE_LIVE)) + ")"
GraphOf = Callable[[int], Graph]
_STOPPED = (ExecutionStatus.CANCELLING, ExecutionStatus.COMPENSATING)
CERTAIN = 0.02  # seconds that the database may take to tell the time for it to be counted on from there


@dataclass(slots=True)
class Claimer:
    """Who may take a released child along: the seat, the queues and lane it serves, and its lease in seconds."""

    worker: uuid.UUID
    pid: int
    queues: tuple[str, ...]
    lane: str
    lease: float
    shared: dict[uuid.UUID, float] = field(
        default_factory=dict
    )  # executions that others settle too, until when

    def is_shared(self, id: uuid.UUID, now: float) -> bool:
        """Say whether somebody else was seen to settle the execution a moment ago."""
        if len(self.shared) > 1000:
            self.shared = {id: until for id, until in self.shared.items() if until > now}
        return self.shared.get(id, 0.0) > now


@dataclass(slots=True)
class Times:
    """Columns of a node run that the engine does not know."""

    id: int | None = None
    fence: int = 0
    ready_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    available_at: dt.datetime | None = None
    expires_at: dt.datetime | None = None
    deadline_at: dt.datetime | None = None
    claimed: bool = False
    alone: bool = False
    parked: int = 0


@dataclass(slots=True)
class Locked:
    """One execution under its row lock."""

    id: uuid.UUID
    version_id: int
    graph: Graph
    view: View
    seq: int
    now: dt.datetime
    priority: int = 3
    queue: str = ""
    timeout_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    unread: int = 0  # signals that nobody has consumed
    parent: uuid.UUID | None = None
    children: int = 0  # that it has started
    times: dict[Key, Times] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    superseded: list[tuple[Row, Times]] = field(default_factory=list)
    touched: dict[Key, None] = field(default_factory=dict)  # in order: births get their ids by it
    due: list[Key] = field(default_factory=list)  # rows with a verdict still to be settled
    ready: dict[Key, None] = field(default_factory=dict)  # rows released or requeued here, in order
    output: str | None = None
    cause: dict[str, Any] | None = None
    read_at: float = 0.0  # when `now` was asked for, on this process's monotonic clock
    spent: bool = (
        False  # not good for another decision: decided on and not written (yet), or of an uncertain time
    )

    @property
    def stops(self) -> bool:
        """Say whether what is left of it is still to be cancelled."""
        over = self.view.status in _STOPPED or self.view.status.is_terminal
        return self.view.doomed and not over

    @property
    def unfinished(self) -> bool:
        """Say whether something follows from what was decided that a later transaction has to settle."""
        return bool(self.due) or self.stops

    def note_time(self, asked_at: float) -> None:
        """Note when the database was asked for `now`: what is counted on from there is never early."""
        self.read_at = asked_at
        self.spent = time.monotonic() - asked_at > CERTAIN

    def catch_up(self) -> None:
        """Move `now` on by the time that has passed here since it was asked for."""
        passed = time.monotonic() - self.read_at
        self.now += dt.timedelta(seconds=passed)
        self.read_at += passed

    def forget(self) -> None:
        """Forget what has been written, so that this can be decided on again."""
        self.events, self.superseded, self.ready, self.touched = [], [], {}, {}
        self.output, self.cause = None, None
        # Running rows are claims in hand; pending ones, and maps that wait for their items, change with a line in the
        # log; ready ones anybody may claim.
        kept = {NodeStatus.RUNNING, NodeStatus.PENDING}
        self.view.rows = {
            key: row for key, row in self.view.rows.items() if row.status in kept or row.is_spread
        }
        self.times = {key: times for key, times in self.times.items() if key in self.view.rows}
        for times in self.times.values():
            times.claimed = False

    def run(self, commands: Iterable[Command], at: dt.datetime | None = None) -> None:
        """Apply the commands in order and note what has to be written."""
        for command in commands:
            if isinstance(command, Emit):
                self._emit(command, at or self.now)
                continue
            if isinstance(command, Doom):
                # Should this process die before it has cancelled the rest, the sweep finds it by its deadline.
                self.timeout_at, self.cause = self.now, {"verb": "fail_fast", "by": "system"}
            if isinstance(command, Move) and command.status is ExecutionStatus.COMPENSATING:
                self.timeout_at = None  # what is undone is not cut short
            if isinstance(command, Supersede):
                self.superseded.append((self.view.rows[command.key], self.times.pop(command.key)))
                self.touched.pop(command.key, None)
            apply(self.view, command)
            key = getattr(command, "key", None)
            if key is not None and key in self.view.rows:
                self._note(key, command, at)

    def _emit(self, event: Emit, at: dt.datetime) -> None:
        self.seq += 1
        if event.key is not None and event.type == "node.started":
            at = self.times[event.key].started_at or at
        self.events.append(
            {
                "seq": self.seq,
                "type": event.type,
                "at": at,
                "node": event.key.node if event.key else None,
                "index": event.key.index if event.key and event.key.index >= 0 else None,
                "attempt": event.attempt,
                "data": event.told(),
            }
        )

    def _note(self, key: Key, command: Command, at: dt.datetime | None) -> None:
        times = self.times.get(key)
        if times is None:
            times = self.times[key] = Times()
        self.touched[key] = None
        match command:
            case End():
                times.finished_at = at or self.now
            case Release() | Requeue():
                self._make_ready(key, times, command)
            case Hold():
                self._limit(key, times)
            case Park():
                times.parked += 1
            case Judge(_, verdict) if verdict:
                self.due.append(key)
            case Start():
                times.started_at = times.started_at or at or self.now

    def _make_ready(self, key: Key, times: Times, command: Release | Requeue) -> None:
        again = command if isinstance(command, Requeue) else None
        if again is None or not again.woken:
            times.started_at = None
        times.ready_at = self.now
        if delay := self.view.rows[key].delay:
            times.available_at = self.now + dt.timedelta(seconds=delay)
        elif again is None or not again.keeps_its_place:
            times.available_at = self.now
        self.ready[key] = None
        self._limit(key, times, anew=again is not None and again.anew)

    def _limit(self, key: Key, times: Times, *, anew: bool = False) -> None:
        """Note until when the row may be left unbegun, and by when all its attempts must be over."""
        spec = self.graph.nodes[key.node]
        if spec.deadline is not None and (anew or times.deadline_at is None):
            times.deadline_at = self.now + dt.timedelta(seconds=spec.deadline)
        times.expires_at = times.deadline_at
        if spec.queue_timeout is not None and not self.view.rows[key].held:
            waits_from = max(times.available_at or self.now, self.now)
            until = waits_from + dt.timedelta(seconds=spec.queue_timeout)
            times.expires_at = min(until, times.deadline_at or until)


def elapsed(item: Locked) -> float | None:
    """Return how long the execution has run, in ms."""
    if item.started_at is None:
        return None
    return round((item.now - item.started_at).total_seconds() * 1000, 1)


# --- loading ---------------------------------------------------------------------------------------

_ROW = (
    "id, execution_id, node, index, for_node, status, attempt, losses, started_at, held, verdict, ok, failed, skipped,"
    " fence, ready_at, available_at, finished_at, alone, expires_at, deadline_at, items, born, result, error"
)


def row_columns(connection: BaseDatabaseWrapper) -> str:
    names = [name.strip() for name in _ROW.split(",")]
    columns = [f'n."{name}"' for name in names[:-2]]
    return ", ".join([*columns, sql.json_text(connection, "n.result"), sql.json_text(connection, "n.error")])


def rows_statement(
    connection: BaseDatabaseWrapper,
    where: str,
    params: list[Any],
    *,
    keep: bool = True,
    most: int | None = None,
) -> Statement:
    """Return what reads the present node runs that meet the condition (on n), or the first; with `keep`, nobody may
    claim them.
    """
    locking = sql.for_update(connection, of="n") if keep else ""
    limit, more = ("LIMIT %s", [most]) if most is not None else ("", list[Any]())
    text = (
        f"SELECT {row_columns(connection)} FROM orchestration_noderun n"
        f" WHERE NOT n.superseded AND ({where}) ORDER BY n.id {limit} {locking}"
    )
    return text, [*params, *more]


def read_rows(items: dict[uuid.UUID, Locked], rows: Rows) -> None:
    """Put what `rows_statement` found into its executions' views."""
    for found in rows:
        item = items.get(_uuid(found[1]))
        if item is not None:
            read_row(item, found)


def load_rows(
    connection: BaseDatabaseWrapper, items: dict[uuid.UUID, Locked], where: str, params: list[Any]
) -> None:
    """Read the present node runs that meet the condition (on n) into their executions' views."""
    read_rows(items, execute(connection, *rows_statement(connection, where, params)))


def read_row(item: Locked, found: Sequence[Any]) -> None:
    key = Key(found[2], found[3], found[4])
    if key in item.view.rows:
        return
    item.view.rows[key] = Row(
        key,
        NodeStatus(found[5]),
        attempt=found[6],
        losses=found[7],
        started=found[8] is not None and found[5] == NodeStatus.RUNNING,
        held=bool(found[9]),
        verdict=found[10],
        ok=found[11],
        failed=found[12],
        skipped=found[13],
        items=found[21],
        born=found[22],
        result=found[23],
        error=json.loads(found[24]) if found[24] else None,
    )
    at = lambda value: clock.read(value) if value is not None else None  # noqa: E731
    item.times[key] = Times(
        found[0],
        fence=found[14],
        ready_at=at(found[15]),
        available_at=at(found[16]),
        started_at=at(found[8]),
        finished_at=at(found[17]),
        alone=bool(found[18]),
        expires_at=at(found[19]),
        deadline_at=at(found[20]),
    )
    if found[10]:
        item.due.append(key)


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


read_uuid = _uuid

_EXECUTION_COLUMNS = (
    "e.id, e.version_id, e.status, e.generation, e.seq, e.open_nodes, e.failures, e.blocked_nodes,"
    " {error}, e.priority, e.queue, e.started_at, e.deadline_at, {cause}, {now}, e.unread_signals,"
    " e.parent_id, e.children"
)


def execution_columns(connection: BaseDatabaseWrapper) -> str:
    """Return the columns (of e) that `read_locked` reads."""
    return _EXECUTION_COLUMNS.format(
        error=sql.json_text(connection, "e.error"),
        cause=sql.json_text(connection, "e.cause"),
        now=clock.sql(connection),
    )


def lock_statement(
    connection: BaseDatabaseWrapper, ids: Sequence[uuid.UUID], *, skip: bool = False, brief: bool = False
) -> Statement:
    """Return what locks the executions' rows in key order; with `skip`, those that somebody else holds are left out.

    A transaction waits for at most one lock, and only while it holds none: wait for one id, skip for more. A `brief`
    wait ends with an error when the lock is not to be had.
    """
    condition, param = sql.one_of(connection, "e.id", [sql.key(connection, id) for id in ids], "uuid")
    text = (
        f"SELECT {execution_columns(connection)}, l.*"
        f" FROM {sql.limited(connection, brief=brief)}, orchestration_execution e"
        f" WHERE {condition} ORDER BY e.id {sql.for_update(connection, skip=skip, of='e')}"
    )
    return text, [param]


def lock(
    connection: BaseDatabaseWrapper,
    ids: Sequence[uuid.UUID],
    graph_of: GraphOf,
    *,
    skip: bool = False,
    brief: bool = False,
) -> dict[uuid.UUID, Locked]:
    """Lock the executions' rows (see `lock_statement`) and return them."""
    return read_locked(
        execute(connection, *lock_statement(connection, ids, skip=skip, brief=brief)), graph_of
    )


def lock_one(connection: BaseDatabaseWrapper, id: uuid.UUID) -> Locked:
    """Lock the execution's row and return it. Raises UnknownExecution."""
    items = lock(connection, [id], graph_of)
    if not items:
        raise UnknownExecution(id=id)
    return items[id]


def read_locked(rows: Rows, graph_of: GraphOf) -> dict[uuid.UUID, Locked]:
    """Return the executions of rows of `execution_columns`."""
    found = [read_execution(row, graph_of) for row in rows]
    return {item.id: item for item in found}


def read_execution(row: Sequence[Any], graph_of: GraphOf) -> Locked:
    """Return the execution of one row of `execution_columns`."""
    at = lambda value: clock.read(value) if value is not None else None  # noqa: E731
    cause = json.loads(row[13]) if row[13] else {}
    verb = cause.get("verb")
    view = View(
        ExecutionStatus(row[2]),
        row[3],
        open=row[5],
        failures=row[6],
        blocked=row[7],
        error=json.loads(row[8]) if row[8] else None,
        expired=verb == "timeout",
        doomed=verb in ("timeout", "fail_fast"),
        rollback=verb == "cancel" and bool(cause.get("rollback")),
    )
    return Locked(
        _uuid(row[0]),
        row[1],
        graph_of(row[1]),
        view,
        row[4],
        clock.read(row[14]),
        row[9],
        row[10],
        timeout_at=at(row[12]),
        started_at=at(row[11]),
        unread=row[15],
        parent=_uuid(row[16]) if row[16] is not None else None,
        children=row[17],
    )
