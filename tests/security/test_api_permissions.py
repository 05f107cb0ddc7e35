"""Doors of the API."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from guardian.shortcuts import assign_perm
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from security.models import AuditRecord

pytestmark = [
    pytest.mark.urls("tests.security.urls"),
    pytest.mark.usefixtures("guarded_groups"),
    pytest.mark.django_db,
]


@pytest.fixture
def api(alice: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=alice).key}")
    return client


def answer(response: Any) -> tuple[int, str]:
    return response.status_code, getattr(response.data.get("detail"), "code", "")


def test_without_a_token_or_session_the_answer_is_401(group: Group):
    for path in (f"/probe/api/groups/{group.pk}/", "/probe/api/groups/0/", "/probe/api/half/"):
        assert answer(APIClient().get(path)) == (401, "login_required")
    assert not AuditRecord.objects.exists()


def test_a_token_acts_as_its_owner(api: APIClient):
    principal = api.get("/probe/api/half/").json()["principal"]
    assert (principal["kind"], principal["name"]) == ("token", "alice")


def test_what_one_may_not_view_is_not_found_and_what_one_may_only_view_is_forbidden(
    api: APIClient, alice: User, group: Group
):
    path = f"/probe/api/groups/{group.pk}/"
    assert api.get(path).status_code == 404
    assign_perm("auth.view_group", alice, group)
    assert answer(api.get(path)) == (403, "permission_denied")
    assert AuditRecord.objects.get().principal_kind == "token"
    assign_perm("auth.change_group", alice, group)
    assert api.get(path).status_code == 200


def test_a_method_without_a_declared_action_is_refused(api: APIClient):
    assert api.post("/probe/api/half/").status_code == 403


def test_the_token_of_somebody_deactivated_opens_nothing(api: APIClient):
    User.objects.update(is_active=False)
    assert api.get("/probe/api/half/").status_code == 401
