"""The audit in the console: to be searched, read and taken along; nothing here changes it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from security import audit, heads, sealing
from security.actions import AUDIT_VIEW
from security.archive import export
from security.audit_filter import AuditFilter, BadFilter, page
from security.models import AuditRecord, AuditSeal
from security.policies import visible_to
from security.principals import Principal
from security.web.guard import requires

EXPORT = "audit.export"
_LABELS = {
    "who": _("Who"),
    "action": _("Act"),
    "outcome": _("Outcome"),
    "resource": _("On what"),
    "address": _("Address"),
    "request": _("Request"),
    "since": _("Since"),
    "until": _("Until"),
}


@require_GET
@requires(AUDIT_VIEW)
def records(request: HttpRequest) -> HttpResponse:
    """Show one page of what the URL's filters let through."""
    refused, filters = "", AuditFilter()
    found: tuple[list[AuditRecord], str, str] = ([], "", "")
    try:
        filters = AuditFilter.from_query(request.GET)
        rows = filters.apply(visible_to(Principal.for_request(request), AuditRecord.objects.all()))
        found = page(rows, request.GET.get("after", ""), request.GET.get("before", ""))
    except BadFilter as error:
        refused = str(error)
    context = {
        "rows": _with_seals(found[0]),
        "older": found[1],
        "newer": found[2],
        "filters": filters,
        "query": filters.to_query(),
        "chips": _chips(filters),
        "outcomes": AuditRecord.Outcome.choices,
        "refused": refused,
        "chain": _chain(),
    }
    return render(request, "security/audit.html", context, status=400 if refused else 200)


@require_POST
@requires(AUDIT_VIEW)
def take_along(request: HttpRequest) -> HttpResponseBase:
    """Send what the filters let through as lines of JSON, the oldest first; that is an act of its own."""
    principal = Principal.for_request(request)
    try:
        filters = AuditFilter.from_query(request.POST)
    except BadFilter as error:
        return render(request, "security/audit.html", {"refused": str(error), "chain": _chain()}, status=400)
    audit.record(principal, EXPORT, details={"filters": dict(filters.pairs())})
    rows = filters.apply(visible_to(principal, AuditRecord.objects.all()))
    answer = StreamingHttpResponse(export(rows.order_by("pk")), content_type="application/x-ndjson")
    answer["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    return answer


def _with_seals(rows: list[AuditRecord]) -> list[tuple[AuditRecord, AuditSeal | None]]:
    seals = {seal.record: seal for seal in AuditSeal.objects.filter(record__in=[row.pk for row in rows])}
    return [(row, seals.get(row.pk)) for row in rows]


def _chain() -> dict[str, Any]:
    """Return how far the audit is sealed, and signed."""
    last = AuditSeal.objects.order_by("-position").first()
    return {"last": last, "waiting": sealing.unsealed()[:1001].count(), "head": heads.last()}


def _chips(filters: AuditFilter) -> list[dict[str, Any]]:
    pairs = filters.pairs()
    return [
        {
            "label": _LABELS[name],
            "value": value,
            "href": "?" + AuditFilter(**dict(_others(pairs, name))).to_query(),
        }
        for name, value in pairs
    ]


def _others(pairs: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [pair for pair in pairs if pair[0] != name]
