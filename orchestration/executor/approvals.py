"""Saying yes or no to a body that asks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from orchestration import inputs
from orchestration.engine.errors import IllegalMove, UnknownExecution
from orchestration.models import Execution, Wait
from orchestration.store import approvals
from orchestration.store.sql import Statement
from security import actions, audit
from security.errors import Denied
from security.models import AuditRecord
from security.objects import Resource
from security.policies import allowed, visible_to
from security.principals import Principal

from .acting import check_reason, resource_of

ACTION = "execution.approve"


def approve(
    execution_id: uuid.UUID | str,
    node: str,
    *,
    principal: Principal,
    form: Mapping[str, Any] | None = None,
    comment: str = "",
) -> None:
    """Approve what the node asks, with the answers to its form.

    Raises IllegalMove, UnknownExecution, InvalidAnswers, InvalidOption, Denied.
    """
    _decide(execution_id, node, True, principal, form, comment)


def reject(execution_id: uuid.UUID | str, node: str, *, principal: Principal, comment: str = "") -> None:
    """Reject what the node asks: it fails, and says who did. Raises IllegalMove, UnknownExecution, Denied."""
    _decide(execution_id, node, False, principal, None, comment)


def may_decide(principal: Principal, wait: Wait) -> bool:
    """Say whether the principal may decide: named, or of a named role; where none is, whoever may control it.

    Nobody decides about what they have started themselves.
    """
    about, execution = wait.about or {}, wait.execution
    if principal.user_id is not None and principal.user_id == execution.started_by_id:
        return False
    users, roles = about.get("users") or (), about.get("roles") or ()
    if not users and not roles:
        return allowed(principal, actions.EXECUTION_CONTROL, execution)
    person = principal.person()
    if person is None or not person.is_active:
        return False
    return person.get_username() in users or person.groups.filter(name__in=roles).exists()


def _decide(
    execution_id: uuid.UUID | str,
    node: str,
    approved: bool,
    principal: Principal,
    form: Mapping[str, Any] | None,
    comment: str,
) -> None:
    wait = _asked(execution_id, node)
    resource = resource_of(wait.execution_id, wait.execution.workflow.name)
    if not may_decide(principal, wait):
        _refuse(principal, wait, resource)
    schema = (wait.about or {}).get("form") if approved else None
    answers = json.loads(inputs.check_answers(wait.name, schema, form)) if form or schema else None
    said = check_reason(comment)
    about = {"by": principal.name, "comment": said, "form": answers}
    details = {"node": node, "approved": approved, "comment": said}

    def audited() -> list[Statement]:
        return [audit.statement(connection, principal, ACTION, [resource], details)]

    act = partial(approvals.decide, wait.execution_id, wait.pk, node, approved, about)
    act(audited)


def _asked(execution_id: uuid.UUID | str, node: str) -> Wait:
    """Return what the node asks; who is named may decide without being allowed to see the rest."""
    try:
        key = uuid.UUID(str(execution_id))
    except ValueError:
        raise UnknownExecution(id=execution_id) from None
    rows = Wait.objects.select_related("execution__workflow").filter(
        execution=key, kind="approval", node_run__node=node, node_run__superseded=False
    )
    wait = rows.filter(node_run__status="waiting").order_by("pk").first()
    if wait is None:
        state = f'not waiting for an approval of "{node}"'
        hint = "Somebody has decided, its time is over, or the execution has ended."
        raise IllegalMove(id=key, state=state, verb="take one", hint=hint)
    return wait


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
