"""What a principal may see: executions, workflows, worker nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Count, Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from orchestration.engine.errors import UnknownArtifact, UnknownExecution, UnknownWorkflow
from orchestration.engine.graph import suggest
from orchestration.engine.states import NodeStatus
from orchestration.models import Artifact, Execution, NodeRun, WorkerNode, Workflow, WorkflowVersion
from security.policies import visible_to
from security.principals import Principal

from .filters import ExecutionFilter

# A keeper writes its heartbeat every few seconds; after this long the worker node is not there.
FRESH = timedelta(seconds=15)


def executions(principal: Principal, filters: ExecutionFilter | None = None) -> QuerySet[Execution]:
    """Return the executions that the principal may view, newest first."""
    # A definition may be megabytes; `graph_of` reads it once in a process.
    rows = Execution.objects.select_related("workflow", "version", "started_by").defer("version__definition")
    seen = visible_to(principal, rows)
    return (filters.apply(seen) if filters else seen).order_by("-id")


def asking(principal: Principal) -> QuerySet[Execution]:
    """Return the executions with a node that needs attention, which the principal may view, newest first."""
    nodes = NodeRun.objects.filter(status=NodeStatus.ATTENTION, superseded=False)
    return executions(principal).filter(pk__in=nodes.values("execution"))


def asking_nodes(principal: Principal, workflows: Iterable[str] = ()) -> QuerySet[NodeRun]:
    """Return the nodes that need attention in executions that the principal may view, the oldest first."""
    seen = executions(principal).order_by()
    if names := list(workflows):
        seen = seen.filter(workflow__name__in=names)
    rows = NodeRun.objects.filter(
        status=NodeStatus.ATTENTION, superseded=False, execution__in=seen.values("pk")
    )
    return rows.order_by("ready_at", "pk")


def asking_workflows(principal: Principal) -> list[tuple[str, int]]:
    """Return the workflows whose nodes need attention, by name, each with how many do."""
    counts = (
        asking_nodes(principal).order_by("execution__workflow__name").values_list("execution__workflow__name")
    )
    return list(counts.annotate(Count("id")))


def execution(principal: Principal, id: uuid.UUID | str) -> Execution:
    """Return one execution with workflow and version. Raises UnknownExecution, also for one not to be seen."""
    try:
        key = id if isinstance(id, uuid.UUID) else uuid.UUID(id)
    except ValueError:
        raise UnknownExecution(id=id) from None
    found = executions(principal).filter(pk=key).first()
    if found is None:
        raise UnknownExecution(id=key)
    return found


def artifact(execution: Execution, id: uuid.UUID) -> Artifact:
    """Return an artifact of the execution. Raises UnknownArtifact."""
    found = Artifact.objects.filter(execution=execution, pk=id).first()
    if found is None:
        raise UnknownArtifact(id=id)
    return found


def workflows(principal: Principal) -> QuerySet[Workflow]:
    """Return the workflows that the principal may view, by name."""
    return visible_to(principal, Workflow.objects.select_related("current")).order_by("name")


def workflow(principal: Principal, name: str) -> Workflow:
    """Return one workflow's row. Raises UnknownWorkflow, also for one not to be seen."""
    seen = workflows(principal)
    found = seen.filter(name=name).first()
    if found is None:
        raise UnknownWorkflow(name=name, hint=suggest(name, seen.values_list("name", flat=True)[:5000]))
    return found


def versions(workflow: Workflow) -> QuerySet[WorkflowVersion]:
    """Return a workflow's versions, newest first, without their definitions; `used` says that one was run."""
    used = Exists(Execution.objects.filter(version=OuterRef("pk")))
    return (
        WorkflowVersion.objects.filter(workflow=workflow)
        .defer("definition")
        .annotate(used=used)
        .order_by("-number")
    )


def worker_nodes() -> QuerySet[WorkerNode]:
    """Return the worker nodes that have not stopped, the last heard first."""
    return WorkerNode.objects.filter(stopped_at=None).order_by("-heartbeat_at")


def live_worker_nodes() -> QuerySet[WorkerNode]:
    """Return the worker nodes heard of within FRESH, on the database's clock."""
    return worker_nodes().filter(heartbeat_at__gte=Now() - FRESH)


def running_on(workers: Iterable[WorkerNode]) -> QuerySet[NodeRun]:
    """Return what the worker nodes hold, begun or claimed, oldest first."""
    rows = _held(workers).select_related("execution__workflow").order_by("id")
    return rows.defer("result", "error", "execution__input", "execution__output", "execution__error")


def held_by(workers: Iterable[WorkerNode]) -> dict[uuid.UUID, int]:
    """Return how many NodeRuns each worker node holds; none: it is not in it."""
    counts = _held(workers).order_by().values_list("worker").annotate(Count("id"))
    return {worker: number for worker, number in counts if worker}


def _held(workers: Iterable[WorkerNode]) -> QuerySet[NodeRun]:
    return NodeRun.objects.filter(status=NodeStatus.RUNNING, worker__in=[worker.pk for worker in workers])
