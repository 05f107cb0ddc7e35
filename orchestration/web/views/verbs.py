"""What a person does to an execution: one POST a verb, each done by `executor` alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from orchestration import executor, queries
from orchestration.engine.errors import Igon7Error, IllegalMove, InvalidOption
from orchestration.models import Execution
from orchestration.web.access import load_execution
from orchestration.web.execution_page import VERBS
from security.actions import EXECUTION_CONTROL
from security.principals import Principal
from security.web.guard import requires

from .attention import show_inbox
from .execution import show

REASON_LIMIT = 500


@require_POST
@requires(EXECUTION_CONTROL, load_execution)
def act(request: HttpRequest, execution: Execution, verb: str) -> HttpResponse:
    """Do the URL's verb; when it cannot be done now, show the page with the reason and the error's status."""
    if verb not in VERBS:
        raise Http404
    told: dict[str, Any] = {"reason": request.POST.get("reason", "").strip()[:REASON_LIMIT]}
    if verb == "retry" and request.POST.get("node"):
        told["node"] = request.POST["node"]
    if verb == "cancel" and request.POST.get("rollback"):
        told["rollback"] = True
    return _done(request, execution, lambda by: getattr(executor, verb)(execution.pk, principal=by, **told))


@require_POST
@requires(EXECUTION_CONTROL, load_execution)
def attend(request: HttpRequest, execution: Execution) -> HttpResponse:
    """Do what is decided about a node that needs attention; a result is JSON, and a reason is asked for.

    Go back to where the decision was taken: the execution, or with `inbox` the inbox.
    """
    node, decision = request.POST.get("node", ""), request.POST.get("decision", "")
    reason = request.POST.get("reason", "").strip()[:REASON_LIMIT]

    def decide(by: Principal) -> None:
        if not reason:
            raise InvalidOption(option="reason", value="", expected="a sentence; it is kept in the audit")
        result = parse_json(request.POST.get("result", ""), "result") if decision == "supply" else None
        given = request.POST.get("input", "").strip() if decision == "retry" else ""
        edited = {"input": parse_json(given, "input")} if given else {}
        executor.attend(execution.pk, node, decision, principal=by, result=result, reason=reason, **edited)

    if "inbox" not in request.POST:
        return _done(request, execution, decide)
    return _back_to_inbox(request, execution, decide)


def _back_to_inbox(
    request: HttpRequest, execution: Execution, decide: Callable[[Principal], None]
) -> HttpResponse:
    workflows = [name for name in request.POST.getlist("workflow") if name]
    principal, node = Principal.for_request(request), request.POST.get("node", "")
    try:
        # A page that is minutes old must not reopen what somebody else has decided, and what has ended since.
        if not queries.asking_nodes(principal).filter(execution=execution, node=node).exists():
            hint = "Somebody has decided about it, or the execution has ended."
            state = f'not asking for a decision about "{node}" any more'
            raise IllegalMove(id=execution.pk, state=state, verb="be decided about", hint=hint)
        decide(principal)
    except Igon7Error as error:
        about = {"execution": str(execution.pk), "node": node}
        typed = {name: request.POST.get(name, "") for name in ("reason", "result")}
        return show_inbox(request, workflows, {"why": str(error), **about, **typed}, error.status)
    query = urlencode([("workflow", name) for name in workflows])
    return redirect(f"{reverse('attention')}?{query}" if query else "attention")


def parse_json(text: str, option: str) -> Any:
    """Return what a person has typed as JSON. Raises InvalidOption."""
    if not text.strip():
        raise InvalidOption(option=option, value="", expected="JSON; null where there is nothing")
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidOption(option=option, value=text[:80], expected=f"JSON ({error})") from None


def _done(request: HttpRequest, execution: Execution, act: Callable[[Principal], None]) -> HttpResponse:
    try:
        act(Principal.for_request(request))
    except Igon7Error as error:
        execution.refresh_from_db()
        return show(request, execution, refused=str(error), status=error.status)
    return redirect("execution", execution.pk)
