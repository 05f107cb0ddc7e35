"""Giving people roles, and taking them: nobody gives to themselves, or more than they have."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext as _

from security import audit
from security.actions import PERSON_MANAGE
from security.errors import NO_GAIN, Denied
from security.policies import authorise
from security.principals import Principal

ROLES_CHANGED = "person.roles"


def give_role(principal: Principal, person: Any, role: Group, reason: str = "") -> None:
    """Make the person a member of the role. Raises Denied."""
    authorise(principal, PERSON_MANAGE)
    refuse_self(principal, person)
    _change(principal, person, reason, lambda: person.groups.add(role))


def take_role(principal: Principal, person: Any, role: Group, reason: str = "") -> None:
    """End the person's membership of the role. Raises Denied, also when nobody would be left who may do everything."""
    authorise(principal, PERSON_MANAGE)
    _change(principal, person, reason, lambda: person.groups.remove(role))


def refuse_self(principal: Principal, person: Any) -> None:
    """Raise Denied when the person is the one who acts."""
    if person is not None and principal.user_id == person.pk:
        raise Denied(_("Nobody gives rights to themselves: ask somebody else who may."), NO_GAIN)


def _change(principal: Principal, person: Any, reason: str, act: Any) -> None:
    with transaction.atomic():
        before = _roles(person)
        act()
        changes = {"groups": [before, _roles(person)]}
        if changes["groups"][0] != changes["groups"][1]:
            audit.record(
                principal, ROLES_CHANGED, person, details={"changes": changes, "reason": reason[:500]}
            )


def _roles(person: Any) -> list[str]:
    return list(person.groups.order_by("name").values_list("name", flat=True))
