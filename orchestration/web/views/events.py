"""Events to everyone: the list, one of them with what became of it, sending one, and what starts a workflow."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from orchestration import executor, queries
from orchestration.engine.errors import Igon7Error, InvalidOption, UnknownEvent
from orchestration.models import Event, Workflow
from orchestration.queries.broadcasts import FATES
from orchestration.web.access import load_workflow
from orchestration.web.event_form import EmitForm
from orchestration.web.parts import asks_for_part, part_of_page
from security.actions import CONSOLE_OPEN, EVENT_EMIT, TRIGGER_SET
from security.policies import allowed
from security.principals import Principal
from security.web.guard import requires

PAGE = 50
RECEIPTS = 200
FATE_WORDS = {
    "started": gettext_lazy("Started something"),
    "woke": gettext_lazy("Woke somebody"),
    "nobody": gettext_lazy("Nobody was given it"),
    "open": gettext_lazy("Being delivered"),
}
_CHIPS = {
    "name": gettext_lazy("Event"),
    "source": gettext_lazy("Source"),
    "fate": gettext_lazy("What became of it"),
    "execution": gettext_lazy("Emitted by"),
    "since": gettext_lazy("Since"),
    "until": gettext_lazy("Until"),
}


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def events(request: HttpRequest) -> HttpResponse:
    """Show one page of the events that the URL's filters let through."""
    principal = Principal.for_request(request)
    refused, status, filters = "", 200, queries.EventFilter()
    page: queries.Page[Event] = queries.Page([], None, None)
    try:
        filters = queries.EventFilter.from_query(request.GET)
        found = queries.events(principal, filters).defer("data", "attributes")
        page = queries.page(
            found, after=request.GET.get("after"), before=request.GET.get("before"), limit=PAGE
        )
    except InvalidOption as error:
        refused, status = str(error), error.status
    fates = queries.fates(page.items)
    context = {
        "filters": filters,
        "page": page,
        "rows": [(row, fates[row.pk]) for row in page.items],
        "refused": refused,
        "chips": _chips(filters),
        "query": filters.to_query(),
        "may_emit": allowed(principal, EVENT_EMIT),
        "api": request.build_absolute_uri(reverse("api:broadcasts")),
    }
    if asks_for_part(request, "list"):
        return render(request, "orchestration/_events_list.html", context, status=status)
    context |= {
        "names": queries.event_names(principal),
        "fates": [(name, FATE_WORDS[name]) for name in FATES],
    }
    return render(request, "orchestration/events.html", context, status=status)


def _chips(filters: queries.EventFilter) -> list[dict[str, str]]:
    """Return what is filtered by, each with the address of the list without it."""
    here, pairs = reverse("events"), filters.pairs()
    return [
        {
            "label": str(_CHIPS[key]),
            "value": str(FATE_WORDS[value]) if key == "fate" else value,
            "href": f"{here}?{queries.EventFilter(**dict(pair for pair in pairs if pair[0] != key)).to_query()}",
        }
        for key, value in pairs
    ]


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def event(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Show an event: what it said, whom it started or woke, and why it did not start others."""
    principal = Principal.for_request(request)
    row = _load(principal, id)
    found = list(queries.receipts(principal, row)[:RECEIPTS])
    context = {
        "event": row,
        "fate": queries.fates([row])[row.pk],
        "receipts": found,
        "hidden": queries.receipt_count(row) - len(found),
        "waiting": queries.waiting_for(principal, row),
        "may_emit": allowed(principal, EVENT_EMIT),
    }
    part = asks_for_part(request, "fate")
    return render(request, "orchestration/_event_fate.html" if part else "orchestration/event.html", context)


def _load(principal: Principal, id: uuid.UUID | str) -> Event:
    try:
        return queries.event(principal, id)
    except UnknownEvent as error:
        raise Http404(str(error)) from None


@require_http_methods(["GET", "HEAD", "POST"])
@requires(EVENT_EMIT)
def emit(request: HttpRequest) -> HttpResponse:
    """Show the form of an event, or send what it says."""
    principal = Principal.for_request(request)
    if request.method != "POST":
        return _show_form(request, EmitForm(initial=_like(principal, request.GET)))
    form = EmitForm(request.POST)
    if not form.is_valid():
        return _show_form(request, form, 400)
    try:
        accepted = executor.emit_event(**form.cleaned_data, principal=principal)
    except Igon7Error as error:
        form.add_error(None, str(error))
        return _show_form(request, form, error.status)
    said = _("This event had been sent before.") if accepted.existed else _("The event is kept.")
    messages.success(request, said)
    return redirect("event", accepted.id)


def _show_form(request: HttpRequest, form: EmitForm, status: int = 200) -> HttpResponse:
    names = queries.event_names(Principal.for_request(request))
    return render(request, "orchestration/event_emit.html", {"form": form, "names": names}, status=status)


def _like(principal: Principal, query: Any) -> dict[str, str]:
    """Return what the form begins with: a name, or what another event said."""
    if not query.get("like"):
        return {"name": query.get("name", "")}
    row = _load(principal, query["like"])
    data = json.dumps(row.data, indent=2, ensure_ascii=False) if row.data is not None else ""
    return {"name": row.name, "data": data, "subject": row.subject}


@require_POST
@requires(TRIGGER_SET, load_workflow)
def trigger(request: HttpRequest, workflow: Workflow) -> HttpResponse:
    """Enable or disable a trigger of the workflow."""
    principal, name = Principal.for_request(request), request.POST.get("event", "")
    about: dict[str, Any] = {"principal": principal, "reason": request.POST.get("reason", "")[:500]}
    try:
        if request.POST.get("do") == "disable":
            executor.disable_trigger(workflow.name, name, **about)
            said = _("The event “%(event)s” does not start “%(workflow)s” any more.")
        else:
            owner = request.POST.get("owner", "").strip() or None
            executor.enable_trigger(workflow.name, name, owner=owner, **about)
            said = _("The event “%(event)s” starts “%(workflow)s”.")
        messages.success(request, said % {"event": name, "workflow": workflow.name})
    except Igon7Error as error:
        messages.error(request, str(error), extra_tags="bad")
    return redirect(f"{reverse('workflow', args=[workflow.name])}#triggers")
