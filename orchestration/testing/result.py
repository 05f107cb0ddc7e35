"""What a run in a test came to."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestration import queries
from orchestration.engine.graph import Graph, suggest
from orchestration.engine.state import EXECUTION, GLOBAL, WORKFLOW
from orchestration.engine.states import EXECUTION_TERMINAL, NODE_LIVE, ExecutionStatus, NodeStatus
from orchestration.models import Execution, NodeRun, Receipt
from orchestration.queries.why import Workers
from orchestration.store import clock
from orchestration.store.versions import graph_of

REPR = 230  # characters: pytest cuts longer ones in the middle
LOGS, EVENTS = 100_000, 1_000_000


@dataclass(frozen=True)
class Node:
    """One node as it is: of a map's items the one with this index, of a boundary's calls the one for that node."""

    id: str
    status: NodeStatus
    output: Any = None
    error: Any = None  # {"type", "message", "traceback" …}
    attempts: int = 0
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    index: int | None = None
    for_node: str | None = None
    logs: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def __str__(self) -> str:
        name = self.id if self.index is None else f"{self.id}[{self.index}]"
        tried = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        why = f": {self.error['type']}: {self.error['message']}" if self.error else ""
        return f'"{name}" {self.status}{tried}{why}'


NodeKey = str | tuple[str, int | str]


class Nodes(Mapping[NodeKey, Node]):
    """The nodes by id; an item of a map is nodes["id", index], a boundary's call for a node nodes["id", "node"]."""

    def __init__(self, graph: Graph, found: Sequence[Node]) -> None:
        self._graph = graph
        self._nodes: dict[NodeKey, Node] = {}
        for node in found:
            self._nodes.setdefault(node.id, node)
            if node.index is not None:
                self._nodes[node.id, node.index] = node
            elif node.for_node:
                self._nodes[node.id, node.for_node] = node

    def __getitem__(self, key: NodeKey) -> Node:
        try:
            return self._nodes[key]
        except KeyError:
            name = key if isinstance(key, str) else key[0]
            hint = suggest(name, self._graph.nodes) if name not in self._graph.nodes else ""
            raise KeyError(f'"{self._graph.name}" has no node {key!r} here. {hint}'.strip()) from None

    def __iter__(self) -> Iterator[NodeKey]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return "\n".join(str(node) for key, node in self._nodes.items() if isinstance(key, str))


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An execution as it is now: `waits` says in sentences what it waits for, if it has not ended."""

    id: uuid.UUID
    workflow: str
    status: ExecutionStatus
    output: Any
    error: Any  # {"node", "type", "message" …}
    events: list[dict[str, Any]]
    nodes: Nodes
    logs: list[dict[str, Any]]
    waits: list[str]
    why: str
    storage: dict[str, dict[str, Any]]  # by scope, then by key
    queues: Sequence[str] = field(default=(), repr=False)

    @cached_property
    def children(self) -> list[Snapshot]:
        """Return the executions that it has started, the first one first, as they are when they are first asked for."""
        return [Snapshot(**snapshot(id, self.queues)) for id in queries.children_of(self.id)]

    @cached_property
    def started(self) -> list[Snapshot]:
        """Return the executions that its events have started, as they are when they are first asked for."""
        rows = Receipt.objects.filter(event__execution=self.id, outcome=Receipt.Outcome.STARTED).order_by(
            "pk"
        )
        return [Snapshot(**snapshot(id, self.queues)) for id in rows.values_list("execution", flat=True)]

    def __str__(self) -> str:
        return "\n".join([self._headline(), *(f"  {line}" for line in repr(self.nodes).splitlines())])

    def __repr__(self) -> str:
        text = f"<{self._headline()}>"
        return text if len(text) <= REPR else f"{text[: REPR - 2]}…>"

    def _headline(self) -> str:
        said = " ".join([self.why, *(wait for wait in self.waits if wait != self.why)]).strip()
        return f"{self.workflow} {self.status}{f': {said}' if said else ''}"


def snapshot(id: uuid.UUID, queues: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a Snapshot; `queues` are those that are served."""
    execution = Execution.objects.select_related("workflow", "version").get(pk=id)
    graph = graph_of(execution.version_id)
    runs = list(NodeRun.objects.filter(execution=id, superseded=False).order_by("pk"))
    logs = queries.log_lines(id, limit=LOGS, settled=False)
    workers = _HereOnly(queues)
    why = queries.explain(execution, runs, workers)
    return {
        "id": id,
        "workflow": execution.workflow.name,
        "status": ExecutionStatus(execution.status),
        "output": execution.output,
        "error": execution.error,
        "events": queries.events_after(id, 0, EVENTS),
        "nodes": Nodes(graph, _nodes(graph, runs, execution, logs)),
        "logs": logs,
        "waits": _waits(execution, graph, runs, workers, why),
        "why": _spelled(why) if why else "",
        "storage": _storage(execution),
        "queues": queues,
    }


