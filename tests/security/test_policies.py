"""The one question."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from guardian.shortcuts import assign_perm, remove_perm

from security import actions, objects
from security.errors import Denied, UnknownAction
from security.models import AuditRecord
from security.objects import Resource
from security.policies import allowed, authorise, visible_to
from security.principals import Principal

pytestmark = pytest.mark.usefixtures("guarded_groups")


def test_an_undeclared_action_is_an_error_even_for_the_system():
    with pytest.raises(UnknownAction, match=r"workflow\.paint"):
        allowed(Principal.system("sweep"), "workflow.paint")


def test_an_action_cannot_be_declared_twice():
    with pytest.raises(ValueError, match=r"workflow\.view"):
        actions.declare("workflow.view", "look")


def test_a_model_and_its_permissions_are_registered_once():
    with pytest.raises(ImproperlyConfigured, match="twice"):
        objects.register("auth.Group", {}, lambda user, rows: rows)
    with pytest.raises(ImproperlyConfigured, match=r"auth\.view_group"):
        objects.register("auth.User", {"group.view": "view_user"}, lambda user, rows: rows)


def test_nobody_is_asked_to_log_in_and_leaves_no_record(db: None):
    with pytest.raises(Denied) as caught:
        authorise(Principal.anonymous(), "group.view")
    assert (caught.value.code, str(caught.value)) == ("login_required", "Log in to view groups.")
    assert not AuditRecord.objects.exists()


def test_a_person_without_a_grant_may_do_nothing(alice: User, group: Group):
    principal = Principal.for_user(alice)
    doable = {action.name for action in actions.all_actions() if allowed(principal, action.name)}
    assert doable == {"console.open", "account.change", "device.change"}, "what is their own"
    assert not allowed(principal, "group.view", group)
    assert not visible_to(principal, Group.objects.all()).exists()
    assert not visible_to(principal, User.objects.all()).exists(), "a model that nobody registered"


def test_staff_and_the_system_may_do_all(staff: User, group: Group):
    for principal in (Principal.for_user(staff), Principal.system("sweep")):
        authorise(principal, "group.change", group)
        assert set(visible_to(principal, Group.objects.all())) == set(Group.objects.all())


def test_an_object_grant_opens_that_object_and_that_action_alone(alice: User, group: Group):
    other = Group.objects.create(name="others")
    assign_perm("auth.view_group", alice, group)
    principal = Principal.for_user(alice)
    authorise(principal, "group.view", group)
    assert not allowed(principal, "group.view", other)
    assert not allowed(principal, "group.view")
    assert not allowed(principal, "group.change", group)
    assert visible_to(principal, Group.objects.all()).get() == group


def test_a_permission_of_the_role_opens_every_object(alice: User, group: Group):
    role = Group.objects.create(name="planner")
    role.permissions.add(Permission.objects.get(codename="change_group"))
    alice.groups.add(role)
    principal = Principal.for_user(alice)
    assert allowed(principal, "group.change", group)
    assert allowed(principal, "group.change", Resource("auth.group", "", "not made yet"))


def test_a_kept_principal_is_judged_by_the_person_as_they_are_now(staff: User, alice: User, group: Group):
    assign_perm("auth.view_group", alice, group)
    kept = [Principal.from_json(Principal.for_user(user).to_json()) for user in (staff, alice)]
    assert all(allowed(principal, "group.view", group) for principal in kept)
    User.objects.create_superuser("root")  # the last who may do everything could not go
    staff.groups.clear()
    remove_perm("auth.view_group", alice, group)
    assert not any(allowed(principal, "group.view", group) for principal in kept)
    User.objects.filter(pk=staff.pk).update(is_superuser=True, is_active=False)
    assert not allowed(kept[0], "console.open")
    staff.delete()
    assert not allowed(kept[0], "console.open")


def test_an_object_of_a_model_that_did_not_register_the_action_is_an_error(staff: User):
    with pytest.raises(ImproperlyConfigured, match=r"auth\.User"):
        allowed(Principal.for_user(staff), "group.view", staff)


def test_a_denial_names_who_what_and_on_what_and_is_recorded(alice: User, group: Group):
    with pytest.raises(Denied) as caught:
        authorise(Principal.for_user(alice), "group.change", group)
    assert caught.value.code == "permission_denied"
    assert str(caught.value) == "alice may not change groups: no permission for “planners”."
    record = AuditRecord.objects.get()
    assert (record.outcome, record.action, record.user) == ("denied", "group.change", alice)
    assert (record.resource_type, record.resource_id, record.resource_name) == (
        "auth.group",
        str(group.pk),
        "planners",
    )


@pytest.mark.django_db(transaction=True)
def test_a_denial_outlives_the_callers_rollback(alice: User, group: Group):
    principal = Principal.for_user(alice)

    def verb() -> None:
        authorise(principal, "group.change", group)
        with transaction.atomic():
            pytest.fail("the act was done")

    with pytest.raises(Denied):
        verb()
    connection.close()  # what a dying process leaves behind
    assert AuditRecord.objects.get().outcome == "denied"


@pytest.mark.django_db(transaction=True)
def test_asking_inside_a_transaction_is_refused_whatever_the_answer(alice: User, staff: User):
    for user in (alice, staff):
        with pytest.raises(RuntimeError, match="before the transaction"), transaction.atomic():
            authorise(Principal.for_user(user), "group.change")
    assert not AuditRecord.objects.exists()
