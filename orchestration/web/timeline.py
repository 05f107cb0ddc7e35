"""The timeline of an execution: one row a node, its waits and attempts to scale, the critical path marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestration.engine.graph import Graph

from .format import spell_duration
from .history import RUNNING, Event, Span, spans

ROWS = 1_000
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
_LAST_LABEL = 0.8  # share of the width past which ticks are not labelled
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
    """One node's line; `view` is its `node_view`."""

    view: Mapping[str, Any]
    bars: Sequence[Bar]
    critical: bool
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows by start; `left_out` counts those past the limit."""

    rows: Sequence[Row]
    ticks: Sequence[Tick]
    left_out: int
    total: float


def make_timeline(
    graph: Graph, views: Sequence[Mapping[str, Any]], events: Sequence[Event], start: datetime, end: datetime
) -> Timeline:
    """Return the timeline between two instants; `views` are those of `queries.node_view`."""
    total = max((end - start).total_seconds(), 0.001)
    history = spans(events)
    path = critical_path(graph, views)
    begun = sorted((view for view in views if view["started_at"]), key=lambda view: str(view["started_at"]))
    others = [view for view in views if not view["started_at"]]
    scale = _Scale(start, end, total)
    rows = [
        Row(
            view,
            scale.bars(history.get((view["node"], view["index"]), ()), view),
            view["node"] in path,
            _took(view),
        )
        for view in (begun + others)[:ROWS]
    ]
    return Timeline(rows, scale.ticks(), max(0, len(views) - ROWS), total)


def critical_path(graph: Graph, views: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the chain of nodes, each the last its successor waited for, that ends with the last to finish."""
    ends = {
        view["node"]: str(view["finished_at"]) for view in views if view["finished_at"] and view["started_at"]
    }
    path: set[str] = set()
    node = max(ends, key=ends.__getitem__, default=None)
    while node is not None and node not in path:
        path.add(node)
        before = [parent for parent in graph.nodes[node].depends_on if parent in ends]
        node = max(before, key=ends.__getitem__, default=None)
    return path


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    end: datetime
    total: float

    def bars(self, of_node: Sequence[Span], view: Mapping[str, Any]) -> list[Bar]:
        return [self._bar(span, view) for span in of_node if span.start < self.end]

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

    def _bar(self, span: Span, view: Mapping[str, Any]) -> Bar:
        x = self._percent(span.start - self.start)
        end = span.end or self.end
        width = max(self._percent(end - self.start) - x, _THINNEST if span.kind == RUNNING else 0)
        status = (span.outcome or "running") if span.kind == RUNNING else span.kind
        seconds = (end - span.start).total_seconds()
        return Bar(
            span.kind, status, round(min(x, 100 - _THINNEST), 3), round(width, 3), spell_duration(seconds)
        )

    def _percent(self, offset: timedelta) -> float:
        return min(100.0, max(0.0, 100 * offset.total_seconds() / self.total))


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
