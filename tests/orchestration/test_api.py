"""The API as a whole: who gets in, and how it says no."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_static.models import StaticDevice
from rest_framework.authtoken.models import Token

from orchestration import registry
from orchestration.api.urls import urlpatterns
from orchestration.models import Execution
from orchestration.store import versions
from tests.factories import make_workflow, person, start_execution

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/"


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    yield
    cache.clear()  # what the throttles counted
    versions.forget_versions()


def addresses() -> list[str]:
    some = {"name": "etl", "node": "a", "id": str(uuid.uuid4()), "artifact": str(uuid.uuid4())}
    named = [each for each in urlpatterns if each.name and each.name != "token"]
    return [
        reverse(f"api:{each.name}", kwargs={key: some[key] for key in each.pattern.converters})
        for each in named
    ] + [f"{ROOT}no/such/thing"]


def test_nobody_gets_anything_and_is_told_how_to_come_in(client: Client) -> None:
    for address in addresses():
        answers = [client.get(address), client.post(address, "{}", "application/json")]
        assert {answer.status_code for answer in answers} <= {401, 405}, address
        (refused,) = [answer for answer in answers if answer.status_code == 401][:1]
        assert refused["WWW-Authenticate"] == "Token"
        assert refused.json()["error"]["code"] == "login_required"


def test_a_wrong_token_is_refused(client: Client) -> None:
    response = client.get(ROOT, headers={"Authorization": "Token nonsense"})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Token")
    assert response.json()["error"]["code"] == "authentication_failed"


def test_a_session_may_write_only_with_its_csrf_token() -> None:
    registry.register(make_workflow())
    client = Client(enforce_csrf_checks=True)
    client.force_login(person())
    body = json.dumps({"workflow": "etl"})
    try:
        assert client.get(f"{ROOT}executions/").status_code == 200
        refused = client.post(f"{ROOT}executions/", body, "application/json")
        assert refused.status_code == 403
        assert "CSRF" in refused.json()["error"]["message"]
        assert not Execution.objects.exists()
        client.cookies["csrftoken"] = token = "a" * 32
        sent = client.post(f"{ROOT}executions/", body, "application/json", headers={"X-CSRFToken": token})
        assert sent.status_code == 201
    finally:
        registry.forget("etl")


def obtain(client: Client, **credentials: str) -> Any:
    return client.post(f"{ROOT}token/", json.dumps(credentials), "application/json")


def test_a_password_gives_a_token_that_opens_the_api(client: Client) -> None:
    person("alice")
    wrong = obtain(client, username="alice", password="x")
    assert (wrong.status_code, wrong["WWW-Authenticate"]) == (401, "Token")
    assert not Token.objects.exists()
    key = obtain(client, username="alice", password="wonderland").json()["token"]
    assert key == obtain(client, username="alice", password="wonderland").json()["token"]
    assert client.get(ROOT, headers={"Authorization": f"Token {key}"}).json().keys() == {
        "workflows",
        "executions",
        "events",
        "state",
        "token",
    }


def test_an_account_with_a_second_factor_gets_no_token_for_its_password_alone(client: Client) -> None:
    device = StaticDevice.objects.create(user=person("alice"), name="codes", confirmed=True)
    device.token_set.create(token="123456")
    refused = obtain(client, username="alice", password="wonderland")
    assert refused.json()["error"]["code"] == "otp_required"
    assert obtain(client, username="alice", password="wonderland", otp="000000").status_code == 401
    device.throttle_reset()
    assert obtain(client, username="alice", password="wonderland", otp="123456").status_code == 200


def test_guessing_passwords_is_slowed_down_for_the_address_and_for_the_account(client: Client) -> None:
    person("alice")
    for _ in range(9):
        assert obtain(client, username="alice", password="x").status_code == 401
    assert obtain(client, username="alice", password="x").json()["error"]["code"] == "locked_out"
    refused = obtain(client, username="bob", password="x")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 61
    elsewhere = Client(REMOTE_ADDR="10.0.0.9", headers={"X-Forwarded-For": "1.2.3.4"})
    assert obtain(elsewhere, username="alice", password="wonderland").status_code == 429
    assert obtain(elsewhere, username="bob", password="x").status_code == 401


def test_an_address_that_is_none_answers_in_json(client: Client) -> None:
    client.force_login(person())
    for address in (f"{ROOT}nothing/", f"{ROOT}executions", f"{ROOT}executions/0198/"):
        response = client.get(address)
        assert response.status_code == 404, address
        assert response.json()["error"]["code"] == "not_found"
    assert client.delete(f"{ROOT}executions/").json()["error"]["code"] == "method_not_allowed"


def test_a_database_that_does_not_answer_is_said_so(client: Client) -> None:
    def broken(*_: Any) -> None:
        raise OperationalError("server closed the connection")

    client.force_login(person())
    client.get(ROOT)
    with connection.execute_wrapper(
        lambda execute, sql, *rest: broken() if "orchestration_" in sql else execute(sql, *rest)
    ):
        response = client.get(f"{ROOT}executions/")
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.json()["error"]["code"] == "database_unavailable"


def test_workflows_show_their_schema_graph_and_versions(client: Client) -> None:
    client.force_login(person())
    schema = {"type": "object", "properties": {"day": {"type": "integer"}}}
    start_execution(make_workflow("team/etl"))
    start_execution(
        make_workflow("team/etl", {"a": (), "b": ["a"]}, input_schema=schema, description="Loads.")
    )
    (listed,) = client.get(f"{ROOT}workflows/").json()["results"]
    assert (listed["name"], listed["version"], listed["nodes"]) == ("team/etl", 2, 2)
    found = client.get(listed["url"]).json()
    assert found["input_schema"] == schema
    assert found["graph"]["edges"] == [["a", "b"]]
    assert [node["id"] for node in found["graph"]["nodes"]] == ["a", "b"]
    assert [each["number"] for each in found["versions"]] == [2, 1]
    response = client.get(f"{ROOT}workflows/team/elt/")
    assert response.json()["error"]["code"] == "unknown_workflow"
    assert "team/etl" in response.json()["error"]["message"]
