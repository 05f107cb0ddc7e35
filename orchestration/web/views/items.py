"""The items of a map, in pages."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestration import queries
from orchestration.engine.errors import InvalidOption, UnknownMap
from orchestration.engine.states import EXECUTION_TERMINAL
from orchestration.models import Execution
from orchestration.web.access import load_execution
from orchestration.web.parts import asks_for_part, part_of_page
from security.actions import EXECUTION_CONTROL, EXECUTION_VIEW
from security.policies import allowed
from security.principals import Principal
from security.web.guard import requires

PAGE = 100


@require_GET
@part_of_page
@requires(EXECUTION_VIEW, load_execution)
def items(request: HttpRequest, execution: Execution, node: str) -> HttpResponse:
    """Show the items of a map, in their order; with `status`, those that stand so."""
    try:
        shown = queries.map_of(execution, node)
    except UnknownMap as unknown:
        raise Http404 from unknown
    ended = execution.status in EXECUTION_TERMINAL
    counts = queries.item_counts(execution, node)
    context = {
        "execution": execution,
        "node": node,
        "counts": counts,
        "total": shown["count"] if shown else 0,
        "open": not ended,
        "may_retry": ended and _fails(counts) and _may(request, execution),
    }
    found, status = _listed(request, execution, node)
    part = asks_for_part(request, "items")
    template = "orchestration/_items_list.html" if part else "orchestration/items.html"
    return render(request, template, context | found, status=status)


def _fails(counts: dict[str, int]) -> bool:
    return any(counts.get(status) for status in ("failed", "cancelled"))


def _may(request: HttpRequest, execution: Execution) -> bool:
    return allowed(Principal.for_request(request), EXECUTION_CONTROL, execution)


def _listed(request: HttpRequest, execution: Execution, node: str) -> tuple[dict[str, Any], int]:
    """Return one page of the list, and the status of the answer."""
    asked, after = request.GET.get("status") or None, request.GET.get("after", "")
    behind = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else -1
    try:
        page = queries.items_page(execution, node, status=asked, after=behind, limit=PAGE)
    except InvalidOption as error:
        return {"refused": str(error)}, error.status
    rows = queries.items_json(execution, node, page.items)
    return {"page": page, "rows": rows, "status": asked or "", "first": behind >= 0}, 200
