"""Reading what watched executions have new: a few queries for all of them, at one moment of the database."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone, translation

from orchestration import queries
from orchestration.engine.states import EXECUTION_TERMINAL, NODE_LIVE, ExecutionStatus, NodeStatus
from orchestration.models import Execution, ExecutionEvent, LogLine, NodeRun
from orchestration.queries.events import instant
from orchestration.store.versions import graph_of

from .frames import JSON, Frame, Key
from .lines import Moment, NewLines, Settled, by_execution, lines_after

EVENTS = 1000  # in one frame
GAP = 20_000  # who is further behind starts anew, with the last EVENTS
_TERMS = 100  # of one OR: SQLite's parser nests them
_LINES_EVERY = 1.0  # when nothing seems to run
_WHY_EVERY = 2.0  # its sentence counts seconds
_WHY_AT_MOST_EVERY = 0.5
_NODE = (
    "execution",
    "node",
    "index",
    "status",
    "attempt",
    "started_at",
    "finished_at",
    "progress",
    "available_at",
    "items",
    "ok",
    "failed",
)


@dataclass(slots=True)
class Tail:
    """How far the log of one watched execution has been read. `seq` is None before the first look."""

    id: uuid.UUID
    languages: set[str] = field(default_factory=set)
    seq: int | None = None
    status: str = ""
    running: dict[int, tuple[Key, Any]] = field(default_factory=dict)  # row -> its node and progress
    delayed: set[int] = field(default_factory=set)  # rows between two attempts
    settled: Settled = field(default_factory=Settled)
    why: dict[str, str | None] = field(default_factory=dict)
    why_at: float = 0.0
    why_stale: bool = True

    @property
    def still(self) -> bool:
        """Return whether it is live and nothing of it runs, so that time alone may change its "why"."""
        return not self.running and self.status not in EXECUTION_TERMINAL

    def passed(self, frame: Frame) -> bool:
        """Take over what the frame says of the execution itself; return whether it says anything new."""
        before, now = (self.status, self.why), (frame.status, dict(frame.why))
        self.status, self.why = now
        return bool(frame.size) or before != now

    def note(self, run: NodeRun) -> JSON:
        """Take in a row that was just read, and return it as people see it."""
        shown = queries.run_json(run)
        key = (shown["node"], shown["index"], shown["for"])
        self.running.pop(run.pk, None)
        self.delayed.discard(run.pk)
        if run.status == NodeStatus.RUNNING:
            self.running[run.pk] = (key, run.progress)
        elif shown["status"] == queries.RETRYING:
            self.delayed.add(run.pk)
        return shown


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who has all up to event `seq` and log line `line`, and is to be brought up to date."""

    execution: uuid.UUID
    seq: int
    line: int
    language: str


@dataclass(slots=True)
class Look:
    """What one look saw: news by execution, a frame for each newcomer in turn, executions that are gone."""

    news: dict[uuid.UUID, Frame] = field(default_factory=dict)
    caught_up: list[Frame | None] = field(default_factory=list)
    gone: set[uuid.UUID] = field(default_factory=set)


