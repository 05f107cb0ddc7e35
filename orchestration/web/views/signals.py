"""What an execution was told, and telling it something."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from orchestration import executor, queries
from orchestration.engine.errors import Igon7Error
from orchestration.engine.states import EXECUTION_TERMINAL
from orchestration.models import Execution, Signal
from orchestration.store.versions import graph_of
from orchestration.web.access import load_execution
from orchestration.web.parts import asks_for_part, part_of_page
from orchestration.web.schema_form import SignalForm
from security.actions import EXECUTION_CONTROL, EXECUTION_VIEW
from security.principals import Principal
from security.web.guard import requires

SHOWN = 50
SUGGESTED = 20


@require_GET
@part_of_page
@requires(EXECUTION_VIEW, load_execution)
def signals(request: HttpRequest, execution: Execution) -> HttpResponse:
    """Show an execution's signals, the newest first, and the form to send one."""
    if asks_for_part(request, "signals"):
        return render(request, "orchestration/_signals_list.html", _listed(request, execution))
    name, whole = request.GET.get("name", ""), request.GET.get("as") == "json"
    return _show(request, execution, _form(execution, name, whole), whole)


@require_POST
@requires(EXECUTION_CONTROL, load_execution)
def send(request: HttpRequest, execution: Execution) -> HttpResponse:
    """Send what the form says, or show the form again with what is wrong."""
    name, whole = request.POST.get("name", "").strip(), request.POST.get("as") == "json"
    form = _form(execution, name, whole, request.POST)
    if not form.is_valid():
        return _show(request, execution, form, whole, status=400)
    told = {"principal": Principal.for_request(request), "id": form.cleaned_data["id"]}
    try:
        executor.send_signal(execution.pk, name, form.value(), **told)
    except Igon7Error as error:
        execution.refresh_from_db()
        form.refuse(error)
        return _show(request, execution, form, whole, status=error.status)
    if name in executor.RESERVED:
        return redirect("execution", execution.pk)
    messages.success(request, _("The signal “%s” is kept.") % name)
    return redirect("signals", execution.pk)


def _form(execution: Execution, name: str, whole: bool, data: Any = None) -> SignalForm:
    """Return the form of the signal: made of its schema, where it is declared."""
    schema = graph_of(execution.version_id).signals.get(name)
    return SignalForm(schema, data, whole=whole, initial={"name": name})


def _show(
    request: HttpRequest, execution: Execution, form: SignalForm, whole: bool, status: int = 200
) -> HttpResponse:
    principal, declared = Principal.for_request(request), graph_of(execution.version_id).signals
    awaited = queries.awaited_signals([execution.pk])
    names = list(dict.fromkeys([*awaited, *declared]))[:SUGGESTED]
    context = {
        "form": form,
        "whole": whole,
        "ended": execution.status in EXECUTION_TERMINAL,
        "may_send": executor.may(principal, "signal", execution),
        "chosen": form["name"].value() or "",
        "names": names,
        "awaited": awaited,
        "declared": declared,
    }
    return render(request, "orchestration/signals.html", context | _listed(request, execution), status=status)


def _listed(request: HttpRequest, execution: Execution) -> dict[str, Any]:
    before = request.GET.get("before", "")
    rows = queries.signals(execution.pk).order_by("-id")
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found: list[Signal] = list(rows[: SHOWN + 1])
    return {
        "execution": execution,
        "signals": [(row, queries.signal_state(row, execution)) for row in found[:SHOWN]],
        "older": found[SHOWN - 1].pk if len(found) > SHOWN else None,
    }
