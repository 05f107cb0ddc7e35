"""The worker nodes: who is there, and what each runs now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestration import queries
from orchestration.models import NodeRun, WorkerNode
from orchestration.web.parts import asks_for_part, part_of_page
from security.actions import WORKER_VIEW
from security.principals import Principal
from security.web.guard import requires

LISTED = 200
RUNS = 500
RUNS_EACH = 12


@dataclass(frozen=True, slots=True)
class Run:
    """A node in a worker node's hands; `named` unless the person may not view its execution."""

    run: NodeRun
    named: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A worker node; `held` counts what it has claimed, begun or not."""

    worker: WorkerNode
    fresh: bool
    held: int
    runs: Sequence[Run]

    @property
    def busy(self) -> int:
        # A claim that waits behind another in the same slot keeps no further slot busy.
        return min(self.held, self.worker.slots)


@require_GET
@part_of_page
@requires(WORKER_VIEW)
def workers(request: HttpRequest) -> HttpResponse:
    """List the worker nodes that have not stopped."""
    found = list(queries.worker_nodes()[:LISTED])
    fresh = set(queries.live_worker_nodes().values_list("pk", flat=True))
    held, runs = queries.held_by(found), _runs(Principal.for_request(request), found)
    rows = [Row(each, each.pk in fresh, held.get(each.pk, 0), runs.get(each.pk, [])) for each in found]
    context = {
        "rows": rows,
        "alive": len(fresh),
        "slots": sum(row.worker.slots for row in rows if row.fresh),
        "busy": sum(row.busy for row in rows if row.fresh),
    }
    part = asks_for_part(request, "list")
    template = "orchestration/_workers_list.html" if part else "orchestration/workers.html"
    return render(request, template, context)


def _runs(principal: Principal, workers: Sequence[WorkerNode]) -> dict[UUID, list[Run]]:
    """Return what each holds, the first of it by name."""
    held = list(queries.running_on(workers)[:RUNS])
    seen = queries.executions(principal).filter(pk__in={run.execution_id for run in held})
    named = set(seen.values_list("pk", flat=True))
    found: dict[UUID, list[Run]] = {}
    for run in held:
        own = found.setdefault(run.worker, []) if run.worker else []
        if len(own) < RUNS_EACH:
            own.append(Run(run, run.execution_id in named))
    return found
