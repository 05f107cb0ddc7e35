"""A node's history, folded from its events: what it did from when to when, attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
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
PARKED = "waiting"  # how a run ends whose body waits; its attempt goes on
_OUTCOMES = {
    "node.completed": "succeeded",
    "node.recovered": "recovered",
    "node.failed": "failed",
    "node.attention": "failed",
    "node.retrying": "failed",
    "node.lost": "lost",
    "node.waiting": PARKED,
    "node.skipped": "skipped",
    "node.cancelled": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a node's life; `end` is None while it lasts, `outcome` is set on attempts that ended.

    `due` is when a delay ends, `by` whom a node waits for, `waits` what its body waits for, `earlier` says that the
    node was reset since, `ended_row` that the node had then failed for good.
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
    waits: Sequence[Mapping[str, Any]] = ()
    earlier: bool = False
    ended_row: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: how long it was ready before (seconds), and what is kept of its error's traceback.

    `span` is all of it, `waited` the seconds of it in which its body was parked.
    """

    span: Span
    queued: float | None
    traceback: str = ""
    waited: float = 0.0


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
        traceback = tail(str(error.get("traceback") or ""))
        if found and _belongs(found[-1].span, span):
            found[-1] = _longer(found[-1], span, traceback)
        elif span.kind == RUNNING:
            queued = _queued(of_node[place - 1] if place else None, span.start)
            found.append(Attempt(span, queued, traceback))
    return found


def _belongs(so_far: Span, span: Span) -> bool:
    """Say whether a span is of the same attempt: its body is parked, or runs on, or its end came while it was to."""
    ended = span.kind == QUEUED and span.outcome != "" and so_far.outcome == PARKED
    return bool(span.waits) or ended or goes_on(so_far, span)


def goes_on(before: Span, span: Span) -> bool:
    """Say whether a run is one more of the same attempt, whose body had waited."""
    same = (before.attempt, before.earlier) == (span.attempt, span.earlier)
    return span.kind == RUNNING and before.outcome == PARKED and same


def _longer(attempt: Attempt, span: Span, traceback: str) -> Attempt:
    """Return the attempt with what came next of it: its body was parked, or ran on."""
    so_far = attempt.span
    waited = attempt.waited
    if span.waits or span.kind == QUEUED:
        waited += ((span.end or datetime.now(UTC)) - span.start).total_seconds()
        ended = bool(span.outcome)
        end, outcome = (span.end, span.outcome) if ended else (None, PARKED)
    else:
        end, outcome = span.end, span.outcome
    whole = replace(
        span, kind=RUNNING, start=so_far.start, end=end, outcome=outcome, attempt=so_far.attempt, waits=(),
        worker=span.worker or so_far.worker,
    )  # fmt: skip
    return Attempt(whole, attempt.queued, traceback, waited)


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
        waits=data.get("waits") or (),
    )


def _closed(span: Span, event: Event, at: datetime) -> Span:
    data = event["data"]
    failed = event["type"] == "node.failed" and data.get("status") != "upstream_failed"
    error = data.get("error") or {}
    outcome = "timed_out" if data.get("outcome") == "timed_out" else _OUTCOMES.get(event["type"], "")
    if event["type"] == "node.waiting" and error:  # it waits for whoever takes its place
        outcome = outcome if outcome == "timed_out" else "failed"
    if span.kind != RUNNING:
        # Where a body is parked, or was to go on, that is how its attempt ended.
        ends = (span.waits or span.kind == QUEUED) and outcome != PARKED
        return replace(
            span, end=at, ended_row=failed, outcome=outcome if ends else "", error=error if ends else {}
        )
    start = span.start
    ran = data.get("ran", data.get("duration"))  # of an attempt that has waited, how long it ran at last
    if isinstance(ran, int | float):
        # A short attempt's start is written together with its end; the measured duration is what is true.
        start = min(start, at - timedelta(milliseconds=ran))
    return replace(
        span, start=start, end=at, outcome=outcome, error=error, delay_ms=data.get("delay"), ended_row=failed
    )
