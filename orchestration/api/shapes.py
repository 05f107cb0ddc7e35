"""How workflows and executions read as JSON: the same in the API and in the commands' --json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from orchestration import bulk, executor, queries
from orchestration.engine.errors import UnknownExecution
from orchestration.engine.graph import Graph
from orchestration.engine.permissions import Permissions
from orchestration.engine.policies import AtLeast, CachePolicy, Handles, Repeat
from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Key
from orchestration.models import Artifact, BulkAct, BulkItem, Execution, NodeRun, WorkflowVersion
from orchestration.models import Workflow as WorkflowRow
from orchestration.queries.events import instant
from orchestration.store.versions import graph_of
from security.principals import Principal

JSON = dict[str, Any]


def execution_summary(execution: Execution) -> JSON:
    """Return what a list shows; workflow and version must be loaded."""
    return {
        "id": str(execution.id),
        "workflow": execution.workflow.name,
        "version": execution.version.number,
        "status": execution.status,
        "priority": execution.priority,
        "tags": execution.tags,
        "started_by": execution.principal.get("name"),
        "created_at": instant(execution.created_at),
        "started_at": instant(execution.started_at),
        "finished_at": instant(execution.finished_at),
        "duration_ms": queries.duration_ms(execution.started_at, execution.finished_at),
        "error": error_brief(execution.error),
        "parent": str(execution.parent_id) if execution.parent_id else None,
    }


def started(principal: Principal, id: UUID, workflow: str) -> JSON:
    """Return the summary of an execution just started, or the little that one sees who may not view it."""
    try:
        return execution_summary(queries.execution(principal, id))
    except UnknownExecution:  # one may run a workflow without a right to view it
        return {"id": str(id), "workflow": workflow}


def execution_detail(principal: Principal, execution: Execution) -> JSON:
    """Return all but events and log; `actions` says of each verb why it is not possible, or null."""
    runs = queries.node_runs(execution)
    graph = graph_of(execution.version_id)
    return execution_summary(execution) | {
        "why": queries.why(execution, runs),
        "input": execution.input,
        "output": execution.output,
        "error": execution.error,
        "cause": execution.cause,
        "labels": execution.labels,
        "idempotency_key": execution.idempotency_key,
        "generation": execution.generation,
        "forked_from": str(execution.forked_from_id) if execution.forked_from_id else None,
        "children": children(queries.children(execution, principal)),
        "seq": execution.seq,
        "nodes": _nodes(execution, graph, runs),
        "artifacts": artifacts(execution),
        "actions": executor.can(principal, execution),
        "refresh": queries.refreshes(execution.pk),
    }


def children(found: queries.Children) -> JSON:
    """Return how many executions one has started, by status; those that one may not see are counted alone."""
    return {"total": found.total, "counts": found.counts, "hidden": found.hidden}


def _nodes(execution: Execution, graph: Graph, runs: list[NodeRun]) -> list[JSON]:
    """Return every node as people see it; `why` says why it does not move, or ended other than well."""
    reasons = queries.NodeReasons(execution, graph, runs)
    rows = {(run.node, run.index if run.index >= 0 else None, run.for_node or None): run for run in runs}
    shown = queries.node_view(graph, runs, execution)
    for each in shown:
        key = Key(each["node"], -1 if each["index"] is None else each["index"], each["for"] or "")
        source = reasons.sources.get(key) if each["status"] == NodeStatus.SUCCEEDED else None
        each["cached"] = source.to_json() if source else None
        why = reasons.why(each["node"], rows.get((each["node"], each["index"], each["for"])))
        each["why"] = str(why) if why else None
    return shown


def error_brief(error: Mapping[str, Any] | None) -> JSON | None:
    """Return which node failed and how, without the traceback."""
    return {name: error.get(name) for name in ("node", "type", "message")} if error else None


def artifacts(execution: Execution) -> list[JSON]:
    """Return the files that the execution's nodes kept, oldest first."""
    return [artifact(row) for row in execution.artifacts.order_by("created_at", "id")]


def artifact(row: Artifact) -> JSON:
    return {
        "id": str(row.id),
        "name": row.name,
        "node": row.node,
        "index": row.index if row.index >= 0 else None,
        "content_type": row.content_type,
        "size": row.size,
        "sha256": row.sha256,
        "created_at": instant(row.created_at),
    }


def workflow_summary(row: WorkflowRow) -> JSON:
    """Return what a list shows; the current version must be loaded."""
    return {
        "name": row.name,
        "description": row.description,
        "tags": row.tags,
        "version": row.current.number if row.current else None,
        "nodes": row.current.node_count if row.current else None,
        "updated_at": instant(row.updated_at),
    }


