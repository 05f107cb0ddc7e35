"""A node's history, folded from its events: what it did from when to when, attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from orchestration.engine.follow import tail

Event = dict[str, Any]
Key = tuple[str, int | None, str | None]  # node, item, whom it serves

QUEUED, RUNNING, RETRYING, WAITING, ATTENTION, BLOCKED = (
    "ready",
    "running",
    "retrying",
    "waiting",
    "attention",
    "blocked",
)
_OPENS = {
    "node.ready": QUEUED,
    "node.released": QUEUED,
    "node.lost": QUEUED,
    "node.started": RUNNING,
    "node.retrying": RETRYING,
    "node.waiting": WAITING,
    "node.attention": ATTENTION,
    "node.blocked": BLOCKED,
}
_OUTCOMES = {
    "node.completed": "succeeded",
    "node.recovered": "recovered",
    "node.failed": "failed",
    "node.attention": "failed",
    "node.retrying": "failed",
    "node.lost": "lost",
    "node.waiting": "waiting",
    "node.cancelled": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a node's life; `end` is None while it lasts, `outcome` is set on attempts that ended.

    `due` is when a delay ends, `by` whom a node waits for, `earlier` says that the node was reset since, `ended_row`
    that the node had then failed for good.
    """

    kind: str
    start: datetime
    end: datetime | None = None
    attempt: int = 0
    outcome: str = ""
    worker: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    delay_ms: float | None = None
    due: datetime | None = None
    by: str = ""
    earlier: bool = False
    ended_row: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: how long it was ready before (seconds), and what is kept of its error's traceback."""

    span: Span
    queued: float | None
    traceback: str = ""


def spans(events: Iterable[Event]) -> dict[Key, list[Span]]:
    """Return every node's spans in order. The events are those of one execution's nodes, by number."""
    found: dict[Key, list[Span]] = {}
    for event in events:
        own = found.setdefault(key_of(event), [])
        at = datetime.fromisoformat(event["at"])
        if event["type"] == "node.reset":
            own[:] = [replace(span, earlier=True, end=span.end or at) for span in own]
            continue
        if own and own[-1].end is None:
            own[-1] = _closed(own[-1], event, at)
            if len(own) > 1 and (before := own[-2]).end and before.start <= own[-1].start < before.end:
                own[-2] = replace(before, end=own[-1].start)
        if kind := _OPENS.get(event["type"]):
            own.append(_opened(kind, event, at))
    return found


def key_of(event: Event) -> Key:
    """Return which row of which node an event is about."""
    return event["node"], event["index"], event["data"].get("for") or None


def attempts(of_node: Sequence[Span], failures: Sequence[dict[str, Any]] = ()) -> list[Attempt]:
    """Return the attempts among a node's spans; `failures` are the errors that its rows have kept, in order.

    An attempt that did not end its row has its traceback in its event; one that did, in its row.
    """
    kept = iter(failures)
    found: list[Attempt] = []
    for place, span in enumerate(of_node):
        error = next(kept, {}) if span.ended_row else span.error
        if span.kind == RUNNING:
            queued = _queued(of_node[place - 1] if place else None, span.start)
            found.append(Attempt(span, queued, tail(str(error.get("traceback") or ""))))
    return found


def _queued(before: Span | None, start: datetime) -> float | None:
    """Return how long the node was ready before its attempt began: a delay is not yet ready."""
    if before is None or before.kind not in (QUEUED, RETRYING):
        return None
    return max(0.0, (start - (before.due or before.start)).total_seconds())


def _opened(kind: str, event: Event, at: datetime) -> Span:
    data = event["data"]
    delay = data.get("delay") if kind == RETRYING else None
    due = at + timedelta(milliseconds=delay) if isinstance(delay, int | float) else None
    return Span(
        kind,
        at,
        attempt=event["attempt"] or 0,
        worker=data.get("worker") or "",
        due=due,
        by=data.get("awaits") or "",
    )


def _closed(span: Span, event: Event, at: datetime) -> Span:
    data = event["data"]
    failed = event["type"] == "node.failed" and data.get("status") != "upstream_failed"
    if span.kind != RUNNING:
        return replace(span, end=at, ended_row=failed)
    start = span.start
    if isinstance(data.get("duration"), int | float):
        # A short attempt's start is written together with its end; the measured duration is what is true.
        start = min(start, at - timedelta(milliseconds=data["duration"]))
    error = data.get("error") or {}
    outcome = "timed_out" if data.get("outcome") == "timed_out" else _OUTCOMES.get(event["type"], "")
    if event["type"] == "node.waiting" and error:  # it waits for whoever takes its place
        outcome = outcome if outcome == "timed_out" else "failed"
    return replace(
        span, start=start, end=at, outcome=outcome, error=error, delay_ms=data.get("delay"), ended_row=failed
    )
