"""What the inspector shows of one node: its attempts past and to come, who ran in its place, or for whom it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.http import Http404

from orchestration import queries
from orchestration.engine.graph import Graph
from orchestration.engine.items import is_item
from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Key
from orchestration.executor.admission import whom
from orchestration.models import Artifact, Execution, NodeRun
from orchestration.store.versions import graph_of
from security.actions import EXECUTION_CONTROL
from security.policies import allowed
from security.principals import Principal

from .history import Event, attempts, key_of, spans
from .journal import journal_context
from .plans import plans
from .schedule import schedule

ARTIFACTS = 200
EVENTS = 200
CALLS = 50
STARTED = 8
SOME_ITEMS = 8
# Where the error is the point; elsewhere it stands beside its attempt.
_TELL_ERROR = (NodeStatus.FAILED, NodeStatus.ATTENTION, NodeStatus.BLOCKED)


def node_context(
    execution: Execution, node: str, index: str | None, principal: Principal, for_node: str | None = None
) -> dict[str, Any]:
    """Return the inspector's context for a node. Raises Http404 for one that the graph has not."""
    graph = graph_of(execution.version_id)
    if node not in graph.nodes:
        raise Http404
    item = int(index) if index and index.isascii() and index.isdigit() and len(index) < 10 else -1
    run = queries.node_run(execution, node, item, for_node)
    if run is None and for_node is not None:
        run = queries.node_run(execution, node, item)
    around = queries.runs_around(execution, graph, node)
    served = run.for_node if run else ""
    events = [
        each
        for each in queries.node_events(execution.pk, node, item, tracebacks=True)
        if (key_of(each)[2] or "") == served
    ]
    view = queries.node_view(graph, [run] if run else [], execution)
    asks = run is not None and run.status == NodeStatus.ATTENTION
    tells_error = run is not None and run.error is not None and run.status in _TELL_ERROR
    called = _companions(graph, node, run, around)
    spec = graph.nodes[node]
    reasons = queries.NodeReasons(execution, graph, around)
    source = (
        reasons.sources.get(Key(node, item, served)) if run and run.status == NodeStatus.SUCCEEDED else None
    )
    return {
        "node": node,
        "named": str(Key(node, item)),
        **_items(execution, graph, Key(node, item, served), run),
        "source": source,
        "source_shown": queries.visible_source(principal, source),
        "may_decide": asks and allowed(principal, EXECUTION_CONTROL, execution),
        "plans": plans(execution, graph, Key(node, item), run, principal),
        "spec": spec,
        "runs_for": whom(spec.permissions) if spec.permissions else "",
        "run": run,
        "shown": next(each for each in view if each["node"] == node),
        "reason": reasons.why(node, run),
        "schedule": schedule(spec, run),
        "decided": _decided(events),
        "events": events[-EVENTS:],
        "children": graph.children[node],
        "started": _started(execution, run, principal),
        "artifacts": Artifact.objects.filter(execution=execution, node=node).order_by("created_at", "id")[
            :ARTIFACTS
        ],
        **journal_context(run, spec),
        **_history(events, queries.failures(execution, node, item, served)),
        "tells_error": tells_error,
        "only_error": tells_error
        and run is not None
        and run.status == NodeStatus.FAILED
        and not called["called"],
        **called,
    }


def _started(execution: Execution, run: NodeRun | None, principal: Principal) -> list[Execution]:
    """Return the newest executions that the node has started and the principal may view."""
    if run is None or not execution.children:
        return []
    rows = queries.executions(principal).filter(as_child__node_run=run)
    return list(rows.defer("input", "output", "labels")[:STARTED])


def _items(execution: Execution, graph: Graph, key: Key, run: NodeRun | None) -> dict[str, Any]:
    """Return how a map's items stand, and a few of those that failed; of one of them, what it is."""
    if is_item(graph, key):
        values = queries.items_json(execution, key.node, [run] if run is not None else [])
        return {"item_of": bool(values), "item_value": values[0]["item"] if values else None,
                "before_it": max(0, key.index - 1)}  # fmt: skip
    if run is None or run.items is None:
        return {}
    failed = (
        queries.items_page(execution, key.node, status="failed", limit=SOME_ITEMS) if run.failed else None
    )
    return {
        "item_counts": queries.item_counts(execution, key.node),
        "some_items": failed.items if failed is not None else [],
    }


def _history(events: Sequence[Event], failures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    own = [span for each in spans(events).values() for span in each]
    worker = next((span.worker for span in reversed(own) if span.worker), "")
    return {"attempts": attempts(own, failures), "worker": worker}


def _companions(graph: Graph, node: str, run: NodeRun | None, around: Sequence[NodeRun]) -> dict[str, Any]:
    """Return who was called for the node, in order; and of a companion, for whom it was called and why."""
    known = queries.companions(graph)
    own = [each for each in around if each.node == node and each.for_node]
    failed = {each.node: each for each in around if not each.for_node or each.node != node}
    called = [
        {"run": each, "kind": known[each.node].kind} for each in queries.called_for(graph, around, node)
    ]
    served = run.for_node if run else ""
    return {
        "companion": known.get(node),
        "called": called,
        "calls": [{"run": each, "because": failed.get(each.for_node)} for each in own[:CALLS]],
        "because": failed.get(served),
        "giver": queries.giver(graph, around, node),
        "undo": queries.undo_of(graph, around, node, served),
        "undoes": graph.undos.get(node),
    }


def _decided(events: Iterable[Event]) -> dict[str, Any] | None:
    """Return what a person has decided about the node, unless somebody was called for it since."""
    told = [
        event["data"]
        for event in events
        if event["type"] in ("node.waiting", "node.recovered") or event["data"].get("decision")
    ]
    return told[-1] if told and told[-1].get("decision") else None
