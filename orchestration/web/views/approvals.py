"""The inbox of approvals: what a person is asked, with what it is about, and their yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from orchestration import executor, queries
from orchestration.engine.errors import Igon7Error, InvalidOption
from orchestration.engine.states import NODE_OK
from orchestration.models import NodeRun, Wait
from orchestration.store.versions import graph_of
from orchestration.web.parts import asks_for_part, part_of_page
from orchestration.web.schema_form import AnswerForm
from security.actions import CONSOLE_OPEN
from security.errors import Denied
from security.principals import Principal
from security.web.guard import requires

SHOWN = 25
SAID = ("name", "text", "form", "roles", "users", "due")  # of an approval, by the card itself


@dataclass(frozen=True, slots=True)
class Ask:
    """What one approval asks, of whom, and with which form; `inputs` are results that its node was given."""

    wait: Any
    form: AnswerForm
    params: Any
    inputs: dict[str, Any]
    reason: str = ""

    @property
    def releases(self) -> bool:
        return queries.is_release(self.wait)

    @property
    def whom(self) -> str:
        about = self.wait.about or {}
        return ", ".join([*(about.get("users") or ()), *(about.get("roles") or ())])


@dataclass(frozen=True, slots=True)
class Refused:
    """A decision that was not taken: about what, why, and what was typed."""

    wait: int
    why: str
    reason: str
    form: AnswerForm | None = None


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def approvals(request: HttpRequest) -> HttpResponse:
    """Show what the person is asked, and what was decided."""
    return _show(request)


@require_POST
@requires(CONSOLE_OPEN)
def decide(request: HttpRequest, id: UUID, wait: int) -> HttpResponse:
    """Approve, or reject, what is asked; a reason is asked for."""
    principal, node = Principal.for_request(request), request.POST.get("node", "")
    asked = queries.to_decide(principal).filter(pk=wait, execution=id).first()
    form = _form(asked, request.POST) if asked is not None else None
    reason = request.POST.get("reason", "").strip()
    approved = request.POST.get("decision") == "approve"
    try:
        if approved and form is not None and not form.is_valid():
            return _show(request, Refused(wait, "", reason, form), 400)
        if not reason:
            raise InvalidOption(option="reason", value="", expected="a sentence; it is kept in the audit")
        told: dict[str, Any] = {"principal": principal, "comment": reason, "wait": wait}
        if approved:
            executor.approve(id, node, form=form.value() if form is not None else None, **told)
        elif request.POST.get("decision") == "reject":
            executor.reject(id, node, **told)
        else:
            raise InvalidOption(
                option="decision", value=request.POST.get("decision"), expected="approve or reject"
            )
    except Igon7Error as error:
        if form is not None and getattr(error, "errors", None):
            form.refuse(error)
        return _show(request, Refused(wait, str(error), reason, form), error.status)
    except Denied as error:
        return _show(request, Refused(wait, str(error), reason), 403)
    said = _("Approved: %s.") if approved else _("Rejected: %s.")
    messages.success(request, said % (asked.name if asked is not None else node))
    return redirect("approvals")


def _show(request: HttpRequest, refused: Refused | None = None, status: int = 200) -> HttpResponse:
    principal = Principal.for_request(request)
    rows = queries.inbox(principal)
    found = list(rows[: SHOWN + 1])
    asks = _asks(found[:SHOWN], refused)
    context = {
        "asks": asks,
        "more": len(found) > SHOWN,
        "refused": refused,
        "decided": queries.decided(principal),
    }
    part = asks_for_part(request, "asks")
    template = "orchestration/_approvals_list.html" if part else "orchestration/approvals.html"
    return render(request, template, context, status=status)


def _asks(waits: Sequence[Any], refused: Refused | None) -> list[Ask]:
    results = _results([wait for wait in waits if wait.seen or queries.is_release(wait)])
    found = []
    for wait in waits:
        spec = graph_of(wait.execution.version_id).nodes.get(wait.node_run.node)
        typed = refused if refused is not None and refused.wait == wait.pk else None
        form = typed.form if typed is not None and typed.form is not None else _form(wait)
        given = {node: results[wait.execution_id, node] for node in (spec.depends_on if spec else ())
                 if (wait.execution_id, node) in results}  # fmt: skip
        params = _params(spec.params) if spec else None
        found.append(Ask(wait, form, params, given, typed.reason if typed else ""))
    return found


def _params(params: Any) -> dict[str, Any]:
    """Return a node's parameters but for those that the card says in its own way."""
    return {name: value for name, value in params.items() if name not in SAID}


def _results(waits: Sequence[Wait]) -> dict[tuple[UUID, str], Any]:
    """Return what the nodes gave that these depend on, in one query for all of them."""
    if not waits:
        return {}
    parents = {(w.execution_id, node) for w in waits for node in _parents(w)}
    rows = NodeRun.objects.filter(
        execution__in={id for id, _node in parents}, node__in={node for _id, node in parents},
        index=-1, for_node="", superseded=False, status__in=[each.value for each in NODE_OK],
    )  # fmt: skip
    found = {(row.execution_id, row.node): row.result for row in rows.only("execution_id", "node", "result")}
    return {key: result for key, result in found.items() if key in parents and result is not None}


def _parents(wait: Wait) -> Sequence[str]:
    spec = graph_of(wait.execution.version_id).nodes.get(wait.node_run.node)
    return spec.depends_on if spec else ()


def _form(wait: Any, data: Any = None) -> AnswerForm:
    return AnswerForm((wait.about or {}).get("form"), data, ids=f"a{wait.pk}_%s")