class Reader:
    """Keeps what a look needs of the one before. Lives in one thread, on its connection, until `close`."""

    def __init__(self) -> None:
        self._lines = NewLines()
        self._lines_at = 0.0
        self._version: int | None = None
        self._behind = False  # a look takes so much at most

    def close(self) -> None:
        """Give the connection back."""
        connection.close()

    def look(self, tails: Sequence[Tail], newcomers: Sequence[Newcomer] = ()) -> Look:
        """Move the tails on and tell what they passed; newcomers are brought to where the tails then are."""
        if not newcomers and self._nothing_happened(tails):
            return Look()
        with one_moment():
            return self._look({tail.id: tail for tail in tails}, newcomers)

    def _nothing_happened(self, tails: Iterable[Tail]) -> bool:
        """Return whether a look can be spared; costs microseconds and reads no table. Never on PostgreSQL."""
        if connection.vendor != "sqlite" or self._behind:
            return False
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")  # moves when any other connection has committed
            version = cursor.fetchone()[0]
        before, self._version = self._version, version
        return version == before and not any(_why_due(tail) for tail in tails)

    def _look(self, tails: dict[uuid.UUID, Tail], newcomers: Sequence[Newcomer]) -> Look:
        seqs = dict(Execution.objects.filter(pk__in=tails).values_list("pk", "seq"))
        present = {id: tail for id, tail in tails.items() if id in seqs}
        arrived = {tail.id for tail in present.values() if tail.seq is None}
        moved = {id for id, tail in present.items() if tail.seq is not None and seqs[id] > tail.seq}
        wanted = {id for id, tail in present.items() if id in moved | arrived or _why_due(tail)}
        wanted |= {new.execution for new in newcomers} & present.keys()
        rows = {row.pk: row for row in _light(wanted)}
        for id in arrived:
            _arrive(present[id], rows[id])

        frames = {id: _empty(tail) for id, tail in present.items()}
        _add_events(frames, {id: present[id] for id in moved}, rows)
        _add_progress(frames, present)
        self._add_lines(frames, present, bool(newcomers or moved))
        for id, row in rows.items():
            _renew_why(present[id], row, frames[id])
        told = {id for id, frame in frames.items() if present[id].passed(frame)}
        news = {id: frames[id] for id in told - arrived}
        self._behind = any(seqs[id] > (tail.seq or 0) for id, tail in present.items())
        caught_up = [
            catch_up(new, present[new.execution], rows[new.execution]) if new.execution in rows else None
            for new in newcomers
        ]
        return Look(news, caught_up, tails.keys() - seqs.keys())

    def _add_lines(self, frames: dict[uuid.UUID, Frame], tails: dict[uuid.UUID, Tail], moved: bool) -> None:
        at = time.monotonic()
        running = any(tail.running for tail in tails.values())
        # On SQLite there was a commit, or there would be no look, and the next one may be long in coming.
        if not (moved or running or connection.vendor == "sqlite" or at - self._lines_at >= _LINES_EVERY):
            return
        self._lines_at, now = at, Moment.current()
        found = by_execution(self._lines.take(frames.keys(), now))
        for id, frame in frames.items():
            tails[id].settled.note(found.get(id, ()), now)
            frame.line = tails[id].settled.line
            frame.lines.extend(map(queries.line_json, found.get(id, ())))


def catch_up(new: Newcomer, tail: Tail, execution: Execution) -> Frame:
    """Return the next frame: events alone until the newcomer reaches the tail, then nodes and lines too."""
    head, first = tail.seq or 0, new.seq
    reset = first > head or head - first > GAP
    lines: list[LogLine] = []
    if not reset and head - first <= EVENTS:
        lines, contiguous = lines_after(execution.pk, new.line)
        reset = not contiguous
    if reset:
        first, (lines, _whole) = max(0, head - EVENTS), lines_after(execution.pk, 0)
    frame = _empty(tail)
    frame.reset = reset
    frame.seq = min(first + EVENTS, head)
    frame.line = new.line
    frame.events = _events(Q(execution=execution, seq__gt=first, seq__lte=frame.seq)).get(execution.pk, [])
    if frame.seq == head:
        _whole_picture(frame, execution, tail)
        _set_lines(frame, lines, 0 if reset else new.line)
    return frame


def read_once(new: Newcomer, execution: Execution) -> Frame:
    """Return the frame for somebody who asks now and then. `execution` says which; it is read again."""
    with one_moment():
        row = _light([execution.pk]).get()
        tail = Tail(row.pk, {new.language})
        _arrive(tail, row)
        frame = _empty(tail)
        _renew_why(tail, row, frame)
        tail.passed(frame)
        return catch_up(new, tail, row)


@contextmanager
def one_moment() -> Iterator[None]:
    """Have all queries inside see the database as it is at one moment, without taking any lock."""
    if connection.in_atomic_block:
        yield
        return
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        # Not atomic(): on SQLite that begins by taking the only write lock there is.
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if postgres else "BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def _light(ids: Collection[uuid.UUID]) -> QuerySet[Execution]:
    return Execution.objects.filter(pk__in=ids).defer("input", "output", "principal", "labels", "tags")


def _empty(tail: Tail) -> Frame:
    return Frame(str(instant(timezone.now())), tail.seq or 0, None, tail.status, tail.why)


def _arrive(tail: Tail, execution: Execution) -> None:
    tail.seq, tail.status = execution.seq, execution.status
    for run in _runs(Q(execution=execution, status__in=[NodeStatus.RUNNING, NodeStatus.READY])):
        tail.note(run)


# --- events and nodes ------------------------------------------------------------------------------


def _add_events(
    frames: dict[uuid.UUID, Frame], moved: dict[uuid.UUID, Tail], rows: dict[uuid.UUID, Execution]
) -> None:
    wanted = {id: (tail.seq or 0, min((tail.seq or 0) + EVENTS, rows[id].seq)) for id, tail in moved.items()}
    for some in _some(wanted):
        terms = [Q(execution=id, seq__gt=wanted[id][0], seq__lte=wanted[id][1]) for id in some]
        found = _events(_any(terms))
        touched = [(id, _touched(found.get(id, ()))) for id in some]
        runs = _runs(_any([Q(execution=id, node__in=nodes) for id, nodes in touched]))
        for run in runs:
            frames[run.execution_id].nodes.update(_keyed([moved[run.execution_id].note(run)]))
        for id in some:
            _move(frames[id], moved[id], rows[id], wanted[id][1], found.get(id, []))


