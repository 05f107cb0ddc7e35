"""What a person does to an execution: one POST a verb, each done by `executor` alone."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from orchestration import executor
from orchestration.engine.errors import Igon7Error
from orchestration.models import Execution
from orchestration.web.access import load_execution
from orchestration.web.execution_page import VERBS
from security.actions import EXECUTION_CONTROL
from security.principals import Principal
from security.web.guard import requires

from .execution import show

REASON_LIMIT = 500


@require_POST
@requires(EXECUTION_CONTROL, load_execution)
def act(request: HttpRequest, execution: Execution, verb: str) -> HttpResponse:
    """Do the URL's verb; when it cannot be done now, show the page with the reason and the error's status."""
    if verb not in VERBS:
        raise Http404
    told = {"reason": request.POST.get("reason", "").strip()[:REASON_LIMIT]}
    if verb == "retry" and request.POST.get("node"):
        told["node"] = request.POST["node"]
    try:
        getattr(executor, verb)(execution.pk, principal=Principal.for_request(request), **told)
    except Igon7Error as error:
        execution.refresh_from_db()
        return show(request, execution, refused=str(error), status=error.status)
    return redirect("execution", execution.pk)