def workflow_detail(row: WorkflowRow) -> JSON:
    """Return a workflow with the schemas of its input and signals, its graph and its versions, newest first."""
    current = row.current
    drawn = graph_of(current.pk) if current else None
    return workflow_summary(row) | {
        "input_schema": current.definition.get("input_schema") if current else None,
        "signals": {name: dict(schema) for name, schema in drawn.signals.items()} if drawn else {},
        "graph": graph(drawn) if drawn else None,
        "cache": [cache_use(each) for each in queries.cache_use(row)],
        "triggers": [queries.trigger_json(each) for each in queries.triggers_of(row)],
        "versions": [version(each) for each in queries.versions(row)],
    }


def version(row: WorkflowVersion) -> JSON:
    return {
        "number": row.number,
        "checksum": row.checksum,
        "nodes": row.node_count,
        "created_at": instant(row.created_at),
    }


def _handles(handles: Handles | None) -> JSON | None:
    """Return what an error boundary catches; no nodes: those of the whole workflow; no types: all."""
    if handles is None:
        return None
    return {"for_nodes": list(handles.for_nodes or ()), "error_types": list(handles.error_types)}


def _permissions(given: Permissions | None) -> JSON | None:
    return asdict(given) if given is not None else None


def _repeat(repeat: Repeat | None) -> JSON | None:
    return asdict(repeat) if repeat else None


def _cache(policy: CachePolicy | None) -> JSON | None:
    """Return for how long a result stands, where, and for whom."""
    if policy is None:
        return None
    return {"ttl": policy.ttl, "store": policy.store, "scope": policy.scope, "tags": list(policy.tags)}


def cache_use(use: queries.CacheUse) -> JSON:
    """Return how a node's cache is used; hits and misses of the last 24 hours."""
    about = {"entries": use.entries, "hits": use.hits, "misses": use.misses, "hit_rate": use.rate}
    return {"node": use.spec.id, **(_cache(use.spec.cache) or {}), **about}


def graph(graph: Graph) -> JSON:
    """Return nodes in their order of declaration, and edges as pairs [from, to]."""
    nodes = [
        {
            "id": node.id,
            "body": node.body,
            "depends_on": list(node.depends_on),
            "join": {"at_least": node.join.count} if isinstance(node.join, AtLeast) else node.join,
            "params": dict(node.params),
            "timeout": node.timeout,
            "queue": node.queue,
            "max_attempts": node.retry.max_attempts if node.retry else 1,
            "fallback": node.fallback,
            "handles": _handles(node.handles),
            "compensate": node.compensate,
            "queue_timeout": node.queue_timeout,
            "deadline": node.deadline,
            "heartbeat_timeout": node.heartbeat_timeout,
            "cache": _cache(node.cache),
            "transactional": node.transactional,
            "repeat": _repeat(node.repeat),
            "permissions": _permissions(node.permissions),
        }
        for node in graph.nodes.values()
    ]
    edges = [[parent, node.id] for node in graph.nodes.values() for parent in node.depends_on]
    return {"nodes": nodes, "edges": edges, "output": graph.output, "timeout": graph.timeout}


def bulk_preview(found: bulk.Preview) -> JSON:
    """Return what a dry run found; `selection` is what to start, `confirm` what to type."""
    return {
        "verb": found.verb,
        "selected": found.selected,
        "count": found.count,
        "confirm": found.confirm,
        "refused": [{"count": group.count, "why": group.why} for group in found.refused],
        "selection": found.selection,
    }


def bulk_act(act: BulkAct, counts: bulk.Counts) -> JSON:
    """Return a bulk act and how far it has come."""
    return {
        "id": str(act.pk),
        "verb": act.verb,
        "options": bulk.without_input(act.options),
        "reason": act.reason,
        "query": act.query,
        "status": act.status,
        **counts._asdict(),
        "by": act.principal.get("name"),
        "stopped_by": act.stopped_by or None,
        "created_at": instant(act.created_at),
        "started_at": instant(act.started_at),
        "finished_at": instant(act.finished_at),
    }


def bulk_refusal(item: BulkItem) -> JSON:
    return {"execution": str(item.execution_id), "why": item.why, "at": instant(item.at)}


def approval(wait: Any) -> JSON:
    """Return what asks for an approval, and whether the caller decides."""
    about = wait.about or {}
    return {
        "id": wait.pk,
        "execution": str(wait.execution_id),
        "workflow": wait.execution.workflow.name,
        "node": wait.node_run.node,
        "index": wait.node_run.index if wait.node_run.index >= 0 else None,
        "name": wait.name,
        "releases": queries.is_release(wait),
        "second_factor": about.get("mfa"),
        "text": about.get("text", ""),
        "form": about.get("form"),
        "roles": about.get("roles", []),
        "users": about.get("users", []),
        "since": instant(wait.since),
        "due": instant(wait.wake_at) if wait.wake_at else None,
        "may_decide": wait.asked and not wait.own,
    }
