"""Who may do everything, and that there is always somebody who may.

Kept where people, groups and roles are written, so that every door, a shell's too, comes past it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.signals import m2m_changed, pre_delete, pre_save
from django.utils.translation import gettext as _

from security.errors import LAST_ADMINISTRATOR, Denied
from security.models import Role


def administrators() -> QuerySet[Any]:
    """Return the active people who may do everything."""
    people = get_user_model()
    members = people.groups.through.objects.filter(user=OuterRef("pk"), group__role__everything=True)
    return people._default_manager.filter(Q(is_superuser=True) | Exists(members), is_active=True)


def connect() -> None:
    """Refuse what would leave nobody."""
    people = get_user_model()
    pre_save.connect(_person_saved, people, dispatch_uid="administrators.save")
    pre_delete.connect(_person_deleted, people, dispatch_uid="administrators.delete")
    m2m_changed.connect(_roles_changed, people.groups.through, dispatch_uid="administrators.roles")
    pre_save.connect(_role_saved, Role, dispatch_uid="administrators.role.save")
    pre_delete.connect(_group_deleted, Group, dispatch_uid="administrators.role.delete")


def _person_saved(instance: Any, update_fields: Iterable[str] | None, **_: Any) -> None:
    told = {"is_active", "is_superuser"}
    if instance.pk is None or (update_fields is not None and told.isdisjoint(update_fields)):
        return
    if instance.is_active and (instance.is_superuser or _by_role([instance.pk])):
        return
    _keep_one(gone=[instance.pk])


def _person_deleted(instance: Any, **_: Any) -> None:
    _keep_one(gone=[instance.pk])


def _roles_changed(action: str, instance: Any, reverse: bool, pk_set: set[Any] | None, **_: Any) -> None:
    if action not in ("pre_remove", "pre_clear"):
        return
    one = [instance.pk]
    _without_role(one if reverse else pk_set, pk_set if reverse else one)


def _role_saved(instance: Role, **_: Any) -> None:
    if not instance.everything:
        _without_role([instance.pk], None)


def _group_deleted(instance: Group, **_: Any) -> None:
    _without_role([instance.pk], None)


def _without_role(groups: Iterable[Any] | None, people: Iterable[Any] | None) -> None:
    """Refuse when nobody is left once these people (None: all) are not in these groups (None: any) any more."""
    through = get_user_model().groups.through.objects.filter(group__role__everything=True)
    lost = through if groups is None else through.filter(group__in=list(groups))
    lost = lost if people is None else lost.filter(user__in=list(people))
    kept = through.exclude(pk__in=lost.values("pk")).values("user")
    gone = lost.filter(user__is_superuser=False).exclude(user__in=kept)
    _keep_one(gone=list(gone.values_list("user", flat=True)))


def _by_role(people: list[Any]) -> bool:
    return Role.objects.filter(everything=True, group__user__in=people).exists()


def _keep_one(gone: list[Any]) -> None:
    rows = administrators()
    if transaction.get_connection(rows.db).in_atomic_block:
        # Two who take each other's role at once wait here for one another.
        list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    if rows.filter(pk__in=gone).exists() and not rows.exclude(pk__in=gone).exists():
        raise Denied(
            _("Nobody would be left who may do everything: make somebody else an administrator first."),
            LAST_ADMINISTRATOR,
        )