def _storage(execution: Execution) -> dict[str, dict[str, Any]]:
    """Return what the bodies of this execution find in their storage."""
    owners = {EXECUTION: str(execution.pk), WORKFLOW: execution.workflow.name, GLOBAL: ""}
    return {
        scope: dict(queries.state(scope, owner).values_list("key", "value"))
        for scope, owner in owners.items()
    }


def _nodes(
    graph: Graph, runs: Sequence[NodeRun], execution: Execution, logs: Sequence[dict[str, Any]]
) -> list[Node]:
    said: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for line in logs:
        said.setdefault((line["node"], line["index"]), []).append(line)
    born: dict[str, list[NodeRun]] = {}
    for run in sorted(runs, key=lambda run: run.index):  # a map's own row comes before its items
        born.setdefault(run.node, []).append(run)
    unborn = {view["node"]: view["status"] for view in queries.node_view(graph, [], execution)}
    found = []
    for node in graph.nodes:
        found += [_node(run, said) for run in born.get(node, ())] or [Node(node, NodeStatus(unborn[node]))]
    return found


def _node(run: NodeRun, said: Mapping[tuple[str, int | None], list[dict[str, Any]]]) -> Node:
    index = run.index if run.index >= 0 else None
    return Node(
        id=run.node,
        status=NodeStatus(run.status),
        output=run.result,
        error=run.error,
        attempts=run.attempt,
        started_at=run.started_at,
        finished_at=run.finished_at,
        index=index,
        for_node=run.for_node or None,
        logs=said.get((run.node, index), []),
    )


# --- why it does not go on -------------------------------------------------------------------------


class _HereOnly(Workers):
    """Why nothing claims what is ready, where the only worker is the test's."""

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = queues

    def why(self, queues: Any) -> str | None:
        """Return why what is ready in these queues is not claimed."""
        missing = sorted(set(queues) - set(self._queues))
        return f"Queued: this run does not serve the queue “{missing[0]}”." if missing else None


def _waits(
    execution: Execution,
    graph: Graph,
    runs: Sequence[NodeRun],
    workers: Workers,
    why: queries.Why | None,
) -> list[str]:
    """Return a sentence for the execution, and for each node that it does not speak of and that does not move."""
    if execution.status in EXECUTION_TERMINAL:
        return []
    reasons = queries.NodeReasons(execution, graph, runs)
    reasons.workers, reasons.now = workers, clock.now()
    found = [_spelled(why)] if why else []
    for run in runs:
        known = why is not None and why.node == run.node
        said = reasons.why(run.node, run) if run.status in NODE_LIVE and not known else None
        if said is not None:
            found.append(f"“{run}”: {_spelled(said)}")
    return found


def _spelled(why: queries.Why) -> str:
    """Return the sentence; what is left of a time is counted on the test's clock."""
    return why.spelled(clock.now())
