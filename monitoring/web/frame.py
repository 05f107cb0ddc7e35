"""The live view for pages that cannot open a WebSocket."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from monitoring.positions import position
from monitoring.reader import Newcomer, read_once
from orchestration import queries
from orchestration.engine.errors import InvalidOption, UnknownExecution
from orchestration.models import Execution
from security.actions import EXECUTION_VIEW
from security.principals import Principal
from security.web.guard import requires


def _load(principal: Principal, id: uuid.UUID) -> Execution:
    try:
        return queries.execution(principal, id)
    except UnknownExecution as error:
        raise Http404(str(error)) from None


@never_cache
@require_GET
@requires(EXECUTION_VIEW, _load)
def frame(request: HttpRequest, execution: Execution) -> HttpResponse:
    """Return once the frame that the WebSocket would send first."""
    try:
        after, line = position(request.GET.dict())
    except InvalidOption as error:
        return JsonResponse({"code": error.code, "detail": str(error)}, status=error.status)
    language = get_language() or "en"
    found = read_once(Newcomer(execution.pk, after, line, language), execution)
    return JsonResponse(found.as_json(language), json_dumps_params={"ensure_ascii": False})
