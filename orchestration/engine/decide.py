"""The heart: what follows from an outcome.

`decide(graph, view, outcome)` returns the Commands that follow, and changes nothing itself. It reads the immutable
graph, the row of the outcome and the counts of its dependents, so a settle costs the node's out-degree. The caller
applies the commands in order (`view.apply`), and calls `wave` until it returns nothing: a node whose join says skip
or fail is settled next, without a worker. `finish` closes an execution that has nothing open left.

Order of the calls is the order of the log. The same input gives the same commands: no clock, no randomness, no
sets are iterated here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .follow import brief, give_up, not_needed, passed, tell_dependents, told
from .graph import Graph
from .items import go_on, is_item, item_ended, spread
from .joins import Verdict
from .line import Places
from .parking import Wait, suspend
from .retry import Asked, delay_after
from .states import NODE_FAILED, NODE_LIVE, NODE_OK, ExecutionStatus, NodeStatus, Outcome
from .view import (
    Birth,
    Block,
    Command,
    Emit,
    End,
    Hold,
    Key,
    Move,
    Requeue,
    Row,
    Start,
    View,
)

ALONE_AFTER = 2  # losses in a row after which a node is claimed alone
MAX_LOST = 3  # times that a lost node is tried again; the next loss is poison
N, E = NodeStatus, ExecutionStatus


@dataclass(frozen=True, slots=True)
class Result:
    """How one attempt ended. `result` is JSON text; `duration` and `queued` are ms; `jitter` is in
    [0, 1)."""

    key: Key
    outcome: Outcome
    result: str | None = None
    error: dict[str, Any] | None = None
    asked: Asked = None
    duration: float | None = None
    queued: float | None = None
    worker: str = ""
    alone: bool = True
    jitter: float = field(default=1.0)
    left: float | None = None  # seconds to the node's deadline
    waits: tuple[Wait, ...] = ()  # what a suspended body waits for
    woken: str = ""  # what of that is there already
    ran: float | None = None  # seconds that the attempt has run in all, where it has a timeout
    more: dict[str, Any] | None = None  # what else its event says
    spread: int = 0  # how many items a map has
    began: dt.datetime | None = None  # when an attempt that has waited began
    whole: float | None = None  # ms from then until now


def begin(graph: Graph, view: View, about: dict[str, Any]) -> list[Command]:
    """Return what starts an execution: its first event and the roots, READY."""
    commands: list[Command] = [Emit("execution.started", data={**about, "nodes": len(graph.nodes)})]
    places = Places(graph)
    for node in graph.roots:
        commands += [Birth(Key(node)), *places.release(Key(node))]
    return commands


def decide(graph: Graph, view: View, result: Result) -> list[Command]:
    """Return what follows from a claimed row's outcome."""
    row = view.row(result.key)
    match result.outcome:
        case Outcome.RELEASED:
            return _hand_back(view, row, result)
        case Outcome.BLOCKED:
            return _block(view, row, result)
        case Outcome.LOST:
            return [*_lost(graph, view, row, result)]
        case Outcome.SUCCEEDED:
            return [*_begun(row, result), *_succeed(graph, view, row, result)]
        case Outcome.SPREAD:
            return [*_begun(row, result), *_spread(graph, view, row, result)]
        case Outcome.SKIPPED:
            return [*_skip(graph, view, row)]
        case Outcome.SUSPENDED:
            return [*_begun(row, result), *suspend(view, row, result.waits, result.woken, result.duration)]
        case Outcome.CANCELLED:
            # Where nobody cancels the execution, whoever stopped the body did it for reasons of its own.
            stopped = _cancel_row(row) if view.status is E.CANCELLING else _hand_back(view, row, result)
            return [*_begun(row, result), *stopped]
        case Outcome.FAILED | Outcome.TIMED_OUT:
            return [*_begun(row, result), *_failed(graph, view, row, result)]
    raise AssertionError(result.outcome)


