"""The workflows, one workflow, and starting it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from orchestration import executor, queries, registry
from orchestration.engine.errors import Igon7Error
from orchestration.models import Workflow
from orchestration.queries.caching import cached_nodes
from orchestration.queries.stats import recent, summarise
from orchestration.store.versions import graph_of
from orchestration.web import bars
from orchestration.web.access import load_workflow
from orchestration.web.pictures import layout_of, picture
from orchestration.web.schema_form import StartForm
from security.actions import (
    CACHE_INVALIDATE,
    CONSOLE_OPEN,
    GLOBAL_STATE_VIEW,
    GRANT_MANAGE,
    PERSON_VIEW,
    TRIGGER_ASSIGN,
    TRIGGER_SET,
    WORKFLOW_RUN,
    WORKFLOW_VIEW,
)
from security.policies import allowed
from security.principals import Principal
from security.web.guard import requires

LAST = 50
LAST_IN_LIST = 20
LISTED = 200
VERSIONS = 20
NODES = 2_000  # listed beside the graph
FITS = 1_400  # a graph up to this width is drawn as wide as its card


@require_GET
@requires(CONSOLE_OPEN)
def workflows(request: HttpRequest) -> HttpResponse:
    """List the workflows, each with its last executions."""
    principal = Principal.for_request(request)
    found = list(queries.workflows(principal).defer("current__definition")[:LISTED])
    last = recent(principal, found, LAST_IN_LIST)
    rows = [_listed(workflow, last[workflow.pk]) for workflow in found]
    context = {
        "rows": rows,
        "broken": registry.broken(),
        "may_view_state": allowed(principal, GLOBAL_STATE_VIEW),
    }
    return render(request, "orchestration/workflows.html", context)


def _listed(workflow: Workflow, last: list[Any]) -> dict[str, Any]:
    summary = summarise(last)
    drawn = bars.of_executions(last, summary.longest, LAST_IN_LIST)
    return {"workflow": workflow, "last": last[0] if last else None, "summary": summary, "bars": drawn}


@require_GET
@requires(WORKFLOW_VIEW, load_workflow)
def workflow(request: HttpRequest, workflow: Workflow) -> HttpResponse:
    """Show a workflow."""
    whole = request.GET.get("as") == "json"
    return _show(request, workflow, _form(workflow, whole), whole)


@require_POST
@requires(WORKFLOW_RUN, load_workflow)
def start(request: HttpRequest, workflow: Workflow) -> HttpResponse:
    """Start the workflow with what the form says, or show the form again with what is wrong."""
    whole = request.POST.get("as") == "json"
    form = _form(workflow, whole, request.POST)
    if not form.is_valid():
        return _show(request, workflow, form, whole, status=400)
    told = {"priority": form.cleaned_data["priority"], "tags": form.cleaned_data["tags"]}
    told["refresh"] = form.cleaned_data.get("refresh", False)
    try:
        id = executor.start(workflow.name, form.value(), principal=Principal.for_request(request), **told)
    except Igon7Error as error:
        form.refuse(error)
        return _show(request, workflow, form, whole, status=error.status)
    return redirect("execution", id)


@require_POST
@requires(CACHE_INVALIDATE, load_workflow)
def invalidate(request: HttpRequest, workflow: Workflow) -> HttpResponse:
    """Invalidate what is cached of the workflow, or of the node that is named."""
    about: dict[str, Any] = {
        "node": request.POST.get("node") or None,
        "reason": request.POST.get("reason", "").strip()[:500],
    }
    principal = Principal.for_request(request)
    try:
        count = executor.invalidate_cache(principal=principal, workflow=workflow.name, **about)
    except Igon7Error as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        said = ngettext("%d cached result is invalid now.", "%d cached results are invalid now.", count)
        messages.success(request, said % count)
    return redirect("workflow", workflow.name)


def _form(workflow: Workflow, whole: bool, data: Any = None) -> StartForm:
    schema = workflow.current.definition.get("input_schema") if workflow.current else None
    return StartForm(schema, data, whole=whole, cached=bool(cached_nodes(workflow)))


def _show(
    request: HttpRequest, workflow: Workflow, form: StartForm, whole: bool, status: int = 200
) -> HttpResponse:
    principal = Principal.for_request(request)
    last = recent(principal, [workflow], LAST)[workflow.pk]
    summary = summarise(last)
    context = {
        "workflow": workflow,
        "form": form,
        "whole": whole,
        "may_see_people": allowed(principal, PERSON_VIEW) or allowed(principal, GRANT_MANAGE, workflow),
        "may_run": allowed(principal, WORKFLOW_RUN, workflow),
        "known": registry.get(workflow.name) is not None,
        "last": last[:8],
        "summary": summary,
        "bars": bars.of_executions(last, summary.longest, LAST),
        "slots": LAST,
        "versions": queries.versions(workflow)[:VERSIONS],
        "cached": queries.cache_use(workflow),
        "triggers": queries.triggers_of(workflow),
        "may_set": allowed(principal, TRIGGER_SET, workflow),
        "may_assign": allowed(principal, TRIGGER_ASSIGN),
        "may_invalidate": allowed(principal, CACHE_INVALIDATE, workflow),
    }
    if workflow.current_id:
        version, graph = workflow.current_id, graph_of(workflow.current_id)
        context |= {"picture": picture(version, {}), "nodes": list(graph.nodes.values())[:NODES]}
        context["declared"] = graph.signals.items()
        context["fits"] = layout_of(version).width <= FITS
    return render(request, "orchestration/workflow.html", context, status=status)
