"""Who may do what with workflows, and why: by which role, on which workflow, by which tag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Count, F, Q, QuerySet

from orchestration.grants import granted, tagged
from orchestration.models import TagGrant, Workflow, WorkflowGroupPermission, WorkflowUserPermission
from security.models import Role
from security.policies import sees_everything, visible_to
from security.principals import Principal

PERMISSIONS = ("view", "run", "control", "approve", "change")
EVERYTHING = "everything"
SHOWN = 500


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A permission, whose it is (a person's or a role's), and its reach: a workflow, a tag, or all there is."""

    permission: str  # one of PERMISSIONS, EVERYTHING, or the whole name of another
    person: str = ""
    role: str = ""
    workflow: str = ""
    tag: str = ""
    members: int | None = None  # of the role

    @property
    def is_grant(self) -> bool:
        """Say whether it can be taken away by itself."""
        return bool(self.workflow or self.tag)

    def to_json(self) -> dict[str, Any]:
        names = ("permission", "person", "role", "workflow", "tag")
        return {name: getattr(self, name) or None for name in names}


def entitlements_of(person: Any, seen_by: Principal) -> list[Entitlement]:
    """Return what the person may do and why; nothing when inactive. Of workflows, those that `seen_by` may view."""
    if not person.is_active:
        return []
    groups = list(person.groups.order_by("name"))
    own = [Entitlement(EVERYTHING, person=person.get_username())] if person.is_superuser else []
    for permission in person.user_permissions.select_related("content_type"):
        own.append(Entitlement(_short(permission), person=person.get_username()))
    mine, workflows = Q(user=person), visible_to(seen_by, Workflow.objects.all()).values("pk")
    direct = WorkflowUserPermission.objects.filter(mine, content_object__in=workflows)
    return [
        *own,
        *_of_roles(groups),
        *_on_workflows(direct),
        *_on_workflows(
            WorkflowGroupPermission.objects.filter(group__in=groups, content_object__in=workflows)
        ),
        *_by_tag(TagGrant.objects.filter(mine | Q(group__in=groups))),
    ]


def entitlements_on(workflow: Workflow) -> list[Entitlement]:
    """Return who may do what with the workflow: administrators, roles, people, and by tag."""
    people = get_user_model()._default_manager.filter(is_active=True)
    about = Q(content_type__app_label="orchestration", content_type__model="workflow")
    permissions = Permission.objects.filter(about)
    holders = people.filter(user_permissions__in=permissions).order_by("username")
    direct = holders.values_list("username", "user_permissions__codename")
    return [
        *(
            Entitlement(EVERYTHING, person=each.get_username())
            for each in people.filter(is_superuser=True).order_by("username")[:SHOWN]
        ),
        *_of_roles(_with_members(Q(role__everything=True) | Q(permissions__in=permissions)), about),
        *(
            Entitlement(_bare(code), person=name)
            for name, code in direct.filter(user_permissions__in=permissions)[:SHOWN]
        ),
        *_on_workflows(WorkflowGroupPermission.objects.filter(content_object=workflow)),
        *_on_workflows(WorkflowUserPermission.objects.filter(content_object=workflow)),
        *_by_tag(TagGrant.objects.filter(tag__in=workflow.tags)),
    ]


def reach(of: Any, permission: str) -> QuerySet[Workflow]:
    """Return the workflows on which a person, or whoever has nothing but a role (a Group), has the permission."""
    rows, codename = Workflow.objects.all(), f"{permission}_workflow"
    if isinstance(of, Group):
        return _reach_of_role(of, codename, rows)
    if sees_everything(Principal.for_user(of)):
        return rows
    return granted(of, codename, rows) if of.is_active else rows.none()


def _reach_of_role(role: Group, codename: str, rows: QuerySet[Workflow]) -> QuerySet[Workflow]:
    about = {"content_type__app_label": "orchestration", "codename": codename}
    everything = Group.objects.filter(pk=role.pk, role__everything=True).exists()
    if everything or role.permissions.filter(**about).exists():
        return rows
    of = {f"permission__{name}": value for name, value in about.items()}
    single = WorkflowGroupPermission.objects.filter(group=role, **of).values("content_object")
    tags = TagGrant.objects.filter(group=role, **of).values_list("tag", flat=True)
    return rows.filter(Q(pk__in=single) | tagged(frozenset(tags)))


def _with_members(which: Q) -> list[Group]:
    found = Group.objects.filter(pk__in=Group.objects.filter(which).values("pk"))
    active = Count("user", filter=Q(user__is_active=True))
    return list(found.annotate(members=active).order_by("name")[:SHOWN])


def _of_roles(groups: list[Group], about: Q | None = None) -> Iterator[Entitlement]:
    everything = set(Role.objects.filter(everything=True, group__in=groups).values_list("pk", flat=True))
    for group in groups:
        members = getattr(group, "members", None)
        if group.pk in everything:
            yield Entitlement(EVERYTHING, role=group.name, members=members)
            continue
        for permission in group.permissions.filter(about or Q()).select_related("content_type"):
            yield Entitlement(_short(permission), role=group.name, members=members)


def _on_workflows(rows: QuerySet[Any]) -> Iterator[Entitlement]:
    whose = "user__username" if rows.model is WorkflowUserPermission else "group__name"
    named = rows.values_list(whose, "permission__codename", "content_object__name")
    kind = "person" if rows.model is WorkflowUserPermission else "role"
    for name, code, workflow in named.order_by("content_object__name", whose, "permission")[:SHOWN]:
        yield Entitlement(_bare(code), workflow=workflow, **{kind: name})


def _by_tag(rows: QuerySet[TagGrant]) -> Iterator[Entitlement]:
    named = rows.values_list(F("user__username"), F("group__name"), F("permission__codename"), F("tag"))
    for person, role, code, tag in named.order_by("tag", "user__username", "group__name")[:SHOWN]:
        yield Entitlement(_bare(code), person=person or "", role=role or "", tag=tag)


def _short(permission: Permission) -> str:
    if (permission.content_type.app_label, permission.content_type.model) == ("orchestration", "workflow"):
        return _bare(permission.codename)
    return f"{permission.content_type.app_label}.{permission.codename}"


def _bare(codename: str) -> str:
    return codename.removesuffix("_workflow")
