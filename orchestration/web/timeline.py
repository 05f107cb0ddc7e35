"""The timeline of an execution: one row a node or group, its waits and attempts to scale, the critical path marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from orchestration.engine.graph import Graph
from orchestration.queries import companions, spell_told

from .format import spell_duration
from .history import PARKED, QUEUED, RETRYING, RUNNING, WAITING, Event, Span, goes_on, spans
from .timeline_groups import Box, Gathered, Own, gather
from .words import word

ROWS = 1_000
BARS = 400  # of one node: a body that is repeated may have run and waited thousands of times
NAMED = 3  # of what a body waits for at once
_STEPS = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    28_800,
    86_400,
)
_TICKS = 8
_LAST_LABEL = 0.72  # share of the width past which ticks are not labelled
_THINNEST = 0.25  # percent: an attempt of a millisecond is still to be seen


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch to draw; `x` and `width` are percentages of the whole."""

    kind: str
    status: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One node's line; `view` is its `node_view`, `attempts` counts its tries, `waited` sums up the waits (seconds).

    It is `inside` of a group whose line comes before.
    """

    view: Mapping[str, Any]
    bars: Sequence[Bar]
    critical: bool
    seconds: float | None
    attempts: int
    waited: float
    inside: bool


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group's line: one bar from the first begin of its members to their last end."""

    group: Gathered
    bars: Sequence[Bar]
    critical: bool


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows by start; `left_out` counts those past the limit."""

    rows: Sequence[Row | GroupRow]
    ticks: Sequence[Tick]
    left_out: int
    total: float


def make_timeline(
    graph: Graph,
    views: Sequence[Mapping[str, Any]],
    events: Sequence[Event],
    start: datetime,
    end: datetime,
    *,
    boxes: Sequence[Box] = (),
    opened: str = "",
    selected: str = "",
) -> Timeline:
    """Return the timeline between two instants; `views` are those of `queries.node_view`.

    What one of the `boxes` stands for is one row, unless its id is `opened`.
    """
    total = max((end - start).total_seconds(), 0.001)
    history = spans(events)
    path = critical_path(graph, views)
    own = [(view, history.get((view["node"], view["index"], view["for"]), [])) for view in views]
    # A node between two attempts has no start of its own, but a first one in its history.
    begun = sorted((each for each in own if _first(each[1])), key=lambda each: _first(each[1]) or end)
    others = [each for each in own if not _first(each[1])]
    scale = _Scale(start, end, total)
    shown = list(gather(begun + others, boxes, opened, selected))
    grouped = {node for box in boxes for node in box.members}
    rows = [
        scale.group(each, path) if isinstance(each, Gathered) else scale.row(*each, path, grouped)
        for each in shown[:ROWS]
    ]
    return Timeline(rows, scale.ticks(), max(0, len(shown) - ROWS), total)


def _first(of_node: Sequence[Span]) -> datetime | None:
    return next((span.start for span in of_node if span.kind == RUNNING), None)


def _last(of_node: Sequence[Span], end: datetime) -> datetime:
    return max((span.end or end for span in of_node if span.kind == RUNNING), default=end)


def critical_path(graph: Graph, views: Sequence[Mapping[str, Any]]) -> set[tuple[str, str | None]]:
    """Return the chain, each the last its successor waited for, that ends with the last to finish.

    Each is a node and whom it served: what ran in a node's place was waited for, too, and is on the path with it.
    """
    others = companions(graph)
    begun = [view for view in views if view["finished_at"] and view["started_at"]]
    ends = {view["node"]: str(view["finished_at"]) for view in begun if view["node"] not in others}
    path: set[tuple[str, str | None]] = set()
    node = max(ends, key=ends.__getitem__, default=None)
    while node is not None and (node, None) not in path:
        path.add((node, None))
        before = [parent for parent in graph.nodes[node].depends_on if parent in ends]
        node = max(before, key=ends.__getitem__, default=None)
    rescues = [
        (view["node"], view["for"])
        for view in begun
        if (other := others.get(view["node"])) and other.kind != "undo"
    ]
    while found := {each for each in rescues if each not in path and _on(path, each[1])}:
        path |= found
    return path


def _on(path: set[tuple[str, str | None]], node: str | None) -> bool:
    return any(name == node for name, _for in path)


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    end: datetime
    total: float

    def row(
        self,
        view: Mapping[str, Any],
        of_node: Sequence[Span],
        path: set[tuple[str, str | None]],
        grouped: set[str],
    ) -> Row:
        parts = [part for span in of_node if span.start < self.end for part in self._parts(span)]
        waits = sum(self._seconds(part) for part in parts if part.kind != RUNNING)
        return Row(
            view,
            list(map(self._bar, *self._drawn(parts))),
            (view["node"], view["for"]) in path,
            _took(view),
            _tries(parts),
            waits,
            view["node"] in grouped,
        )

    def group(self, group: Gathered, path: set[tuple[str, str | None]]) -> GroupRow:
        begun: list[Own] = [each for each in group.own if _first(each[1])]
        critical = any((view["node"], None) in path for view, _ in group.own)
        if not begun:
            return GroupRow(group, [], critical)
        first = min(filter(None, (_first(of_node) for _, of_node in begun)))
        last = max(_last(of_node, self.end) for _, of_node in begun)
        x = self._percent(first - self.start)
        width = max(self._percent(last - self.start) - x, _THINNEST)
        title = f"{group.said} · {spell_duration((last - first).total_seconds())}"
        bar = Bar(RUNNING, group.status, round(min(x, 100 - _THINNEST), 3), round(width, 3), title)
        return GroupRow(group, [bar], critical)

    def _drawn(self, parts: Sequence[Span]) -> tuple[list[Span], list[str]]:
        """Return what is drawn, and how each ended: of very many, neighbours as one, which is what most of it was."""
        endings, size = _endings(parts), -(-len(parts) // BARS)
        if size <= 1:
            return list(parts), endings
        drawn, ends = [], []
        for first in range(0, len(parts), size):
            some = parts[first : first + size]
            place = max(range(len(some)), key=lambda place: self._seconds(some[place]))
            drawn.append(replace(some[place], start=some[0].start, end=some[-1].end))
            ends.append(endings[first + place])
        return drawn, ends

    def _parts(self, span: Span) -> Iterator[Span]:
        """Yield a span; a delay that is over is followed by the wait for a worker."""
        end = span.end or self.end
        if span.due is None or end <= span.due:
            yield span
        else:
            yield replace(span, end=span.due)
            yield replace(span, kind=QUEUED, start=span.due, end=end)

    def ticks(self) -> list[Tick]:
        step = next((step for step in _STEPS if self.total / step <= _TICKS), None) or 86_400 * round(
            1 + self.total / 86_400 / _TICKS
        )
        marks = range(1, int(self.total / step) + 1)
        shares = [(n * step, n * step / self.total) for n in marks]
        # Beside the end's own label another one would not fit, on a phone least of all; its line stays.
        return [
            Tick(round(100 * share, 3), spell_tick(at) if share < _LAST_LABEL else "")
            for at, share in shares
            if share < 0.96
        ]

    def _bar(self, span: Span, outcome: str) -> Bar:
        x = self._percent(span.start - self.start)
        width = max(
            self._percent((span.end or self.end) - self.start) - x, _THINNEST if span.kind == RUNNING else 0
        )
        status = (outcome or "running") if span.kind == RUNNING else span.kind
        return Bar(
            span.kind, status, round(min(x, 100 - _THINNEST), 3), round(width, 3), self._title(span, status)
        )

    def _title(self, span: Span, status: str) -> str:
        """Say what a bar is: an attempt with its end, or what was waited for."""
        took = spell_duration(self._seconds(span))
        if span.kind == RUNNING and span.outcome == PARKED:
            said = {"number": span.attempt, "time": took}
            return _("Attempt %(number)d · ran for %(time)s, then waited") % said
        if span.kind == RUNNING:
            said = {"number": span.attempt, "outcome": word(status), "time": took}
            text = _("Attempt %(number)d · %(outcome)s · %(time)s") % said
            return (
                f"{text} · {span.error.get('type')}: {span.error.get('message')}"[:300]
                if span.error
                else text
            )
        if span.waits:
            what = [spell_told(wait) for wait in span.waits[:NAMED]]
            more = "…" if len(span.waits) > NAMED else ""
            return _("Waits for %(what)s · %(time)s") % {"what": ", ".join(what) + more, "time": took}
        if span.kind == WAITING and span.by:
            return _("Waits for “%(node)s” · %(time)s") % {"node": span.by, "time": took}
        if span.kind == RETRYING:
            return _("Wait before attempt %(number)d · %(time)s") % {"number": span.attempt + 1, "time": took}
        return f"{word(span.kind)} · {took}"

    def _seconds(self, span: Span) -> float:
        return max(0.0, ((span.end or self.end) - span.start).total_seconds())

    def _percent(self, offset: timedelta) -> float:
        return min(100.0, max(0.0, 100 * offset.total_seconds() / self.total))


def _endings(parts: Sequence[Span]) -> list[str]:
    """Return for each run how its attempt ended: where its body waited, a later one tells."""
    found, after = [], None
    for span in reversed(parts):
        if span.kind != RUNNING:
            found.append("")
            continue
        if after is None or not goes_on(span, after):
            ending = "" if span.outcome == PARKED else span.outcome
        found.append(ending)
        after = span
    return found[::-1]


def _tries(parts: Sequence[Span]) -> int:
    """Return the number of attempts; one whose body waited has run several times."""
    runs = [part for part in parts if part.kind == RUNNING]
    return sum(place == 0 or not goes_on(runs[place - 1], run) for place, run in enumerate(runs))


def spell_tick(seconds: float) -> str:
    """Return a tick's label, such as "200 ms", "15 s", "2 m" or "1 h"."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:g} s"
    if seconds < 3600:
        return f"{seconds / 60:g} m"
    return f"{seconds / 3600:g} h" if seconds < 86_400 else f"{seconds / 86_400:g} d"


def _took(view: Mapping[str, Any]) -> float | None:
    return None if view["duration_ms"] is None else view["duration_ms"] / 1000