def _move(frame: Frame, tail: Tail, execution: Execution, seq: int, events: list[JSON]) -> None:
    frame.events, frame.seq, frame.status = events, seq, execution.status
    tail.why_stale = True
    ended, was_ended = (status in EXECUTION_TERMINAL for status in (execution.status, tail.status))
    tail.seq = seq
    if ended != was_ended or any(event["type"] == "execution.reopened" for event in events):
        # What has no row of its own now reads otherwise as well.
        _whole_picture(frame, execution, tail)


def _touched(events: Iterable[JSON]) -> set[str]:
    return {event["node"] for event in events if event["node"] is not None}


def _whole_picture(frame: Frame, execution: Execution, tail: Tail) -> None:
    runs = list(_runs(Q(execution=execution)))
    for run in runs:
        tail.note(run)
    frame.status = execution.status
    frame.nodes = _keyed(queries.node_view(graph_of(execution.version_id), runs, execution))


def _keyed(shown: Iterable[JSON]) -> dict[Key, JSON]:
    return {(node["node"], node["index"], node["for"]): node for node in shown}


def _add_progress(frames: dict[uuid.UUID, Frame], tails: dict[uuid.UUID, Tail]) -> None:
    owner = {pk: tail for tail in tails.values() if tail.id in frames for pk in tail.running}
    if not owner:
        return
    for pk, progress in NodeRun.objects.filter(pk__in=owner, progress__isnull=False).values_list(
        "pk", "progress"
    ):
        _key, before = owner[pk].running[pk]
        if progress != before:
            run = next(iter(_runs(Q(pk=pk))), None)
            if run is not None:
                frames[owner[pk].id].nodes.update(_keyed([owner[pk].note(run)]))


def _events(condition: Q) -> dict[uuid.UUID, list[JSON]]:
    found: dict[uuid.UUID, list[JSON]] = {}
    for event in ExecutionEvent.objects.filter(condition).order_by("execution", "seq"):
        found.setdefault(event.execution_id, []).append(queries.event_json(event))
    return found


def _runs(condition: Q) -> QuerySet[NodeRun]:
    """Return rows of nodes as such: what becomes of a map's items, its own row counts."""
    rows = NodeRun.objects.filter(condition, index=-1, superseded=False)
    return rows.only(*_NODE).order_by("pk")


def _any(terms: Sequence[Q]) -> Q:
    found = Q(pk__in=[])
    for term in terms:
        found |= term
    return found


def _some(ids: Iterable[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    rest = list(ids)
    for start in range(0, len(rest), _TERMS):
        yield rest[start : start + _TERMS]


# --- lines and why ---------------------------------------------------------------------------------


def _set_lines(frame: Frame, lines: Sequence[LogLine], line: int) -> None:
    settled = Settled(line)
    settled.note(lines, Moment.current())
    frame.line = settled.line
    frame.lines = list(map(queries.line_json, lines))


def _why_due(tail: Tail) -> bool:
    age = time.monotonic() - tail.why_at
    return (tail.why_stale and age >= _WHY_AT_MOST_EVERY) or (tail.still and age >= _WHY_EVERY)


def _renew_why(tail: Tail, execution: Execution, frame: Frame) -> None:
    """Say anew why it does not move, if that is due."""
    known = tail.why.keys() >= tail.languages and execution.status == tail.status
    if known and not _why_due(tail):
        return
    moves = execution.status == ExecutionStatus.RUNNING and bool(tail.running)
    live = [] if moves else list(_live(execution))
    _show_retries(tail, live, frame)
    tail.why_at, tail.why_stale = time.monotonic(), False
    why = {}
    for language in tail.languages:
        with translation.override(language):
            why[language] = None if moves else queries.why(execution, live)
    frame.why = why


def _live(execution: Execution) -> QuerySet[NodeRun]:
    rows = NodeRun.objects.filter(execution=execution, superseded=False, status__in=NODE_LIVE, index=-1)
    return rows.defer("result").order_by("pk")


def _show_retries(tail: Tail, live: Iterable[NodeRun], frame: Frame) -> None:
    # No event says that a delay has passed.
    for run in live:
        if run.pk in tail.delayed and queries.display_status(run) != queries.RETRYING:
            frame.nodes.update(_keyed([tail.note(run)]))
