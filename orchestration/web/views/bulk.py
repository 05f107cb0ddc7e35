"""One verb for many executions: the dry run with its confirmation, and the page that shows how far it is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from orchestration import bulk, executor, queries
from orchestration.bulk import Preview, Selection
from orchestration.bulk.preview import needed, options_of
from orchestration.engine.errors import Igon7Error, InvalidOption
from orchestration.models import BulkAct
from orchestration.queries.filters import KEYS, ExecutionFilter
from orchestration.web import bulk_words
from orchestration.web.parts import asks_for_part, part_of_page
from orchestration.web.schema_form import PayloadForm
from security.actions import CONSOLE_OPEN
from security.principals import Principal
from security.web.guard import requires

from .bulk_acts import acts
from .verbs import parse_json

Select = Callable[[], Selection]
REFUSED = 50  # on one page
SAMPLE = 8
_SELECTING = ("verb", "query", "all", "id")  # what the list's form sends


@require_GET
@requires(CONSOLE_OPEN)
def count(request: HttpRequest) -> HttpResponse:
    """Say how many executions the list's query has, up to what one bulk act takes."""
    try:
        filters = ExecutionFilter.from_query(request.GET)
    except InvalidOption as error:
        return HttpResponse(str(error), content_type="text/plain", status=error.status)
    rows = queries.executions(Principal.for_request(request), filters)
    limit = settings.IGON7_BULK_LIMIT
    found = len(rows.values_list("pk")[: limit + 1])
    text = str(found) if found <= limit else _("more than %d") % limit
    return HttpResponse(text, content_type="text/plain")


@require_http_methods(["GET", "HEAD", "POST"])
@requires(CONSOLE_OPEN)
def start(request: HttpRequest) -> HttpResponseBase:
    """GET: the dry run of what was selected; with no verb, the list. POST: begin what it froze, once confirmed."""
    if request.method != "POST" and "verb" not in request.GET:
        return acts(request)
    given = request.POST if request.method == "POST" else request.GET
    verb = given.get("verb", "")
    if verb not in executor.VERBS:
        raise Http404
    if request.method != "POST":
        lacking = [name for name in needed(verb) if not given.get(f"option.{name}")]
        ask = _ask_first if lacking else _dry_run
        return ask(request, verb, lambda: _selected(request.GET))
    return _begin(request, verb)


def _begin(request: HttpRequest, verb: str) -> HttpResponse:
    """Begin what a dry run froze, or show it again with why not."""
    principal, given, payload = Principal.for_request(request), request.POST, None
    told: dict[str, Any] = {"confirm": given.get("confirm", ""), "reason": given.get("reason", "").strip()}
    thaw = lambda: Selection.thaw(given.get("selection", ""), verb, principal)  # noqa: E731
    try:
        frozen, options = thaw(), _options(verb, given)
        if verb == "signal":
            payload = _payload_form(frozen.ids, options.get("name", ""), given)
            if not payload.is_valid():
                return _dry_run(request, verb, thaw, status=400, told=given, payload=payload)
            options["payload"] = payload.value()
        act = bulk.start(principal, verb, frozen, options=options, **told)
    except Igon7Error as error:
        if payload is not None and getattr(error, "errors", None):
            payload.refuse(error)
        return _dry_run(request, verb, thaw, str(error), error.status, told=given, payload=payload)
    return redirect("bulk_act", act.pk)


def _payload_form(ids: Sequence[uuid.UUID], name: str, data: Any = None) -> PayloadForm:
    """Return the form of a signal's payload: made of its schema, where all declare the same."""
    return PayloadForm(bulk.declared(ids, name), data)


def _selected(query: QueryDict) -> Selection:
    """Return what the list's form has sent: everything its query has, or the executions ticked."""
    if query.get("all"):
        asked = QueryDict(query.get("query", ""))
        return Selection.of_query({key: asked.getlist(key) for key in asked if key in KEYS})
    return Selection.of_ids(query.getlist("id"))


