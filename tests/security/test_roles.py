"""The roles that igon7 ships, and grants: on one workflow, or by tag."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from guardian.shortcuts import assign_perm, remove_perm

from orchestration import models, queries
from orchestration.guards import controllable, decidable
from security import actions as a
from security import roles
from security.models import AuditRecord, Role
from security.policies import allowed
from security.principals import Principal
from tests import factories

pytestmark = pytest.mark.django_db

_READS = {
    a.WORKFLOW_VIEW,
    a.EXECUTION_VIEW,
    a.ARTIFACT_DOWNLOAD,
    a.EVENT_VIEW,
    a.GLOBAL_STATE_VIEW,
    a.WORKER_VIEW,
}
_ACTS = {a.WORKFLOW_RUN, a.EXECUTION_CONTROL, a.CACHE_INVALIDATE, a.EVENT_EMIT, a.TRIGGER_SET, a.STATE_CHANGE,
         a.GLOBAL_STATE_CHANGE}  # fmt: skip
TABLE = {
    roles.VIEWER: _READS,
    roles.OPERATOR: _READS | _ACTS,
    roles.APPROVER: _READS | {a.EXECUTION_APPROVE},
    roles.AUDITOR: _READS | {a.AUDIT_VIEW, a.PERSON_VIEW},
    roles.ADMIN: {action.name for action in a.all_actions()},
}


def member(*names: str) -> User:
    user = factories.person("-".join(names) or "nobody", staff=False)
    user.groups.add(*Group.objects.filter(name__in=names))
    return user


@pytest.mark.parametrize("role", roles.ROLES)
def test_each_role_may_do_what_it_is_for_and_nothing_else(role: str):
    principal = Principal.for_user(member(role))
    open_to_all = {action.name for action in a.all_actions() if action.open_to_all}
    assert {action.name for action in a.all_actions() if allowed(principal, action.name)} == TABLE[
        role
    ] | open_to_all


def test_nobody_may_do_anything_by_being_of_the_staff():
    user = User.objects.create_user("clerk", is_staff=True)
    assert not allowed(Principal.for_user(user), a.WORKFLOW_VIEW)


def test_what_an_operator_takes_from_a_role_stays_away_and_what_is_new_comes():
    viewer = Group.objects.get(name=roles.VIEWER)
    events, workers = (Permission.objects.get(codename=name) for name in ("view_event", "view_workernode"))
    viewer.permissions.remove(events, workers)
    row = Role.objects.get(group=viewer)
    row.given.remove("orchestration.view_workernode")  # as before a release that has it
    row.save()
    call_command("migrate", verbosity=0)
    assert workers in viewer.permissions.all()
    assert events not in viewer.permissions.all()


# --- grants ----------------------------------------------------------------------------------------


@pytest.fixture
def workflows() -> dict[str, models.Workflow]:
    for name, tags in {"etl": ["nightly"], "bills": ["nightly", "money"], "mail": []}.items():
        models.Workflow.objects.create(name=name, tags=tags)
    return {row.name: row for row in models.Workflow.objects.all()}


def seen(user: User) -> set[str]:
    fresh = User.objects.get(pk=user.pk)
    return {row.name for row in queries.workflows(Principal.for_user(fresh))}


def test_a_grant_on_a_workflow_is_kept_under_its_foreign_key(workflows):
    bob, team = member(), Group.objects.create(name="team")
    bob.groups.add(team)
    assign_perm("orchestration.view_workflow", bob, workflows["etl"])
    assign_perm("orchestration.view_workflow", team, workflows["mail"])
    assert models.WorkflowUserPermission.objects.get().content_object == workflows["etl"]
    assert models.WorkflowGroupPermission.objects.get().content_object == workflows["mail"]
    assert seen(bob) == {"etl", "mail"}
    remove_perm("orchestration.view_workflow", bob, workflows["etl"])
    assert seen(bob) == {"mail"}


def test_a_grant_by_tag_reaches_what_carries_the_tag_now_and_later(workflows):
    bob = member()
    permission = Permission.objects.get(codename="control_workflow")
    models.TagGrant.objects.create(tag="nightly", permission=permission, user=bob)
    models.TagGrant.objects.create(
        tag="money", permission=Permission.objects.get(codename="view_workflow"), user=bob
    )
    principal = Principal.for_user(User.objects.get(pk=bob.pk))
    assert {row.name for row in controllable(principal)} == {"etl", "bills"}
    assert allowed(principal, a.EXECUTION_CONTROL, models.Execution(workflow=workflows["etl"]))
    assert not allowed(principal, a.EXECUTION_CONTROL, models.Execution(workflow=workflows["mail"]))
    assert not allowed(principal, a.WORKFLOW_RUN, workflows["etl"])
    assert seen(bob) == {"bills"}
    models.Workflow.objects.create(name="new", tags=["money"])
    assert seen(bob) == {"bills", "new"}


def test_a_grant_by_tag_to_a_role_is_its_members(workflows):
    team = Group.objects.create(name="team")
    models.TagGrant.objects.create(
        tag="money", permission=Permission.objects.get(codename="view_workflow"), group=team
    )
    bob = member()
    assert seen(bob) == set()
    bob.groups.add(team)
    assert seen(bob) == {"bills"}


def test_a_grant_by_tag_is_made_once_and_to_one_of_the_two(workflows):
    permission, bob = Permission.objects.get(codename="view_workflow"), member()
    team = Group.objects.create(name="team")
    for about in ({}, {"user": bob, "group": team}):
        with pytest.raises(IntegrityError), transaction.atomic():
            models.TagGrant.objects.create(tag="money", permission=permission, **about)
    models.TagGrant.objects.create(tag="money", permission=permission, user=bob)
    with pytest.raises(IntegrityError), transaction.atomic():
        models.TagGrant.objects.create(tag="money", permission=permission, user=bob)


def test_who_may_approve_decides_without_being_allowed_to_control(workflows):
    bob = member()
    assign_perm("orchestration.approve_workflow", bob, workflows["etl"])
    principal = Principal.for_user(User.objects.get(pk=bob.pk))
    assert [row.name for row in decidable(principal)] == ["etl"]
    assert not controllable(principal).exists()


# --- in the admin ----------------------------------------------------------------------------------


def test_grants_are_made_in_the_admin_by_who_may_and_are_on_record(workflows):
    client, bob = Client(), member()
    client.force_login(factories.person("root"))
    factories.verify(client)
    url = "/admin/orchestration/taggrant/add/"
    permission = Permission.objects.get(codename="view_workflow")
    assert client.post(url, {"tag": "money", "permission": permission.pk, "user": bob.pk}).status_code == 302
    record = AuditRecord.objects.get(action="admin.add")
    assert (record.principal_name, record.resource_type) == ("root", "orchestration.taggrant")
    assert record.details["changes"]["tag"] == [None, "money"]
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert client.get(url).status_code == 403


def test_a_change_of_somebodys_roles_tells_from_what_to_what():
    client, bob = Client(), member(roles.VIEWER)
    root = User.objects.create_superuser("root", password="wonderland")
    client.force_login(root)
    factories.verify(client)
    operator = Group.objects.get(name=roles.OPERATOR)
    page = f"/admin/auth/user/{bob.pk}/change/"
    about = {"username": bob.username, "is_active": "on", "groups": [operator.pk]}
    about |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert client.post(page, about).status_code == 302
    record = AuditRecord.objects.get(action="admin.change")
    assert record.details["changes"]["groups"] == [["viewer"], ["operator"]]
