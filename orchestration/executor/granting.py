"""Giving permissions on workflows, and taking them: never to oneself, never more than one has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.utils.translation import gettext as _

from orchestration import queries
from orchestration.engine.errors import InvalidOption
from orchestration.engine.graph import suggest
from orchestration.models import TagGrant, Workflow, WorkflowGroupPermission, WorkflowUserPermission
from orchestration.queries.access import PERMISSIONS
from security import actions, audit
from security.errors import NO_GAIN, Denied
from security.objects import Resource
from security.people import refuse_self
from security.policies import authorise, sees_everything
from security.principals import Principal

from .acting import check_reason

GIVEN, TAKEN = "grant.give", "grant.take"
TAG_LIMIT = 200


@dataclass(frozen=True, slots=True)
class _Grant:
    """A permission, on what (a workflow or else a tag), and whose (a person's or else a role's)."""

    permission: str
    workflow: Workflow | None
    tag: str
    person: Any
    role: Group | None

    def row(self) -> tuple[Any, dict[str, Any]]:
        """Return the table that keeps it, and its columns."""
        to: dict[str, Any] = {"user": self.person} if self.person is not None else {"group": self.role}
        about = {"content_type__app_label": "orchestration", "codename": f"{self.permission}_workflow"}
        to["permission"] = Permission.objects.get(**about)
        if self.workflow is None:
            return TagGrant.objects, {**to, "tag": self.tag}
        table = WorkflowUserPermission if self.person is not None else WorkflowGroupPermission
        return table._default_manager, {**to, "content_object": self.workflow}

    def resource(self) -> Workflow | Resource:
        return self.workflow or Resource("orchestration.tag", self.tag, self.tag)

    def details(self, reason: str) -> dict[str, Any]:
        to = {"person": self.person.get_username()} if self.person is not None else {"role": str(self.role)}
        return {"permission": self.permission, **to, "reason": reason}


def grant(permission: str, *, principal: Principal, reason: str = "", **about: Any) -> bool:
    """Give a permission on `workflow=` or `tag=` to `person=` or `role=`; say whether it was not there yet.

    Who may change a workflow gives on it what they have there themselves; administrators give everything.
    Raises UnknownWorkflow, InvalidOption, Denied.
    """
    asked, why = _asked(permission, principal, **about), check_reason(reason)
    authorise(principal, actions.GRANT_MANAGE, asked.workflow)
    refuse_gain(principal, permission, asked.workflow, asked.person, asked.role)
    rows, columns = asked.row()
    with transaction.atomic():
        _row, new = rows.get_or_create(**columns)
        if new:
            audit.record(principal, GIVEN, asked.resource(), details=asked.details(why))
    return bool(new)


def revoke(permission: str, *, principal: Principal, reason: str = "", **about: Any) -> bool:
    """Take such a permission away; say whether it was there. Raises UnknownWorkflow, InvalidOption, Denied."""
    asked, why = _asked(permission, principal, **about), check_reason(reason)
    authorise(principal, actions.GRANT_MANAGE, asked.workflow)
    rows, columns = asked.row()
    with transaction.atomic():
        count, _each = rows.filter(**columns).delete()
        if count:
            audit.record(principal, TAKEN, asked.resource(), details=asked.details(why))
    return bool(count)


def refuse_gain(
    principal: Principal, permission: str, workflow: Workflow | None, person: Any, role: Group | None
) -> None:
    """Raise Denied when this would be a gift to oneself, or of what the giver does not have."""
    refuse_self(principal, person)
    if sees_everything(principal):
        return
    giver, name = principal.person(), f"orchestration.{permission}_workflow"
    if giver is None or (role is not None and giver.groups.filter(pk=role.pk).exists()):
        raise Denied(_("Nobody gives rights to a role of their own: ask somebody else who may."), NO_GAIN)
    if not (giver.has_perm(name) or (workflow is not None and giver.has_perm(name, workflow))):
        raise Denied(_("Nobody gives what they may not do themselves."), NO_GAIN)


def _asked(
    permission: str,
    principal: Principal,
    workflow: str | None = None,
    tag: str | None = None,
    person: str | None = None,
    role: str | None = None,
) -> _Grant:
    if permission not in PERMISSIONS:
        raise InvalidOption(
            option="permission", value=permission, expected=f"one of {', '.join(PERMISSIONS)}"
        )
    _one_of(workflow=workflow, tag=tag)
    _one_of(person=person, role=role)
    if tag and (len(tag) > TAG_LIMIT or "\0" in tag):
        raise InvalidOption(option="tag", value=tag[:80], expected=f"a tag of up to {TAG_LIMIT} characters")
    return _Grant(
        permission,
        queries.workflow(principal, workflow) if workflow else None,
        tag or "",
        _person(person) if person else None,
        _role(role) if role else None,
    )


def _one_of(**two: str | None) -> None:
    if len([value for value in two.values() if value]) != 1:
        first, second = two
        raise InvalidOption(option=first, value=two[first], expected=f"given, or else {second}")


def _person(name: str) -> Any:
    found = get_user_model()._default_manager.filter(username=name.replace("\0", "")).first()
    if found is None:
        raise InvalidOption(option="person", value=name[:150], expected="the name of a person")
    return found


def _role(name: str) -> Group:
    found = Group.objects.filter(name=name.replace("\0", "")).first()
    if found is None:
        hint = suggest(name, Group.objects.values_list("name", flat=True)[:200])
        raise InvalidOption(
            option="role", value=name[:150], expected=f"the name of a role. {hint}".rstrip(". ")
        )
    return found
