"""What the execution page shows, gathered part by part, each in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from django.http import Http404
from django.utils import timezone

from orchestration import executor, queries
from orchestration.engine.graph import Graph
from orchestration.engine.states import EXECUTION_TERMINAL, NodeStatus
from orchestration.models import Artifact, Execution, NodeRun
from orchestration.queries.events import LEVELS
from orchestration.queries.stats import typical
from orchestration.store.versions import graph_of
from security.actions import EXECUTION_CONTROL
from security.policies import allowed
from security.principals import Principal

from .graph import overall
from .history import attempts, spans
from .pictures import picture
from .timeline import make_timeline
from .words import WORDS

VIEWS = ("graph", "timeline", "nodes")
LINES = 400
ARTIFACTS = 200
FIRST_ARTIFACTS = 4
MOVING = 12
VERBS = ("retry", "resume", "pause", "cancel", "terminate")
_TELLING = {"node.waiting", "node.recovered"}
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
        return {
            "why": queries.why(self.execution, self.runs),
            "culprit": queries.culprit(self.execution, self.runs),
            "verbs": [verb for verb in VERBS if verb in can and can[verb] is None],
            "ask": self.query.get("do", ""),
            "total": len(self.views),
            "done": done,
            "parts": _parts(counts, len(self.views)),
            "typical": None if self.ended else typical(self.execution.workflow),
        }

    def _canvas(self) -> dict[str, Any]:
        asked = self.query.get("view", "")
        view = asked if asked in VIEWS else VIEWS[0]
        found: dict[str, Any] = {"view": view, "view_names": VIEWS, "nodes": self.views}
        if view == "graph":
            found["picture"] = picture(self.execution.version_id, self._statuses(), self.selected)
        elif view == "timeline":
            found["timeline"] = self._timeline()
        return found

    def _statuses(self) -> dict[str, str]:
        """Return a status for each node; a boundary that was called for several shows the one to look at first."""
        found: dict[str, list[str]] = {}
        for each in self.views:
            found.setdefault(each["node"], []).append(each["status"])
        return {node: overall(statuses) for node, statuses in found.items()}

    def _timeline(self) -> Any:
        start = self.execution.started_at or self.execution.created_at
        end = self.execution.finished_at or timezone.now()
        return make_timeline(self.graph, self.views, queries.node_events(self.execution.pk), start, end)

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
            return node_context(self.execution, self.selected, self.query.get("index"), self.principal)
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
        }


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


def node_context(execution: Execution, node: str, index: str | None, principal: Principal) -> dict[str, Any]:
    """Return the inspector's context for a node. Raises Http404 for one that the graph has not."""
    graph = graph_of(execution.version_id)
    if node not in graph.nodes:
        raise Http404
    item = int(index) if index and index.isascii() and index.isdigit() and len(index) < 10 else -1
    run = queries.node_run(execution, node, item)
    events = queries.node_events(execution.pk, node, item)
    history = spans(events)
    spec = graph.nodes[node]
    view = queries.node_view(graph, [run] if run else [], execution)
    asks = run is not None and run.status == NodeStatus.ATTENTION
    return {
        "node": node,
        "may_decide": asks and allowed(principal, EXECUTION_CONTROL, execution),
        "spec": spec,
        "run": run,
        "shown": next(each for each in view if each["node"] == node),
        "attempts": attempts(history.get((node, None if item < 0 else item), ())),
        "events": events[-200:],
        "children": graph.children[node],
        "primary": graph.primaries.get(node),
        "is_rescuer": graph.is_rescuer(node),
        **_rescuer(events),
        "worker": next(
            (
                span.worker
                for span in reversed(history.get((node, None if item < 0 else item), ()))
                if span.worker
            ),
            "",
        ),
        "artifacts": Artifact.objects.filter(execution=execution, node=node).order_by("created_at", "id")[
            :ARTIFACTS
        ],
    }


def _rescuer(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return which node runs, or has run, in this one's place, or what a person has decided about it last."""
    told = [event["data"] for event in events if event["type"] in _TELLING or event["data"].get("decision")]
    last = told[-1] if told else {}
    if last.get("decision"):
        return {"rescuer": "", "decided": last}
    return {"rescuer": last.get("by") or last.get("awaits") or "", "decided": None}


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
