"""The list of bulk acts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestration import bulk, queries
from orchestration.engine.errors import InvalidOption
from orchestration.models import BulkAct
from orchestration.web import bulk_words
from orchestration.web.parts import asks_for_part, part_of_page
from security.actions import CONSOLE_OPEN
from security.principals import Principal
from security.web.guard import requires

PAGE = 50


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def acts(request: HttpRequest) -> HttpResponse:
    """Show one page of one's own bulk acts, to staff everybody's, newest first."""
    refused, status = "", 200
    page: queries.Page[BulkAct] = queries.Page([], None, None)
    found = bulk.acts(Principal.for_request(request)).defer("options")
    try:
        page = queries.page(
            found, after=request.GET.get("after"), before=request.GET.get("before"), limit=PAGE
        )
    except InvalidOption as error:
        refused, status = str(error), error.status
    counts = bulk.counts_of(page.items)
    context = {
        "rows": [
            {"act": act, "verb": bulk_words.verb(act.verb), "counts": counts[act.pk]} for act in page.items
        ],
        "page": page,
        "refused": refused,
        "moving": any(act.status == BulkAct.Status.RUNNING for act in page.items),
    }
    part = asks_for_part(request, "list")
    template = f"orchestration/{'_bulk_acts_list' if part else 'bulk_acts'}.html"
    return render(request, template, context, status=status)
