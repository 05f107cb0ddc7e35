"""The worker nodes: who is there, and what each runs now."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestration import queries
from orchestration.models import NodeRun, WorkerNode
from security.actions import WORKER_VIEW
from security.principals import Principal
from security.web.guard import requires

LISTED = 200
RUNS_EACH = 12


@require_GET
@requires(WORKER_VIEW)
def workers(request: HttpRequest) -> HttpResponse:
    """List the worker nodes that have not stopped."""
    found = list(queries.worker_nodes()[:LISTED])
    fresh = set(queries.live_worker_nodes().values_list("pk", flat=True))
    runs = _runs(request, found)
    rows = [
        {
            "worker": each,
            "fresh": each.pk in fresh,
            "runs": runs[each.pk][:RUNS_EACH],
            "busy": len(runs[each.pk]),
        }
        for each in found
    ]
    slots = sum(row["worker"].slots for row in rows if row["fresh"])
    busy = sum(row["busy"] for row in rows if row["fresh"])
    context = {"rows": rows, "alive": len(fresh), "slots": slots, "busy": busy}
    template = (
        "orchestration/_workers_list.html"
        if request.headers.get("HX-Target") == "list"
        else "orchestration/workers.html"
    )
    return render(request, template, context)


def _runs(request: HttpRequest, workers: list[WorkerNode]) -> dict[object, list[NodeRun]]:
    """Return what each holds; a node of an execution that the person may not view is counted and not named."""
    runs = list(queries.running_on(workers))
    seen = queries.executions(Principal.for_request(request)).filter(
        pk__in={run.execution_id for run in runs}
    )
    named = set(seen.values_list("pk", flat=True))
    found: dict[object, list[NodeRun]] = {worker.pk: [] for worker in workers}
    for run in runs:
        run.named = run.execution_id in named  # type: ignore[attr-defined]
        found[run.worker].append(run)
    return found
