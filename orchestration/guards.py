"""How orchestration's models are guarded: grants are made on workflows, and reach their executions."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db.models import Exists, OuterRef, Q, QuerySet

from security import actions, objects, roles
from security.policies import allowed
from security.principals import Principal

_EVERYBODY = (roles.VIEWER, roles.OPERATOR, roles.APPROVER, roles.AUDITOR, roles.ADMIN)
_ROLES = {
    "view_workflow": _EVERYBODY,
    "run_workflow": (roles.OPERATOR, roles.ADMIN),
    "control_workflow": (roles.OPERATOR, roles.ADMIN),
    "approve_workflow": (roles.APPROVER, roles.ADMIN),
    "change_workflow": (roles.ADMIN,),
    "view_event": _EVERYBODY,
    "emit_event": (roles.OPERATOR, roles.ADMIN),
    "view_stateentry": _EVERYBODY,
    "change_stateentry": (roles.OPERATOR, roles.ADMIN),
    "view_workernode": _EVERYBODY,
}


def register() -> None:
    """Register with security.objects, and say what the roles may; called once, when the app is ready."""
    for codename, whose in _ROLES.items():
        roles.give("orchestration", codename, *whose)
    objects.register(
        "orchestration.Workflow",
        {
            actions.WORKFLOW_VIEW: "view_workflow",
            actions.WORKFLOW_RUN: "run_workflow",
            actions.CACHE_INVALIDATE: "control_workflow",
            actions.TRIGGER_SET: "control_workflow",
            actions.STATE_CHANGE: "control_workflow",
            actions.GRANT_MANAGE: "change_workflow",
        },
        _viewable,
    )
    objects.register(
        "orchestration.Execution",
        {
            actions.EXECUTION_VIEW: "view_workflow",
            actions.EXECUTION_CONTROL: "control_workflow",
            actions.EXECUTION_APPROVE: "approve_workflow",
            actions.STATE_CHANGE: "control_workflow",
        },
        lambda user, rows: rows.filter(workflow__in=_workflows(user)),
        holder=lambda execution: execution.workflow,
    )
    objects.register(
        "orchestration.Artifact",
        {actions.ARTIFACT_DOWNLOAD: "view_workflow"},
        lambda user, rows: rows.filter(execution__workflow__in=_workflows(user)),
        holder=lambda artifact: artifact.execution.workflow,
    )
    objects.register(
        "orchestration.Event",
        {actions.EVENT_VIEW: "view_event", actions.EVENT_EMIT: "emit_event"},
        _events,
    )
    objects.register(
        "orchestration.StateEntry",
        {actions.GLOBAL_STATE_VIEW: "view_stateentry", actions.GLOBAL_STATE_CHANGE: "change_stateentry"},
        lambda user, rows: rows if user.has_perm("orchestration.view_stateentry") else rows.none(),
    )
    # Whose executions it may touch is asked about each of them, when its turn comes.
    objects.register("orchestration.BulkAct", {}, lambda user, rows: rows.filter(created_by=user))
    objects.register(
        "orchestration.WorkerNode",
        {actions.WORKER_VIEW: "view_workernode"},
        lambda user, rows: rows if user.has_perm("orchestration.view_workernode") else rows.none(),
    )


def _viewable(user: AbstractUser, rows: QuerySet[Any]) -> QuerySet[Any]:
    from .grants import granted

    return granted(user, "view_workflow", rows)


def _workflows(user: AbstractUser) -> QuerySet[Any]:
    from .models import Workflow

    return _viewable(user, Workflow.objects.all()).values("pk")


def _events(user: AbstractUser, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return those that the person sent, or that come from, or have come to, workflows that they may view."""
    if user.has_perm("orchestration.view_event"):
        return rows
    from .models import Receipt

    seen = _workflows(user)
    given = Receipt.objects.filter(event=OuterRef("pk"), execution__isnull=False, workflow__in=seen)
    return rows.filter(Q(user=user) | Q(workflow__in=seen) | Exists(given))


def controllable(principal: Principal) -> QuerySet[Any]:
    """Return the workflows whose executions the principal may control."""
    return _workflows_for(principal, actions.EXECUTION_CONTROL, "control_workflow")


def decidable(principal: Principal) -> QuerySet[Any]:
    """Return the workflows of whose executions the principal decides what asks nobody by name."""
    return _workflows_for(principal, actions.EXECUTION_APPROVE, "approve_workflow") | controllable(principal)


def _workflows_for(principal: Principal, action: str, codename: str) -> QuerySet[Any]:
    from .grants import granted
    from .models import Workflow

    rows, person = Workflow.objects.all(), principal.person()
    if allowed(principal, action):
        return rows
    if person is None or not person.is_active:
        return rows.none()
    return granted(person, codename, rows)
