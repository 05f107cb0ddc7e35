"""What an execution has started: as a list, and as a tree."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestration import queries
from orchestration.engine.errors import InvalidOption
from orchestration.models import Execution
from orchestration.queries.filters import STATUSES, ExecutionFilter
from orchestration.web.access import load_execution
from orchestration.web.parts import asks_for_part, part_of_page
from security.actions import EXECUTION_VIEW
from security.principals import Principal
from security.web.guard import requires

PAGE = 50


@require_GET
@part_of_page
@requires(EXECUTION_VIEW, load_execution)
def children(request: HttpRequest, execution: Execution) -> HttpResponse:
    """Show the executions that one has started; with `view=tree`, those that they have started too."""
    principal, is_tree = Principal.for_request(request), request.GET.get("view") == "tree"
    context = {
        "execution": execution,
        "above": queries.above(execution, principal),
        "children": queries.children(execution, principal),
        "tree": queries.tree(execution, principal) if is_tree else None,
    }
    found, status = (context, 200) if is_tree else _listed(request, execution, principal, context)
    part = asks_for_part(request, "children")
    template = "orchestration/_children_list.html" if part else "orchestration/children.html"
    return render(request, template, found, status=status)


def _listed(
    request: HttpRequest, execution: Execution, principal: Principal, context: dict[str, Any]
) -> tuple[dict[str, Any], int]:
    """Return the context with one page of the list, and the status of the answer."""
    asked = request.GET.get("status", "")
    chosen = asked if asked in STATUSES else ""
    filters = ExecutionFilter(parent=str(execution.pk), status=(chosen,) if chosen else ())
    rows = queries.executions(principal, filters).defer("input", "output", "labels")
    found: queries.Page[Execution] = queries.Page([], None, None)
    try:
        after, before = request.GET.get("after"), request.GET.get("before")
        found = queries.page(rows, after=after, before=before, limit=PAGE)
    except InvalidOption as error:
        return context | {"page": found, "refused": str(error), "status": chosen}, error.status
    return context | {"page": found, "status": chosen}, 200
