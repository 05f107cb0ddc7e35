"""The inbox: what has failed for good and waits for a person, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from orchestration import queries
from orchestration.models import Execution, ExecutionEvent, NodeRun
from orchestration.queries.events import event_json
from orchestration.store.versions import graph_of
from orchestration.web.history import ATTENTION, Attempt, Span, attempts, spans
from orchestration.web.parts import asks_for_part, part_of_page
from security.actions import CONSOLE_OPEN, EXECUTION_CONTROL
from security.policies import allowed
from security.principals import Principal
from security.web.guard import requires

SHOWN = 25
WORKFLOWS = 50


@dataclass(frozen=True, slots=True)
class Ask:
    """A node that asks: since when, after which attempts, with which parameters, and whether this person decides."""

    run: NodeRun
    execution: Execution
    since: datetime | None
    attempts: Sequence[Attempt]
    params: Any
    may_decide: bool


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def attention(request: HttpRequest) -> HttpResponse:
    """Show what asks in the executions that the person may view."""
    return show_inbox(request, request.GET.getlist("workflow"))


def show_inbox(
    request: HttpRequest, workflows: Sequence[str], refused: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    """Render the inbox; `refused` is the decision that was not taken: why, about what, and what was typed."""
    principal = Principal.for_request(request)
    names = [name for name in workflows if name][:WORKFLOWS]
    found = queries.asking_nodes(principal, names)
    runs = list(found[:SHOWN])
    counts = queries.asking_workflows(principal)
    total = sum(count for name, count in counts if not names or name in names)
    context = {
        "asks": _asks(principal, runs),
        "workflows": counts[:WORKFLOWS],
        "everything": sum(count for _name, count in counts),
        "chosen": names,
        "left": max(0, total - len(runs)),
        "refused": refused,
        "here": f"{reverse('attention')}?{urlencode([('workflow', name) for name in names])}",
    }
    part = asks_for_part(request, "asks")
    template = "orchestration/_attention_list.html" if part else "orchestration/attention.html"
    return render(request, template, context, status=status)


def _asks(principal: Principal, runs: Sequence[NodeRun]) -> list[Ask]:
    ids = {run.execution_id for run in runs}
    executions = {each.pk: each for each in queries.executions(principal).filter(pk__in=ids)}
    may = _may_decide(principal, executions.values())
    history = _history(runs)
    found = []
    for run in runs:
        execution = executions.get(run.execution_id)
        if execution is None:
            continue
        own = history.get((run.execution_id, run.node), [])
        asked = next((span.start for span in reversed(own) if span.kind == ATTENTION), None)
        spec = graph_of(execution.version_id).nodes.get(run.node)
        tried = attempts([span for span in own if not span.earlier])
        params = dict(spec.params) if spec else None
        found.append(Ask(run, execution, asked, tried, params, may[execution.workflow_id]))
    return found


def _may_decide(principal: Principal, executions: Any) -> dict[int, bool]:
    """Return for each workflow whether the person may control its executions."""
    one_each = {execution.workflow_id: execution for execution in executions}
    return {id: allowed(principal, EXECUTION_CONTROL, execution) for id, execution in one_each.items()}


def _history(runs: Sequence[NodeRun]) -> dict[tuple[UUID, str], list[Span]]:
    """Return the spans of the nodes that ask, in one query for all of them."""
    nodes: dict[UUID, list[str]] = {}
    for run in runs:
        nodes.setdefault(run.execution_id, []).append(run.node)
    wanted = Q(pk__in=[])
    for id, names in nodes.items():
        wanted |= Q(execution=id, node__in=names)
    found: dict[UUID, list[dict[str, Any]]] = {}
    for event in ExecutionEvent.objects.filter(wanted).order_by("execution", "seq"):
        found.setdefault(event.execution_id, []).append(event_json(event, tracebacks=True))
    return {
        (id, node): own
        for id, events in found.items()
        for (node, _index, served), own in spans(events).items()
        if not served
    }
