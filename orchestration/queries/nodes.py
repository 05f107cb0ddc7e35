"""What a graph's nodes are doing: one row for each, born or not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from orchestration.engine.graph import Graph
from orchestration.engine.states import EXECUTION_TERMINAL, ExecutionStatus, NodeStatus
from orchestration.models import Execution, NodeRun
from orchestration.store.versions import graph_of

from .companions import companions
from .events import instant

RETRYING = "retrying"  # a READY node between two attempts; a word for people, not a state


def node_runs(execution: Execution) -> list[NodeRun]:
    """Return the present NodeRuns, without inputs' and results' weight, in the order they were born."""
    return list(_light(execution))


def node_run(execution: Execution, node: str, index: int = -1, for_node: str | None = None) -> NodeRun | None:
    """Return one present NodeRun, whole; None for a node that has not been reached, or not for that one."""
    rows = NodeRun.objects.filter(execution=execution, superseded=False, node=node, index=index)
    return (rows if for_node is None else rows.filter(for_node=for_node)).order_by("pk").first()


def failures(execution: Execution, node: str, index: int, for_node: str) -> list[dict[str, Any]]:
    """Return the errors with which a node has failed for good, in order: what a retry has set aside keeps its own."""
    rows = NodeRun.objects.filter(execution=execution, node=node, index=index, for_node=for_node)
    found = rows.filter(status=NodeStatus.FAILED).order_by("pk").values_list("error", flat=True)
    return [error or {} for error in found]


def display_status(run: NodeRun, now: datetime | None = None) -> str:
    """Return the status that people see: a claim not yet begun is ready, a delayed attempt is retrying."""
    if run.status == NodeStatus.RUNNING and run.started_at is None:
        return NodeStatus.READY.value
    if run.status == NodeStatus.READY and run.attempt >= 1 and run.available_at > (now or timezone.now()):
        return RETRYING
    return str(run.status)


def node_view(graph: Graph, runs: Iterable[NodeRun], execution: Execution) -> list[dict[str, Any]]:
    """Return every node of the graph with its index, whom it is for, status, attempt, times, duration and progress.

    The names are those of `run_json`. Times are ISO 8601; `index` is None where there are no items, `for` where the
    node serves no other. Nodes come in the order of the graph; an error boundary that was called for several nodes
    comes once for each.
    """
    born: dict[str, list[NodeRun]] = {}
    for run in runs:
        born.setdefault(run.node, []).append(run)
    now, unborn = timezone.now(), _unborn_status(execution)
    found = []
    for node in graph.nodes:
        # Who was to run for others and was not called has not been cancelled.
        rests = unborn == NodeStatus.CANCELLED and graph.is_companion(node)
        missing = _unborn(node, NodeStatus.SKIPPED.value if rests else unborn)
        found += [run_json(run, now) for run in born.get(node, ())] or [missing]
    return found


def calls(graph: Graph, rows: Iterable[NodeRun]) -> dict[str, dict[str, str]]:
    """Return for each companion whom its calls came from, each with the status that people see."""
    known, own = companions(graph), [run for run in rows if run.for_node]
    called: dict[str, list[str]] = {}
    for run in own:
        called.setdefault(run.for_node, []).append(run.node)
    found: dict[str, dict[str, str]] = {}
    for run in own:
        companion = known.get(run.node)
        # A boundary that was called for a boundary's own failure serves the same node; the call came from that one.
        named = companion.serves or () if companion else ()
        before = next((name for name in called[run.for_node] if name in named), run.for_node)
        before = graph.undos.get(run.node, before)
        found.setdefault(run.node, {})[before] = display_status(run)
    return found


def run_json(run: NodeRun, now: datetime | None = None) -> dict[str, Any]:
    """Return one NodeRun as `node_view` shows it."""
    return {
        "node": run.node,
        "index": None if run.index < 0 else run.index,
        "for": run.for_node or None,
        "status": display_status(run, now),
        "attempt": run.attempt,
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "duration_ms": duration_ms(run.started_at, run.finished_at),
        "progress": run.progress,
        "items": items_of(run),
    }


def items_of(run: NodeRun) -> dict[str, int] | None:
    """Return how far a map is; None for what is none, or whose items have not been found."""
    return None if run.items is None else {"count": run.items, "ok": run.ok, "failed": run.failed}


def duration_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Return the milliseconds between; None while one of them is missing."""
    return max(0, round((end - start).total_seconds() * 1000)) if start and end else None


def _unborn_status(execution: Execution) -> str:
    if execution.status not in EXECUTION_TERMINAL:
        return NodeStatus.PENDING.value
    ended_well = execution.status == ExecutionStatus.SUCCEEDED
    return NodeStatus.SKIPPED.value if ended_well else NodeStatus.CANCELLED.value


def _unborn(node: str, status: str) -> dict[str, Any]:
    empty = {"started_at": None, "finished_at": None, "duration_ms": None, "progress": None, "items": None}
    return {"node": node, "index": None, "for": None, "status": status, "attempt": 0, **empty}


def of_nodes(execution: Execution) -> Q:
    """Return the condition for rows of nodes as such: none of maps' items, which may be many thousands.

    What undoes items, one after the other, stands for itself by the last of its rows.
    """
    graph = graph_of(execution.version_id)
    undos = [undo for undo, node in graph.undos.items() if graph.nodes[node].items is not None]
    if not undos:
        return Q(index=-1)
    rows = NodeRun.objects.filter(execution=execution, superseded=False, node__in=undos, index__gte=0)
    begun = rows.exclude(status=NodeStatus.PENDING).values("node").annotate(last=Max("pk")).order_by()
    return Q(index=-1) | Q(pk__in=list(begun.values_list("last", flat=True)))


def _light(execution: Execution) -> QuerySet[NodeRun]:
    rows = NodeRun.objects.filter(of_nodes(execution), execution=execution, superseded=False)
    return rows.defer("result").order_by("id")
