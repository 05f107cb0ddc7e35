"""Giving and taking rights: never a gain, always on record, never without an administrator; and why somebody may."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import transaction
from guardian.shortcuts import assign_perm

from orchestration import executor, models
from orchestration.engine.errors import InvalidOption, UnknownWorkflow
from orchestration.queries.access import entitlements_of, entitlements_on, reach
from security import people, roles
from security.administrators import administrators
from security.errors import LAST_ADMINISTRATOR, NO_GAIN, PERMISSION_DENIED, Denied
from security.models import AuditRecord, Role
from security.principals import Principal
from tests import factories

pytestmark = pytest.mark.django_db


def member(name: str, *names: str) -> User:
    user = factories.person(name, staff=False)
    user.groups.add(*Group.objects.filter(name__in=names))
    return user


def acting(user: User) -> Principal:
    return Principal.for_user(User.objects.get(pk=user.pk))


@pytest.fixture
def etl() -> models.Workflow:
    models.Workflow.objects.create(name="mail", tags=[])
    return models.Workflow.objects.create(name="etl", tags=["nightly"])


@pytest.fixture
def root() -> User:
    return factories.person("root")


def test_what_is_given_is_there_once_on_record_and_can_be_taken(etl, root):
    bob = member("bob")
    about: dict[str, Any] = {"principal": acting(root), "workflow": "etl", "person": "bob"}
    assert executor.grant("run", **about, reason="on call")
    assert not executor.grant("run", **about)
    assert executor.revoke("run", **about)
    assert not executor.revoke("run", **about)
    taken, given = AuditRecord.objects.filter(action__startswith="grant.")
    assert (given.action, taken.action) == ("grant.give", "grant.take")
    assert given.details == {"permission": "run", "person": "bob", "reason": "on call"}
    assert not bob.has_perm("orchestration.run_workflow", etl)


def test_who_changes_a_workflow_gives_on_it_what_they_have_and_no_more(etl):
    ann, about = member("ann"), {"workflow": "etl", "person": "bob"}
    member("bob")
    for codename in ("view_workflow", "run_workflow", "change_workflow"):
        assign_perm(f"orchestration.{codename}", ann, etl)
    assert executor.grant("run", principal=acting(ann), **about)
    for refused, code in (
        ({"permission": "control", **about}, NO_GAIN),
        ({"permission": "run", "workflow": "etl", "person": "ann"}, NO_GAIN),
        ({"permission": "run", "tag": "nightly", "person": "bob"}, PERMISSION_DENIED),
    ):
        with pytest.raises(Denied) as no:
            executor.grant(principal=acting(ann), **refused)
        assert no.value.code == code
    ann.groups.add(team := Group.objects.create(name="team"))
    with pytest.raises(Denied, match="role of their own"):
        executor.grant("run", principal=acting(ann), workflow="etl", role=team.name)
    with pytest.raises(UnknownWorkflow):
        executor.grant("view", principal=acting(ann), workflow="mail", person="bob")


def test_who_changes_no_workflow_gives_nothing(etl):
    member("bob")
    with pytest.raises(Denied):
        executor.grant("view", principal=acting(member("olga", roles.OPERATOR)), workflow="etl", person="bob")
    assert AuditRecord.objects.filter(outcome="denied", action="grant.manage").count() == 1


@pytest.mark.parametrize(
    "about",
    [
        {"permission": "own", "workflow": "etl", "person": "bob"},
        {"permission": "run", "workflow": "etl", "tag": "nightly", "person": "bob"},
        {"permission": "run", "workflow": "etl"},
        {"permission": "run", "workflow": "etl", "person": "nobody"},
        {"permission": "run", "workflow": "etl", "role": "operatr"},
        {"permission": "run", "tag": "x" * 201, "person": "bob"},
    ],
)
def test_what_makes_no_sense_is_refused(etl, root, about):
    member("bob")
    with pytest.raises(InvalidOption):
        executor.grant(principal=acting(root), **about)


def test_roles_are_given_by_administrators_and_not_to_themselves(root):
    bob, operator = member("bob", roles.VIEWER), Group.objects.get(name=roles.OPERATOR)
    people.give_role(acting(root), bob, operator, "on call")
    record = AuditRecord.objects.get(action="person.roles")
    assert record.details == {
        "changes": {"groups": [["viewer"], ["operator", "viewer"]]},
        "reason": "on call",
    }
    with pytest.raises(Denied, match="themselves"):
        people.give_role(acting(root), root, operator)
    with pytest.raises(Denied):
        people.give_role(acting(bob), member("eve"), operator)


def test_the_last_administrator_stays(root):
    admin = Group.objects.get(name=roles.ADMIN)

    def inactive() -> None:
        root.is_active = False
        root.save()

    def no_role() -> None:
        row = Role.objects.get(group=admin)
        row.everything = False
        row.save()

    acts = (
        inactive,
        no_role,
        root.delete,
        admin.delete,
        root.groups.clear,
        lambda: root.groups.remove(admin),
        lambda: root.groups.set([]),
        lambda: admin.user_set.remove(root),
        lambda: admin.user_set.clear(),
    )
    for act in acts:
        with pytest.raises(Denied) as no, transaction.atomic():
            act()
        assert no.value.code == LAST_ADMINISTRATOR
    with pytest.raises(Denied):
        people.take_role(acting(root), root, admin)
    root.refresh_from_db()
    assert list(administrators()) == [root]
    boss = User.objects.create_superuser("boss", password="wonderland")
    root.groups.remove(admin)
    assert list(administrators()) == [boss]
    boss.is_superuser = False
    with pytest.raises(Denied):
        boss.save()


def test_people_who_may_not_do_everything_come_and_go_where_nobody_may():
    bob = member("bob", roles.VIEWER)
    bob.groups.clear()
    bob.is_active = False
    bob.save()
    bob.delete()


# --- why -------------------------------------------------------------------------------------------


def told(found) -> set[tuple[str, ...]]:
    return {(each.permission, each.person, each.role, each.workflow, each.tag) for each in found}


def test_it_is_said_what_a_person_may_do_and_why(etl, root):
    bob, system = member("bob", roles.APPROVER), Principal.system("tests")
    executor.grant("run", principal=system, workflow="etl", person="bob")
    executor.grant("control", principal=system, tag="nightly", role=roles.APPROVER)
    found = told(entitlements_of(bob, acting(root)))
    assert {
        ("view", "", "approver", "", ""),
        ("approve", "", "approver", "", ""),
        ("run", "bob", "", "etl", ""),
        ("control", "", "approver", "", "nightly"),
    } <= found
    assert ("run", "bob", "", "etl", "") not in told(entitlements_of(bob, acting(member("eve"))))
    assert told(entitlements_of(root, system)) == {("everything", "", "admin", "", "")}
    bob.is_active = False
    assert entitlements_of(bob, system) == []


def test_it_is_said_who_may_do_what_with_a_workflow_and_why(etl, root):
    bob, system = member("bob"), Principal.system("tests")
    bob.user_permissions.add(Permission.objects.get(codename="approve_workflow"))
    executor.grant("run", principal=system, workflow="etl", role=roles.VIEWER)
    executor.grant("control", principal=system, tag="nightly", person="bob")
    executor.grant("control", principal=system, tag="other", person="bob")
    found = told(entitlements_on(etl))
    assert {
        ("everything", "", "admin", "", ""),
        ("view", "", "viewer", "", ""),
        ("approve", "bob", "", "", ""),
        ("run", "", "viewer", "etl", ""),
        ("control", "bob", "", "", "nightly"),
    } <= found
    assert not [each for each in found if each[4] == "other"]


def test_what_a_role_would_see_is_what_its_members_see(etl, root):
    system, team = Principal.system("tests"), Group.objects.create(name="team")
    executor.grant("view", principal=system, workflow="mail", role="team")
    executor.grant("view", principal=system, tag="nightly", role="team")
    executor.grant("run", principal=system, tag="nightly", role="team")
    ann = member("ann", "team")
    for permission, names in (("view", {"etl", "mail"}), ("run", {"etl"}), ("control", set())):
        for of in (team, ann):
            assert {row.name for row in reach(of, permission)} == names
    for of in (root, Group.objects.get(name=roles.ADMIN)):
        assert reach(of, "change").count() == 2


def test_the_commands_give_take_and_tell(etl):
    member("bob")
    call_command("grant", "view", "--workflow", "etl", "--person", "bob", stdout=io.StringIO())
    out = io.StringIO()
    call_command("who", "--person", "bob", "--json", stdout=out)
    assert json.loads(out.getvalue())["workflow"] == "etl"
    out = io.StringIO()
    call_command("who", "--workflow", "etl", stdout=out)
    assert "bob" in out.getvalue()
    call_command("revoke", "view", "--workflow", "etl", "--person", "bob", stdout=io.StringIO())
    with pytest.raises(SystemExit):
        call_command("revoke", "view", "--workflow", "etl", "--person", "bob", stderr=io.StringIO())
