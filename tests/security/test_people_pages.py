"""People and roles in the console and in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from guardian.shortcuts import assign_perm

from orchestration import models
from security import roles
from security.models import AuditRecord
from tests import factories

pytestmark = pytest.mark.django_db


def member(name: str, *names: str) -> User:
    user = factories.person(name, staff=False)
    user.groups.add(*Group.objects.filter(name__in=names))
    return user


def at_the_console(user: User) -> Client:
    client = Client()
    client.force_login(user)
    factories.verify(client)
    return client


@pytest.fixture
def etl() -> models.Workflow:
    models.Workflow.objects.create(name="mail", tags=[])
    return models.Workflow.objects.create(name="etl", tags=["nightly"])


@pytest.fixture
def root() -> Client:
    return at_the_console(factories.person("root"))


def test_people_are_searched_and_paged(root: Client):
    User.objects.bulk_create(User(username=f"p{n:03}", email=f"p{n:03}@example.org") for n in range(60))
    member("olga", roles.OPERATOR)
    first = root.get("/people/").content.decode()
    assert "olga" in first
    assert "after=" in first
    assert "p059" not in first
    assert "p059" in root.get("/people/?q=p059@").content.decode()
    of_role = root.get("/people/?role=operator").content.decode()
    assert "olga" in of_role
    assert "p000" not in of_role


def test_a_persons_page_says_what_they_may_do_and_why(root: Client, etl):
    bob = member("bob", roles.APPROVER)
    about = {"person": "bob", "permission": "run"}
    assert root.post("/workflows/etl/people/change/", about).status_code == 302
    there = root.post("/people/tags/", {**about, "tag": "nightly"})
    assert there["Location"] == f"/people/{bob.pk}/"
    page = root.get(f"/people/{bob.pk}/").content.decode()
    assert all(text in page for text in ("approver", "/workflows/etl/", "nightly", "Take away"))
    assert "nightly" in root.get("/workflows/etl/people/").content.decode()
    assert root.post("/people/tags/", {**about, "tag": "nightly", "do": "revoke"}).status_code == 302
    assert not models.TagGrant.objects.exists()


def test_a_refusal_of_a_gift_is_said_on_the_page(etl):
    ann = member("ann")
    for codename in ("view_workflow", "change_workflow"):
        assign_perm(f"orchestration.{codename}", ann, etl)
    client = at_the_console(ann)
    answer = client.post(
        "/workflows/etl/people/change/", {"person": "ann", "permission": "view"}, follow=True
    )
    assert "Nobody gives rights to themselves" in answer.content.decode()
    assert client.post("/people/tags/", {"person": "ann", "tag": "nightly"}).status_code == 403
    assert client.get("/people/").status_code == 403


def test_roles_are_given_and_taken_on_a_persons_page(root: Client):
    bob = member("bob")
    for do, names in (("give", {"operator"}), ("take", set())):
        assert root.post(f"/people/{bob.pk}/roles/", {"role": "operator", "do": do}).status_code == 302
        assert {group.name for group in bob.groups.all()} == names
    me = User.objects.get(username="root")
    last = root.post(f"/people/{me.pk}/roles/", {"role": "admin", "do": "take"}, follow=True)
    assert "Nobody would be left" in last.content.decode()
    assert AuditRecord.objects.filter(action="person.roles").count() == 2


def test_an_auditor_reads_all_of_it_and_changes_nothing(etl):
    client, bob = at_the_console(member("ada", roles.AUDITOR)), member("bob")
    for url in ("/people/", f"/people/{bob.pk}/", "/people/simulate/?role=viewer", "/workflows/etl/people/"):
        page = client.get(url)
        assert page.status_code == 200, url
        assert b'method="post" action="/people' not in page.content, url
    assert client.post(f"/people/{bob.pk}/roles/", {"role": "viewer"}).status_code == 403
    assert client.post("/workflows/etl/people/change/", {"person": "bob"}).status_code == 403


def test_an_operator_does_not_see_who_may_do_what(etl):
    client = at_the_console(member("olga", roles.OPERATOR))
    for url in ("/people/", "/people/1/", "/people/simulate/", "/workflows/etl/people/"):
        assert client.get(url).status_code in (403, 404), url


def test_what_somebody_would_see_is_shown_and_hides_what_the_reader_may_not_see(root: Client, etl):
    assign_perm("orchestration.view_workflow", member("bob"), etl)
    page = root.get("/people/simulate/?person=bob").content.decode()
    assert "A simulation." in page
    assert "/workflows/etl/" in page
    assert "/workflows/mail/" not in page
    seer = member("eve")
    seer.user_permissions.add(Permission.objects.get(codename="view_role"))
    page = at_the_console(seer).get("/people/simulate/?role=viewer").content.decode()
    assert "/workflows/etl/" not in page
    assert "nobody of this name" in root.get("/people/simulate/?person=x%00y").content.decode()


# --- in the admin ----------------------------------------------------------------------------------


def test_in_the_admin_nobody_gains_by_deciding_about_people(etl):
    user = factories.person("rita")
    boss, client = User.objects.create_superuser("boss", password="wonderland"), at_the_console(user)
    assert client.get(f"/admin/auth/user/{boss.pk}/password/").status_code == 403
    assert b'name="is_superuser"' not in client.get("/admin/auth/user/add/").content
    own = client.get(f"/admin/auth/user/{user.pk}/change/").content
    assert b'name="groups"' not in own
    assert b'name="is_superuser"' not in own
    assert client.get("/admin/auth/group/").status_code == 200
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(*Permission.objects.filter(codename__in=["change_user", "change_workflow"]))
    client = at_the_console(clerk)
    assert client.get(f"/admin/auth/user/{user.pk}/change/").status_code == 403
    approve = Permission.objects.get(codename="approve_workflow")
    given = {"tag": "nightly", "permission": approve.pk, "user": user.pk}
    assert client.post("/admin/orchestration/taggrant/add/", given).status_code == 403
    assert not models.TagGrant.objects.exists()
