"""The page of one execution, and the parts of it that a live page fetches again."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from orchestration.models import Execution
from orchestration.web.access import load_execution
from orchestration.web.execution_page import ExecutionPage
from orchestration.web.node_page import node_context
from security.actions import EXECUTION_VIEW
from security.principals import Principal
from security.web.guard import requires

PARTS = {
    "header": "orchestration/execution/_header.html",
    "canvas": "orchestration/execution/_canvas.html",
    "log": "orchestration/execution/_log.html",
    "lines": "orchestration/execution/_lines.html",
    "inspector": "orchestration/execution/_inspector.html",
}


@require_GET
@requires(EXECUTION_VIEW, load_execution)
def execution(request: HttpRequest, execution: Execution) -> HttpResponse:
    """Show an execution."""
    return show(request, execution)


def show(request: HttpRequest, execution: Execution, refused: str = "", status: int = 200) -> HttpResponse:
    """Render the whole page; `refused` is why the verb that was asked for did nothing."""
    page = ExecutionPage(execution, Principal.for_request(request), request.GET)
    context = page.context() | {"refused": refused}
    return render(request, "orchestration/execution.html", context, status=status)


@require_GET
@requires(EXECUTION_VIEW, load_execution)
def part(request: HttpRequest, execution: Execution, part: str) -> HttpResponse:
    """Show one part of the page, as it is now."""
    if part not in PARTS:
        raise Http404
    page = ExecutionPage(execution, Principal.for_request(request), request.GET)
    return render(request, PARTS[part], page.part_context(part))


@require_GET
@requires(EXECUTION_VIEW, load_execution)
def node(request: HttpRequest, execution: Execution, node: str) -> HttpResponse:
    """Show one node in the inspector."""
    context = {"execution": execution, "selected": node, "now": timezone.now()}
    asked, served = request.GET.get("index"), request.GET.get("for")
    context |= node_context(execution, node, asked, Principal.for_request(request), served)
    return render(request, PARTS["inspector"], context)
