"""A node's history, folded from its events: what it did from when to when, attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

Event = dict[str, Any]
Key = tuple[str, int | None]

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
    """A stretch of a node's life; `end` is None while it lasts, `outcome` is set on attempts that ended."""

    kind: str
    start: datetime
    end: datetime | None = None
    attempt: int = 0
    outcome: str = ""
    worker: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    delay_ms: float | None = None


def spans(events: Iterable[Event]) -> dict[Key, list[Span]]:
    """Return every node's spans in order. The events are those of one execution's nodes, by number."""
    found: dict[Key, list[Span]] = {}
    for event in events:
        own = found.setdefault((event["node"], event["index"]), [])
        at = datetime.fromisoformat(event["at"])
        if own and own[-1].end is None:
            own[-1] = _closed(own[-1], event, at)
        if kind := _OPENS.get(event["type"]):
            data = event["data"]
            own.append(Span(kind, at, attempt=event["attempt"] or 0, worker=data.get("worker") or ""))
    return found


def attempts(of_node: Iterable[Span]) -> list[Span]:
    """Return the attempts among a node's spans."""
    return [span for span in of_node if span.kind == RUNNING]


def _closed(span: Span, event: Event, at: datetime) -> Span:
    data = event["data"]
    if span.kind != RUNNING:
        return replace(span, end=at)
    start = span.start
    if isinstance(data.get("duration"), int | float):
        # A short attempt's start is written together with its end; the measured duration is what is true.
        start = min(start, at - timedelta(milliseconds=data["duration"]))
    error = data.get("error") or {}
    outcome = "timed_out" if data.get("outcome") == "timed_out" else _OUTCOMES.get(event["type"], "")
    if event["type"] == "node.waiting" and error:  # it waits for whoever takes its place
        outcome = outcome if outcome == "timed_out" else "failed"
    return replace(span, start=start, end=at, outcome=outcome, error=error, delay_ms=data.get("delay"))
