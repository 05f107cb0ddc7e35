"""Deciding whether an event starts a workflow, and for whom it then acts."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import transaction

from orchestration import queries, registry
from orchestration.engine.errors import InvalidOption, UnknownTrigger
from orchestration.engine.graph import suggest
from orchestration.models import Trigger, Workflow
from orchestration.store import clock, versions
from security import actions, audit
from security.policies import authorise
from security.principals import Principal

from .acting import check_reason


def enable_trigger(
    workflow: str, event: str, *, principal: Principal, owner: str | None = None, reason: str = ""
) -> Trigger:
    """Let events of this name start the workflow, acting for `owner` (default: whoever says so).

    To name somebody else is an administrator's right; the owner must be allowed to run the workflow, now and whenever
    an event comes. Raises UnknownWorkflow, UnknownTrigger, InvalidOption, Denied.
    """
    row = _workflow(workflow, principal)
    authorise(principal, actions.TRIGGER_SET, row)
    person = _owner(owner, principal)
    if person is None or person.pk == principal.user_id:
        authorise(principal, actions.WORKFLOW_RUN, row)
    else:
        authorise(principal, actions.TRIGGER_ASSIGN)
        authorise(Principal.for_user(person), actions.WORKFLOW_RUN, row)
    given = {"enabled": True, "owner": person, "as_system": person is None}
    return _set(row, event, principal, given, reason)


def disable_trigger(workflow: str, event: str, *, principal: Principal, reason: str = "") -> Trigger:
    """Let events of this name start the workflow no more. Raises UnknownWorkflow, UnknownTrigger, Denied."""
    row = _workflow(workflow, principal)
    authorise(principal, actions.TRIGGER_SET, row)
    return _set(row, event, principal, {"enabled": False}, reason)


def _workflow(name: str, principal: Principal) -> Workflow:
    if (known := registry.get(name)) is not None:
        versions.version_of(known)  # what its code says of events is written with it
    return queries.workflow(principal, name)


def _owner(name: str | None, principal: Principal) -> AbstractUser | None:
    """Return whom the trigger is to act for; None: the system."""
    if name is None:
        return principal.person()
    person = get_user_model()._default_manager.filter(username=name, is_active=True).first()
    if person is None:
        raise InvalidOption(option="owner", value=name, expected="the name of an active person")
    return person


def _set(row: Workflow, event: str, principal: Principal, given: dict[str, Any], reason: str) -> Trigger:
    details = {"event": event, "reason": check_reason(reason), "enabled": given["enabled"]}
    if given["enabled"]:
        details["owner"] = given["owner"].get_username() if given["owner"] else "system"
    with transaction.atomic():
        changed = {**given, "changed_by": principal.name, "changed_at": clock.now()}
        rows = row.triggers.filter(event=event)
        if not rows.filter(declared=True).exists():
            names = row.triggers.filter(declared=True).values_list("event", flat=True)
            raise UnknownTrigger(workflow=row.name, event=event, hint=suggest(event, names))
        rows.update(**changed)
        audit.record(principal, actions.TRIGGER_SET, row, details=details)
    return rows.select_related("workflow", "owner").get()
