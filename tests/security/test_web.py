"""Doors of the browser: login, the guard, headers, and the check that no view goes unguarded."""

from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient, Client

from security import audit
from security.checks import every_view_is_guarded
from security.middleware import CONTENT_SECURITY_POLICY
from security.models import AuditRecord
from security.principals import Principal

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]


def recorded() -> list[tuple[str, str, str]]:
    rows = AuditRecord.objects.order_by("id")
    return [(row.action, row.outcome, row.principal_name) for row in rows]


def test_the_check_lists_the_views_that_ask_nothing_and_no_other(guarded_groups: None):
    problems = [f"{problem.id} {problem.msg}" for problem in every_view_is_guarded()]
    assert problems == [
        'security.E001 The view of "/probe/bare/" asks security nothing.',
        'security.E001 The view of "/probe/api/half/" does not say in required_actions what post requires.',
        'security.E001 The view of "/probe/api/bare/" has no ActionPermission among its permission_classes.',
    ]


def test_the_check_lists_an_action_that_nobody_declared():
    assert [problem.msg for problem in every_view_is_guarded()][1:2] == [
        'The view of "/probe/api/groups/<int:pk>/" requires "group.change", which nobody declared.'
    ]


def test_a_login_comes_back_to_the_page_and_is_recorded(alice: User, client: Client):
    asked = client.get("/probe/home/?q=1")
    assert asked.status_code == 302
    assert asked.headers["Location"] == "/login/?next=/probe/home/%3Fq%3D1"
    back = client.post(asked.headers["Location"], {"username": "alice", "password": "wonderland"})
    assert back.headers["Location"] == "/probe/home/?q=1"
    assert client.get("/probe/home/").content == b"home"
    assert client.post("/logout/").status_code == 302
    assert recorded() == [("session.login", "allowed", "alice"), ("session.logout", "allowed", "alice")]
    record = AuditRecord.objects.earliest("id")
    assert (record.user, record.address) == (alice, "127.0.0.1")
    assert UUID(record.request_id)


def test_a_failed_login_is_recorded_on_the_account_it_was_tried_on(alice: User, client: Client):
    assert client.post("/login/", {"username": "alice", "password": "rabbit"}).status_code == 200
    record = AuditRecord.objects.get()
    assert (record.action, record.outcome, record.principal_kind) == ("session.login", "failed", "anonymous")
    assert (record.resource_id, record.resource_name) == (str(alice.pk), "alice")


def test_what_was_typed_as_a_name_and_is_none_is_not_kept(client: Client):
    client.post("/login/", {"username": "my-Password-1", "password": "x"})
    assert "my-Password-1" not in str(AuditRecord.objects.values().get())


def test_a_get_does_not_log_out(alice: User, client: Client):
    client.force_login(alice)
    assert client.get("/logout/").status_code == 405
    assert client.get("/probe/home/").status_code == 200


def test_who_is_logged_in_is_sent_on_from_the_login_page(alice: User, client: Client):
    client.force_login(alice)
    assert client.get("/login/").status_code == 302


def test_a_fragment_asked_for_after_the_session_ended_sends_the_whole_page_to_the_login(client: Client):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/probe/home/"}
    response = client.get("/probe/home/", headers=headers)
    assert response.status_code == 204
    assert response.headers["HX-Redirect"] == "/login/?next=http%3A//testserver/probe/home/"


def test_a_page_without_permission_is_a_403_that_says_why_and_is_recorded(alice: User, client: Client):
    client.force_login(alice)
    response = client.get("/probe/workers/")
    assert response.status_code == 403
    assert recorded()[1:] == [("worker.view", "denied", "alice")]


def test_a_view_of_one_object_gets_it_authorised_or_does_not_run(alice: User, staff: User, client: Client):
    path = f"/probe/records/{audit.record(Principal.system('sweep'), 'swept').pk}/action/"
    assert client.get(path).headers["Location"] == f"/login/?next={path}"
    client.force_login(alice)
    assert client.get(path).status_code == 404
    alice.user_permissions.add(Permission.objects.get(codename="view_auditrecord"))
    assert client.get(path).content == b"swept"
    client.force_login(staff)
    assert client.get(path).content == b"swept"


@pytest.mark.parametrize("path", ["/login/", "/probe/home/", "/probe/fails/", "/nowhere/", "/admin/login/"])
def test_every_response_carries_the_strict_policy(path: str, alice: User):
    client = Client(raise_request_exception=False)
    if path != "/login/":
        client.force_login(alice)
    response = client.get(path)
    assert response.status_code == {"/probe/fails/": 500, "/nowhere/": 404, "/admin/login/": 403}.get(
        path, 200
    )
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "camera=()" in response.headers["Permissions-Policy"]
    assert UUID(response.headers["X-Request-ID"])


def test_a_refused_host_carries_the_policy_too(client: Client):
    response = client.get("/probe/home/", headers={"host": "evil.example"})
    assert response.status_code == 400
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_the_policy_is_there_under_asgi_and_a_view_may_set_a_stricter_one():
    response = async_to_sync(AsyncClient().get)("/probe/open/")
    assert response.headers["Content-Security-Policy"] == "sandbox"
    assert UUID(response.headers["X-Request-ID"])
