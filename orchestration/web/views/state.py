"""Shared state: the keys of an execution, of a workflow, or those that all share; and changing one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from orchestration import executor, queries
from orchestration.engine.errors import Igon7Error, StateChanged, UnknownState
from orchestration.models import StateEntry
from orchestration.queries.state import previewed, state_entry, writers
from orchestration.web.state_form import StateForm
from security.actions import CONSOLE_OPEN
from security.principals import Principal
from security.web.guard import requires

SHOWN = 50
OWNERS = ("execution", "workflow")


# Whose state may be viewed, or changed, is asked by the executor: addresses name an execution, a workflow, or neither.


@require_GET
@requires(CONSOLE_OPEN)
def state(request: HttpRequest) -> HttpResponse:
    """List the keys, with the form to set another."""
    whose = _whose(request, request.GET)
    return _list(request, whose, StateForm(initial={"version": 0}))


@require_GET
@requires(CONSOLE_OPEN)
def value(request: HttpRequest) -> HttpResponse:
    """Show one value, with the form to change it."""
    whose = _whose(request, request.GET)
    place = whose.place()
    try:
        entry = state_entry(place.scope, place.owner, request.GET.get("key", ""))
    except UnknownState as error:
        raise Http404(str(error)) from None
    return _entry(request, whose, entry, StateForm.of(entry))


@require_POST
@requires(CONSOLE_OPEN)
def set_value(request: HttpRequest) -> HttpResponse:
    """Set what the form says if the value is still the one that was shown, or show the form again."""
    whose, form = _whose(request, request.POST), StateForm(request.POST)
    if not form.is_valid():
        return _again(request, whose, form, 400)
    about = {name: form.cleaned_data[name] for name in ("ttl", "version", "reason")}
    try:
        executor.set_state(
            form.cleaned_data["key"], form.cleaned_data["value"], **about, **_named(request, request.POST)
        )
    except Igon7Error as error:
        form.add_error(None, str(error))
        return _again(request, whose, form, error.status)
    messages.success(request, _("“%s” is set.") % form.cleaned_data["key"])
    return redirect(_address("state_value", whose, key=form.cleaned_data["key"]))


@require_POST
@requires(CONSOLE_OPEN)
def delete_value(request: HttpRequest) -> HttpResponse:
    """Delete the value if it is still the one that was shown."""
    whose, key = _whose(request, request.POST), request.POST.get("key", "")
    shown = request.POST.get("version", "")
    version = int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 19 else -1
    about: dict[str, Any] = {"version": version, "reason": request.POST.get("reason", "").strip()[:500]}
    try:
        executor.delete_state(key, **about, **_named(request, request.POST))
    except StateChanged as error:
        messages.error(request, str(error), extra_tags="bad")
        return redirect(_address("state_value", whose, key=key))
    except Igon7Error as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        messages.success(request, _("“%s” is deleted.") % key)
    return redirect(_address("state", whose))


# --- how ---------------------------------------------------------------------------------------------


def _named(request: HttpRequest, given: QueryDict) -> dict[str, Any]:
    named = {name: given.get(name) or None for name in OWNERS}
    return {**named, "principal": Principal.for_request(request)}


def _whose(request: HttpRequest, given: QueryDict) -> executor.StateOf:
    """Return whose state the address names. Raises Http404 for what the person may not view."""
    try:
        return executor.state_of(**_named(request, given))
    except Igon7Error as error:
        raise Http404(str(error)) from None


def _query(whose: executor.StateOf) -> dict[str, str]:
    if whose.execution is not None:
        return {"execution": str(whose.execution.pk)}
    return {"workflow": whose.workflow.name} if whose.workflow is not None else {}


def _address(name: str, whose: executor.StateOf, **more: str) -> str:
    query = QueryDict(mutable=True)
    query.update({**_query(whose), **more})
    return reverse(name) + (f"?{query.urlencode()}" if query else "")


def _again(request: HttpRequest, whose: executor.StateOf, form: StateForm, status: int) -> HttpResponse:
    """Show the form again, beside what there is now: a second press changes that."""
    place = whose.place()
    entry = queries.state(place.scope, place.owner).filter(key=form.data.get("key", "")).first()
    if entry is None or form.is_new:
        return _list(request, whose, form, status)
    form.renew(entry.version)
    return _entry(request, whose, entry, form, status)


def _about(request: HttpRequest, whose: executor.StateOf, form: StateForm) -> dict[str, Any]:
    return {
        "whose": whose,
        "owner": _query(whose),
        "form": form,
        "may_change": executor.may_set_state(Principal.for_request(request), whose),
        "list_address": _address("state", whose),
        "value_address": _address("state_value", whose, key=""),
    }


def _list(request: HttpRequest, whose: executor.StateOf, form: StateForm, status: int = 200) -> HttpResponse:
    search = request.GET.get("q", "").replace("\0", "").strip()
    after = request.GET.get("after", "").replace("\0", "")
    place = whose.place()
    rows = list(previewed(queries.state(place.scope, place.owner, search, after))[: SHOWN + 1])
    sought = {"q": search} if search else {}
    more = _address("state", whose, **sought, after=rows[SHOWN - 1].key) if len(rows) > SHOWN else ""
    context = {
        "entries": rows[:SHOWN],
        "seen": writers(Principal.for_request(request), rows),
        "q": search,
        "after": after,
        "more": more,
        "first": _address("state", whose, **sought),
    }
    context |= _about(request, whose, form)
    return render(request, "orchestration/state.html", context, status=status)


def _entry(
    request: HttpRequest, whose: executor.StateOf, entry: StateEntry, form: StateForm, status: int = 200
) -> HttpResponse:
    context = {"entry": entry, "seen": writers(Principal.for_request(request), [entry])}
    context |= _about(request, whose, form)
    return render(request, "orchestration/state_value.html", context, status=status)