def _begun(row: Row, result: Result) -> Iterator[Command]:
    """Write `node.started` with the settle, unless the heartbeat already has."""
    if not row.started:
        yield Start(row.key)
        yield Emit("node.started", row.key, row.attempt, {"worker": result.worker})


def _took(result: Result) -> dict[str, float | None]:
    """Return how long the attempt took; of one that has waited, all of it, and apart how long it ran at last."""
    if result.whole is None:
        return {"duration": result.duration}
    return {"duration": result.whole, "ran": result.duration}


def _succeed(graph: Graph, view: View, row: Row, result: Result) -> Iterator[Command]:
    yield End(row.key, N.SUCCEEDED, result=result.result)
    data = {**_took(result), "queued": result.queued, **(result.more or {})}
    yield Emit("node.completed", row.key, row.attempt, data)
    if is_item(graph, row.key):
        yield from item_ended(graph, view, row.key, ok=1)
        return
    yield from not_needed(graph, row.key, "succeeded")
    yield from passed(graph, view, row.key, result.result)


def _spread(graph: Graph, view: View, row: Row, result: Result) -> Iterator[Command]:
    if view.status is E.CANCELLING:
        yield from _cancel_row(row)
        return
    yield from spread(graph, view, row, result.spread, {"duration": result.duration, "queued": result.queued})


def _skip(graph: Graph, view: View, row: Row) -> Iterator[Command]:
    yield End(row.key, N.SKIPPED)
    yield Emit("node.skipped", row.key, data={"reason": "its condition said no"})
    yield from not_needed(graph, row.key, "was skipped")
    yield from tell_dependents(graph, view, row.key, skipped=1)


def _failed(graph: Graph, view: View, row: Row, result: Result) -> Iterator[Command]:
    if view.status is E.CANCELLING:
        # What fails while it is being cancelled was, most likely, torn down by that; it is not tried again.
        yield from _fail(graph, view, row, result.error or {}, result)
        return
    error = result.error or {}
    policy = graph.nodes[row.key.node].retry
    delay = delay_after(policy, row.attempt, error.get("types", ()), result.asked, result.jitter)
    if delay is None or (result.left is not None and delay >= result.left):
        yield from _fail(graph, view, row, error, result)
        return
    assert policy is not None
    yield Requeue(row.key, delay, error=error)
    data = {
        "error": told(error),
        "delay": round(delay * 1000),
        "next": row.attempt + 1,
        "of": policy.max_attempts,
        **_took(result),
        "outcome": result.outcome.value,
    }
    yield Emit("node.retrying", row.key, row.attempt, data)
    if view.status is E.PAUSED:
        yield Hold(row.key, True)


def overdue(graph: Graph, view: View, key: Key, error: dict[str, Any]) -> list[Command]:
    """Return what follows where a row has waited for longer than it may, or its attempts have taken longer."""
    row = view.row(key)
    data = {"error": brief(error), "attempts": row.attempt, "outcome": Outcome.TIMED_OUT.value}
    return [*_give_up(graph, view, row, error, data)]


def _fail(graph: Graph, view: View, row: Row, error: dict[str, Any], result: Result) -> Iterator[Command]:
    data = {
        "error": brief(error),
        **_took(result),
        "attempts": row.attempt,
        "outcome": result.outcome.value,
    }
    yield from _give_up(graph, view, row, error, data)


def _give_up(
    graph: Graph, view: View, row: Row, error: dict[str, Any], data: dict[str, Any]
) -> Iterator[Command]:
    """Let an item have failed, and the map see what that means; let others be rescued, where somebody may."""
    if not is_item(graph, row.key):
        yield from give_up(graph, view, row, error, data)
        return
    yield End(row.key, N.FAILED, error=error)
    yield Emit("node.failed", row.key, row.attempt, data)
    yield from item_ended(graph, view, row.key, failed=1)