def _options(verb: str, given: QueryDict) -> dict[str, Any]:
    """Return the options that the form has; an empty field is none."""
    found: dict[str, Any] = {}
    for name, parameter in options_of(verb).items():
        value = given.get(f"option.{name}", "")
        if isinstance(parameter.default, bool):
            found[name] = bool(value)
        elif name == "input":
            found |= {name: parse_json(value, name)} if value.strip() else {}
        elif value:
            found[name] = value
    return found


def _ask_first(request: HttpRequest, verb: str, select: Select) -> HttpResponse:
    """Ask from which node or with which signal, before it can be said for which executions that is possible."""
    refused, status, choices, selected = "", 200, [], False
    find = bulk.signal_names if verb == "signal" else bulk.nodes
    try:
        choices = find(Principal.for_request(request), select())
        selected = bool(choices) or verb == "signal"
    except Igon7Error as error:
        refused, status = str(error), error.status
    context = {
        "verb": bulk_words.verb(verb),
        "choices": choices,
        "selected": selected,
        "refused": refused,
        "kept": [
            (name, each) for name, values in request.GET.lists() if name in _SELECTING for each in values
        ],
        "query": QueryDict(request.GET.get("query", "")).urlencode(),
    }
    return render(request, "orchestration/bulk_first.html", context, status=status)


def _dry_run(
    request: HttpRequest,
    verb: str,
    select: Select,
    refused: str = "",
    status: int = 200,
    told: Any = None,
    payload: PayloadForm | None = None,
) -> HttpResponse:
    principal, found, sample = Principal.for_request(request), None, []
    given = told or request.GET
    fixed = {name: given.get(f"option.{name}", "") for name in needed(verb)}
    try:
        found = bulk.preview(principal, verb, select(), fixed)
        sample = list(_rows(principal, found))
        if verb == "signal" and payload is None:
            payload = _payload_form(found.ids, fixed["name"])
    except Igon7Error as error:
        refused, status = refused or str(error), max(status, error.status)
    context = {
        "verb": bulk_words.verb(verb),
        "found": found,
        "sample": sample,
        "more": found.count - len(sample) if found else 0,
        "refused": refused,
        "told": told or {},
        "fixed": fixed,
        "payload": payload,
        "query": QueryDict(request.GET.get("query") or request.POST.get("query", "")).urlencode(),
        "options": [
            {"name": name, "is_switch": isinstance(each.default, bool)}
            for name, each in options_of(verb).items()
            if name not in fixed and name != "payload"
        ],
    }
    return render(request, "orchestration/bulk_start.html", context, status=status)


def _rows(principal: Principal, found: Preview) -> Any:
    return queries.executions(principal).filter(pk__in=found.ids[:SAMPLE]).defer("input", "output", "labels")


def load_act(principal: Principal, id: uuid.UUID) -> BulkAct:
    """Return the bulk act. Raises Http404."""
    try:
        return bulk.find(principal, id)
    except bulk.UnknownBulkAct as error:
        raise Http404(str(error)) from None


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def act(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Show how far a bulk act is, and what was refused."""
    return show(request, load_act(Principal.for_request(request), id))


@require_POST
@requires(CONSOLE_OPEN)
def stop(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Leave alone what nothing has been done to yet."""
    principal = Principal.for_request(request)
    found = load_act(principal, id)
    try:
        bulk.stop(principal, id)
    except bulk.BulkConflict as error:
        found.refresh_from_db()
        return show(request, found, refused=str(error), status=error.status)
    return redirect("bulk_act", id)


def show(request: HttpRequest, act: BulkAct, refused: str = "", status: int = 200) -> HttpResponse:
    """Render the page, or the part of it that changes."""
    after = request.GET.get("after", "")
    first = int(after) if after.isdecimal() and len(after) < 19 else 0
    items = list(bulk.refused_items(act, first, REFUSED + 1))
    context = {
        "act": act,
        "verb": bulk_words.verb(act.verb),
        "counts": bulk.counts(act),
        "items": items[:REFUSED],
        "next": items[REFUSED - 1].pk if len(items) > REFUSED else None,
        "first": first,
        "alive": queries.live_worker_nodes().exists(),
        "refused": refused,
    }
    part = asks_for_part(request, "progress")
    return render(
        request, f"orchestration/{'_bulk_progress' if part else 'bulk_act'}.html", context, status=status
    )
