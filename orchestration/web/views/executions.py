"""The list of executions."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from orchestration import queries
from orchestration.engine.errors import InvalidOption
from orchestration.engine.states import EXECUTION_LIVE
from orchestration.models import Execution
from orchestration.queries.filters import STATUSES, ExecutionFilter
from orchestration.web.bulk_words import all_verbs
from orchestration.web.parts import asks_for_part, part_of_page
from orchestration.web.words import word
from security.actions import CONSOLE_OPEN
from security.principals import Principal
from security.web.guard import requires

PAGE = 50
_CHIPS = {
    "status": gettext_lazy("Status"),
    "-status": gettext_lazy("Not"),
    "workflow": gettext_lazy("Workflow"),
    "-workflow": gettext_lazy("Not"),
    "tag": gettext_lazy("Tag"),
    "-tag": gettext_lazy("Not tag"),
    "started_by": gettext_lazy("Started by"),
    "since": gettext_lazy("Since"),
    "until": gettext_lazy("Until"),
    "q": gettext_lazy("Text"),
    "bulk": gettext_lazy("Bulk act"),
    "parent": gettext_lazy("Parent"),
}


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def executions(request: HttpRequest) -> HttpResponse:
    """Show one page of the executions that the URL's filters let through."""
    principal = Principal.for_request(request)
    refused, status = "", 200
    filters = ExecutionFilter()
    page: queries.Page[Execution] = queries.Page([], None, None)
    try:
        filters = ExecutionFilter.from_query(request.GET)
        found = queries.executions(principal, filters).defer("input", "output", "labels")
        page = queries.page(
            found, after=request.GET.get("after"), before=request.GET.get("before"), limit=PAGE
        )
    except InvalidOption as error:
        refused, status = str(error), error.status
    context = {
        "filters": filters,
        "page": page,
        "refused": refused,
        "chips": _chips(filters),
        "query": filters.to_query(),
        "verbs": all_verbs(),
        "moving": any(row.status in EXECUTION_LIVE for row in page.items),
    }
    if asks_for_part(request, "list"):
        return render(request, "orchestration/_executions_list.html", context, status=status)
    names = queries.workflows(principal).values_list("name", flat=True)[:1000]
    return render(
        request, "orchestration/executions.html", context | {"workflows": names, **_choices()}, status=status
    )


def _choices() -> dict[str, object]:
    periods = [("15m", _("15 minutes")), ("1h", _("hour")), ("24h", _("24 hours")), ("7d", _("7 days"))]
    return {"statuses": STATUSES, "periods": periods}


def _chips(filters: ExecutionFilter) -> list[dict[str, str]]:
    """Return what is filtered by, each with the address of the list without it."""
    here = reverse("executions")
    return [
        {
            "label": str(_CHIPS[key]),
            "value": word(value) if key.endswith("status") else value,
            "href": f"{here}?{filters.without(key, value).to_query()}",
        }
        for key, value in filters.pairs()
    ]
