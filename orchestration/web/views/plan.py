"""What a person is about to do to an execution: a page that says what would happen, and does it."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from orchestration import executor
from orchestration.engine.errors import Igon7Error, InvalidOption
from orchestration.models import Execution
from orchestration.web.access import load_execution
from orchestration.web.plan_words import PREVIEW_WORDS, PlanWords, words_of
from security.actions import EXECUTION_CONTROL, EXECUTION_VIEW
from security.principals import Principal
from security.web.guard import requires

from .verbs import REASON_LIMIT, parse_json


@require_GET
@requires(EXECUTION_CONTROL, load_execution)
def preview(request: HttpRequest, execution: Execution, verb: str) -> HttpResponse:
    """Show what an act would do; a dialog fetches this when it opens."""
    told = _preview(request, execution, verb, rollback=request.GET.get("rollback") == "1")
    return render(request, "orchestration/_preview.html", told)


@require_http_methods(["GET", "POST"])
@requires(EXECUTION_VIEW, load_execution)
def plan(request: HttpRequest, execution: Execution, verb: str) -> HttpResponse:
    """Show what would happen; a POST does it, and goes to the execution that runs then."""
    words = words_of(verb)
    if words is None:
        raise Http404
    refused, status = "", 200
    if request.method == "POST":
        try:
            started = _do(request, execution, verb, words)
        except Igon7Error as error:
            refused, status = str(error), error.status
        else:
            return redirect("execution", started or execution.pk)
    context = _preview(request, execution, verb) | {
        "execution": execution,
        "verb": verb,
        "words": words,
        "title": str(words.title) % {"node": _node(request) or ""},
        "node": _node(request),
        "refused": refused,
        "given": request.POST.get("input") or json.dumps(execution.input, ensure_ascii=False, indent=2),
        "typed": request.POST,
    }
    return render(request, "orchestration/plan.html", context, status=status)


def _preview(
    request: HttpRequest, execution: Execution, verb: str, *, rollback: bool = False
) -> dict[str, Any]:
    by = Principal.for_request(request)
    try:
        found = executor.preview(execution.pk, verb, principal=by, node=_node(request), rollback=rollback)
    except Igon7Error as error:
        return {"impossible": str(error)}
    return {"preview": [(PREVIEW_WORDS[name], told) for name, told in found.items() if told["count"]]}


def _node(request: HttpRequest) -> str | None:
    return request.POST.get("node") or request.GET.get("node") or None


def _do(request: HttpRequest, execution: Execution, verb: str, words: PlanWords) -> Any:
    """Do it; return the id of an execution that it starts."""
    given: dict[str, Any] = {
        "principal": Principal.for_request(request),
        "reason": request.POST.get("reason", "").strip()[:REASON_LIMIT],
    }
    node = _node(request)
    if (
        words.takes == "input"
        and (edited := parse_json(request.POST.get("input", ""), "input")) != execution.input
    ):
        given["input"] = edited
    if verb == "rerun":
        return executor.rerun(execution.pk, **given)
    if node is None:
        raise InvalidOption(option="node", value=None, expected="the id of a node")
    if verb == "fork":
        return executor.fork(execution.pk, node, **given)
    if verb == "retry":
        executor.retry(execution.pk, node=node, **given)
        return None
    result = parse_json(request.POST.get("result", ""), "result") if words.takes == "result" else None
    # Whoever was shown an ended execution means to bring it back.
    executor.attend(execution.pk, node, verb, result=result, reopen=bool(request.POST.get("reopen")), **given)
    return None