def _lost(graph: Graph, view: View, row: Row, result: Result) -> Iterator[Command]:
    """Retry without spending an attempt. A node lost before in company is tried alone, and only a loss suffered
    alone makes it poison: whoever shared a process with the culprit is not condemned with it."""
    losses = row.losses + 1
    yield Emit("node.lost", row.key, row.attempt, {"losses": losses, "worker": result.worker})
    if losses > MAX_LOST and result.alone:
        yield from _fail(graph, view, row, result.error or {}, result)
    elif view.status is E.CANCELLING:
        yield from _cancel_row(row)
    else:
        yield Requeue(row.key, refund=True, loss=losses <= MAX_LOST)
        if view.status is E.PAUSED:
            yield Hold(row.key, True)


def _hand_back(view: View, row: Row, result: Result) -> list[Command]:
    if view.status is E.CANCELLING:
        return [*_cancel_row(row)]
    said = Emit("node.released", row.key, data=result.more or {})
    commands: list[Command] = [Requeue(row.key, result.asked or 0.0, refund=True), said]
    return commands + ([Hold(row.key, True)] if view.status is E.PAUSED else [])


def _block(view: View, row: Row, result: Result) -> list[Command]:
    if view.status is E.CANCELLING:
        return [*_cancel_row(row)]
    error = result.error or {}
    commands: list[Command] = [
        Block(row.key, error),
        Emit("node.blocked", row.key, data={"reason": error.get("message", "")}),
    ]
    if view.status is E.RUNNING:
        commands += [Move(E.BLOCKED), Emit("execution.blocked", data={"reason": error.get("message", "")})]
    return commands


def _cancel_row(row: Row) -> Iterator[Command]:
    yield End(row.key, N.CANCELLED)
    yield Emit("node.cancelled", row.key, row.attempt or None)


def wave(graph: Graph, view: View, key: Key) -> list[Command]:
    """Return what follows for a row whose join said skip or fail, and for those that depend on it."""
    row = view.row(key)
    if not row.verdict:
        return []  # a verb has ended the row since it was judged
    if row.items is not None:
        return go_on(graph, view, row)
    if row.verdict == Verdict.SKIP:
        return [
            End(key, N.SKIPPED),
            Emit("node.skipped", key, data={"reason": "a predecessor was skipped or the join cannot be met"}),
            *not_needed(graph, key, "was skipped"),
            *tell_dependents(graph, view, key, skipped=1),
        ]
    return [
        End(key, N.UPSTREAM_FAILED),
        Emit("node.failed", key, data={"status": N.UPSTREAM_FAILED.value}),
        *not_needed(graph, key, "did not run"),
        *tell_dependents(graph, view, key, failed=1),
    ]


# --- the end ---------------------------------------------------------------------------------------


def finish(view: View, duration: float | None) -> list[Command]:
    """Return what closes the execution, or nothing while something is open. `duration` is ms."""
    if view.status.is_terminal or view.open:
        return []
    data: dict[str, Any] = {"duration": duration}
    rolled_back = view.status is E.COMPENSATING and view.rollback and not view.left_undone
    if not view.doomed and (rolled_back or view.status is E.CANCELLING):
        return [Move(E.CANCELLED), Emit("execution.cancelled", data=data)]
    if view.failures:
        error = view.error or {}
        left = {name: error[name] for name in ("undone", "undone_count") if view.left_undone}
        return [Move(E.FAILED), Emit("execution.failed", data={**data, "error": brief(error), **left})]
    return [Move(E.SUCCEEDED), Emit("execution.completed", data=data)]


def live_rows(view: View) -> list[Row]:
    return [row for row in view.rows.values() if row.status in NODE_LIVE]


def counts_of(rows: list[NodeStatus]) -> dict[str, int]:
    """Return how many ended predecessors are ok, failed and skipped."""
    return {
        "ok": sum(status in NODE_OK for status in rows),
        "failed": sum(status in NODE_FAILED for status in rows),
        "skipped": sum(status is N.SKIPPED for status in rows),
    }
