"""Saying yes or no to a body that asks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from orchestration import inputs, queries
from orchestration.engine.errors import IllegalMove, InvalidOption, UnknownExecution
from orchestration.models import Execution, Wait
from orchestration.models.messaging import ASKING
from orchestration.store import approvals
from orchestration.store.sql import Statement
from security import audit
from security.errors import Denied
from security.models import AuditRecord
from security.objects import Resource
from security.policies import visible_to
from security.principals import Principal

from . import admission
from .acting import check_reason, resource_of

ACTION, RELEASE = "execution.approve", "execution.release"


def approve(
    execution_id: uuid.UUID | str,
    node: str,
    *,
    principal: Principal,
    form: Mapping[str, Any] | None = None,
    comment: str = "",
    wait: int | None = None,
) -> None:
    """Approve what the node asks, with the answers to its form; `wait` says which question is meant.

    A node that does not run for everybody is released so: by somebody for whom it would run, with `wait`.

    Raises IllegalMove, UnknownExecution, InvalidAnswers, InvalidOption, Denied.
    """
    _decide(execution_id, node, True, principal, form, comment, wait)


def reject(
    execution_id: uuid.UUID | str,
    node: str,
    *,
    principal: Principal,
    comment: str = "",
    wait: int | None = None,
) -> None:
    """Reject what the node asks: it fails, and says who did. Raises IllegalMove, UnknownExecution, Denied."""
    _decide(execution_id, node, False, principal, None, comment, wait)


def _decide(
    execution_id: uuid.UUID | str,
    node: str,
    approved: bool,
    principal: Principal,
    form: Mapping[str, Any] | None,
    comment: str,
    asked: int | None,
) -> None:
    wait = _asked(execution_id, node, principal, asked)
    resource = resource_of(wait.execution_id, wait.execution.workflow.name)
    if not queries.to_decide(principal).filter(pk=wait.pk).exists():
        _refuse(principal, wait, resource)
    schema = (wait.about or {}).get("form") if approved else None
    answers = json.loads(inputs.check_answers(wait.name, schema, form)) if form or schema else None
    said = check_reason(comment)
    about = {"by": principal.name, "comment": said, "form": answers}
    if queries.is_release(wait):
        about |= _release(wait, approved, principal, asked)
    details = {"node": node, "approved": approved, "comment": said}

    def audited() -> list[Statement]:
        action = RELEASE if queries.is_release(wait) else ACTION
        return [audit.statement(connection, principal, action, [resource], details)]

    try:
        approvals.decide(wait.execution_id, wait.pk, node, approved, about, audited)
    except IllegalMove:  # somebody was quicker
        raise _over(wait.execution_id, node, queries.decision_of(wait)) from None


def _release(wait: Wait, approved: bool, principal: Principal, asked: int | None) -> dict[str, Any]:
    """Return what is kept of who releases a node, and of what they were shown. Raises InvalidOption, Denied."""
    if asked is None:
        expected = "the number of the question: it stands for the input that you were shown"
        raise InvalidOption(option="wait", value=asked, expected=expected)
    if approved:
        admission.check_release(wait, principal)
    return {"principal": principal.to_json(), "digest": wait.about["digest"]}


def _asked(execution_id: uuid.UUID | str, node: str, principal: Principal, asked: int | None) -> Wait:
    """Return what the node asks; who is named may decide without being allowed to see the rest."""
    try:
        key = uuid.UUID(str(execution_id))
    except ValueError:
        raise UnknownExecution(id=execution_id) from None
    parked = {"node_run__node": node, "node_run__status": "waiting", "node_run__superseded": False}
    rows = Wait.objects.select_related("execution__workflow").filter(execution=key, kind__in=ASKING, **parked)
    wait = (rows.filter(pk=asked) if asked is not None else rows).order_by("pk").first()
    if wait is None:
        seen = visible_to(principal, Execution.objects.filter(pk=key)).exists()
        raise _over(key, node, queries.last_decision(key, node) if seen else None)
    return wait


def _over(id: uuid.UUID, node: str, decision: queries.Decision | None) -> IllegalMove:
    hint = "Somebody has decided, its time is over, or the execution has ended."
    if decision is not None:
        by = decision.said.get("by")
        hint = f"{by} has {decision.came} it." if by else "Nobody decided in time."
    return IllegalMove(id=id, state=f'not waiting for an approval of "{node}"', verb="take one", hint=hint)


def _refuse(principal: Principal, wait: Wait, resource: Resource) -> None:
    if not visible_to(principal, Execution.objects.filter(pk=wait.execution_id)).exists():
        raise UnknownExecution(id=wait.execution_id)
    audit.record(principal, ACTION, resource, outcome=AuditRecord.Outcome.DENIED)
    if principal.user_id is not None and principal.user_id == wait.execution.started_by_id:
        raise Denied(_("Whoever started an execution cannot approve what it asks."))
    about = wait.about or {}
    names = ", ".join([*(about.get("users") or ()), *(about.get("roles") or ())])
    said = {"who": principal.name, "name": wait.name, "names": names or _("whoever may control it")}
    raise Denied(_("%(who)s may not decide about “%(name)s”; asked are: %(names)s.") % said)
