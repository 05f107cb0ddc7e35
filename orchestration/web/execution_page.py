"""What the execution page shows, gathered part by part, each in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from django.utils import timezone

from orchestration import executor, queries
from orchestration.engine.graph import Graph
from orchestration.engine.state import EXECUTION
from orchestration.engine.states import EXECUTION_TERMINAL, ExecutionStatus, NodeStatus
from orchestration.models import Artifact, Execution, NodeRun, Signal
from orchestration.queries.events import LEVELS
from orchestration.queries.state import previewed
from orchestration.queries.stats import typical
from orchestration.store.versions import graph_of
from security.actions import WORKFLOW_RUN
from security.policies import allowed
from security.principals import Principal

from .graph import overall
from .node_page import ARTIFACTS, node_context
from .pictures import layout_of, picture
from .timeline import make_timeline
from .undoing import Undo, undoing
from .words import WORDS

VIEWS = ("graph", "timeline", "nodes")
LINES = 400
FIRST_ARTIFACTS = 4
MOVING = 12
KEYS = 8  # of its state
SIGNALS = 5
SOME_CHILDREN = 6
EVENTS = 5
ASKED = 3
VERBS = ("retry", "resume", "pause", "cancel", "terminate")
_MOVING = ("running", "retrying", "waiting", "attention", "blocked")
# The order of the coloured parts of the header's bar.
_COUNTED = (
    "succeeded",
    "recovered",
    "running",
    "retrying",
    "failed",
    "upstream_failed",
    "cancelled",
    "skipped",
)


class ExecutionPage:
    """One look at an execution; `query` is the URL's: node, view, and the log's filters."""

    def __init__(self, execution: Execution, principal: Principal, query: Mapping[str, str]) -> None:
        self.execution, self.principal, self.query = execution, principal, query

    @cached_property
    def graph(self) -> Graph:
        return graph_of(self.execution.version_id)

    @cached_property
    def runs(self) -> list[NodeRun]:
        return queries.node_runs(self.execution)

    @cached_property
    def views(self) -> list[dict[str, Any]]:
        return queries.node_view(self.graph, self.runs, self.execution)

    @cached_property
    def undos(self) -> list[Undo]:
        return undoing(self.execution, self.graph, self.runs)

    @cached_property
    def ended(self) -> bool:
        return self.execution.status in EXECUTION_TERMINAL

    @cached_property
    def selected(self) -> str:
        """The node that the URL names; without one, the first that failed."""
        asked = self.query.get("node")
        node = asked if asked is not None else queries.culprit(self.execution, self.runs)
        return node if node is not None and node in self.graph.nodes else ""

    def context(self) -> dict[str, Any]:
        """Return the whole page's context."""
        # The point that the live page goes on from is read first: what comes twice is known by its number.
        found = {"seq": self.execution.seq, "line": queries.settled_line(self.execution.pk)}
        return (
            found
            | {"all_statuses": WORDS}
            | self._base()
            | self._header()
            | self._canvas()
            | self._log()
            | self._inspector()
        )

    def part_context(self, name: str) -> dict[str, Any]:
        """Return the context of one part."""
        makers = {"header": self._header, "canvas": self._canvas, "log": self._log, "lines": self._log}
        return self._base() | makers.get(name, self._inspector)()

    def _base(self) -> dict[str, Any]:
        return {
            "execution": self.execution,
            "selected": self.selected,
            "ended": self.ended,
            "now": timezone.now(),
        }

    def _header(self) -> dict[str, Any]:
        can = executor.can(self.principal, self.execution)
        counts = Counter(view["status"] for view in self.views)
        done = sum(counts[status] for status in _COUNTED if status not in ("running", "retrying"))
        why = queries.explain(self.execution, self.runs)
        look_at = (why.node if why else "") or queries.culprit(self.execution, self.runs)
        asks = [run.node for run in self.runs if run.status == NodeStatus.ATTENTION]
        return {
            "above": queries.above(self.execution, self.principal),
            "why": why,
            "culprit": look_at,
            "asks": asks,
            "asks_besides": [] if why and look_at in asks else asks,
            "verbs": [verb for verb in VERBS if verb in can and can[verb] is None],
            "may_signal": can["signal"] is None,
            **self._asked(can["signal"] is None),
            "ask": self.query.get("do", ""),
            "may_run": allowed(self.principal, WORKFLOW_RUN, self.execution.workflow),
            "may_undo": bool(self.graph.undos),
            "total": len(self.views),
            "done": done,
            "parts": _parts(counts, len(self.views)),
            "typical": None if self.ended else typical(self.execution.workflow),
        }

    def _asked(self, may_signal: bool) -> dict[str, Any]:
        """Return what this person can do about nodes that wait: approvals to decide, signals to send."""
        if not any(run.status == NodeStatus.WAITING for run in self.runs):
            return {}
        found = queries.to_decide(self.principal).filter(execution=self.execution).order_by("pk")
        names = queries.awaited_signals([self.execution.pk]) if may_signal else []
        return {"approving": list(found[:ASKED]), "awaited": names[:ASKED]}

    def _canvas(self) -> dict[str, Any]:
        asked = self.query.get("view", "")
        view = asked if asked in VIEWS else VIEWS[0]
        found: dict[str, Any] = {"view": view, "view_names": VIEWS, "nodes": self.views}
        if view == "graph":
            found["picture"] = self._picture()
        elif view == "timeline":
            found["timeline"] = self._timeline()
        else:
            found["nodes"] = self._reasoned()
        return found

    def _picture(self) -> Any:
        """Draw the graph; a boundary that was called for several shows the one to look at first, and how many."""
        found: dict[str, list[str]] = {}
        for each in self.views:
            found.setdefault(each["node"], []).append(each["status"])
        statuses = {node: overall(each) for node, each in found.items()}
        calls = queries.calls(self.graph, self.runs)
        maps = {each["node"]: each["items"] for each in self.views if each["items"]}
        return picture(self.execution.version_id, statuses, self.selected, calls, maps)

    def _reasoned(self) -> list[dict[str, Any]]:
        """Return the views, each with its reason."""
        reasons = queries.NodeReasons(self.execution, self.graph, self.runs)
        rows = {(run.node, run.index, run.for_node): run for run in self.runs}
        for each in self.views:
            key = (each["node"], -1 if each["index"] is None else each["index"], each["for"] or "")
            each["why"] = reasons.why(each["node"], rows.get(key))
        return self.views

    def _timeline(self) -> Any:
        start = self.execution.started_at or self.execution.created_at
        end = self.execution.finished_at or timezone.now()
        return make_timeline(
            self.graph,
            self.views,
            queries.node_events(self.execution.pk, index=-1),
            start,
            end,
            boxes=layout_of(self.execution.version_id).boxes,
            opened=self.query.get("open", ""),
            selected=self.selected,
        )

    def _log(self) -> dict[str, Any]:
        level = self.query.get("level", "")
        level = level if level in LEVELS else ""
        everything = self.query.get("log") == "all" or not self.selected
        text, before = self.query.get("q", "").replace("\0", ""), self.query.get("before", "")
        lines = queries.last_log_lines(
            self.execution.pk,
            int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
            None if everything else self.selected,
            text or None,
            LINES + 1,
            level=LEVELS.get(level, 0),
        )
        return {
            "lines": lines[-LINES:],
            "earlier": lines[-LINES]["id"] if len(lines) > LINES else None,
            "levels": LEVELS,
            "level": level,
            "q": text,
            "log_node": "" if everything else self.selected,
        }

    def _inspector(self) -> dict[str, Any]:
        if self.selected:
            asked, served = self.query.get("index"), self.query.get("for")
            return node_context(self.execution, self.selected, asked, self.principal, served)
        artifacts = Artifact.objects.filter(execution=self.execution).order_by("-created_at", "-id")[
            :ARTIFACTS
        ]
        moving = [view for view in self.views if view["status"] in _MOVING]
        first, others = _results_first(list(artifacts), self.execution.output)
        return {
            "artifacts": first,
            "other_artifacts": others,
            "moving": moving[:MOVING],
            "moving_count": len(moving),
            "undos": self.undos,
            "state": list(previewed(queries.state(EXECUTION, str(self.execution.pk)))[:KEYS]),
            "signals": self._signals(),
            **self._children(),
            "received": queries.received(self.execution.pk, EVENTS),
            "emitted": queries.emitted(self.execution.pk, EVENTS),
        }

    def _children(self) -> dict[str, Any]:
        """Return how many executions it has started, and a few of those that still run or did not succeed."""
        found = queries.children(self.execution, self.principal)
        if not found.total:
            return {"children": found}
        rows = queries.executions(self.principal).filter(parent=self.execution)
        moving = rows.exclude(status=ExecutionStatus.SUCCEEDED).defer("input", "output", "labels")
        return {"children": found, "some_children": moving[:SOME_CHILDREN]}

    def _signals(self) -> list[tuple[Signal, str]]:
        """Return the last signals, each with what became of it."""
        rows = queries.signals(self.execution.pk).order_by("-id")[:SIGNALS]
        return [(row, queries.signal_state(row, self.execution)) for row in rows]


def _results_first(artifacts: list[Artifact], output: Any) -> tuple[list[Artifact], list[Artifact]]:
    """Split the artifacts into those that the output refers to (else the newest) and the rest."""
    named = set(_references(output))
    first = [artifact for artifact in artifacts if str(artifact.pk) in named] or artifacts[:FIRST_ARTIFACTS]
    return first, [artifact for artifact in artifacts if artifact not in first]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("artifact"), str):
            yield value["artifact"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _references(item)


def _parts(counts: Counter[str], total: int) -> list[dict[str, Any]]:
    """Return the coloured parts of the bar: status, from where, how wide, in percent."""
    found, x = [], 0.0
    for status in _COUNTED:
        if counts[status]:
            width = 100 * counts[status] / total
            found.append(
                {"status": status, "x": round(x, 3), "width": round(width, 3), "count": counts[status]}
            )
            x += width
    return found
