"""Bulk acts through the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from rest_framework.authtoken.models import Token

from orchestration import bulk, executor
from orchestration.engine.builder import Workflow
from orchestration.models import BulkAct, Execution
from security.principals import Principal
from tests.factories import play, start_execution

BULK = "/api/v1/bulk/"
FILTER = {"filter": {"workflow": "etl", "status": ["running", "paused"]}}


@pytest.fixture
def client(alice: User) -> Client:
    return Client(headers={"Authorization": f"Token {Token.objects.create(user=alice).key}"})


def post(client: Client, url: str, **data: Any) -> Any:
    return client.post(url, json.dumps(data), "application/json")


def error(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    found: dict[str, Any] = response.json()["error"]
    return found


@pytest.mark.django_db(transaction=True)
def test_from_the_dry_run_to_the_refused_ones(client: Client, etl: Workflow) -> None:
    found = [start_execution(etl) for _ in range(4)]
    play(start_execution(etl))
    seen = post(client, f"{BULK}preview/", verb="cancel", filter={"workflow": "etl"}).json()
    assert (seen["selected"], seen["count"], seen["confirm"]) == (5, 4, "cancel 4")
    assert seen["refused"] == [
        {"count": 1, "why": "It is succeeded, so it cannot be cancelled. There is nothing left to cancel."}
    ]
    late = start_execution(etl)
    for each in found[:3]:
        executor.terminate(each.pk, principal=Principal.system("tests"))
    response = post(
        client, BULK, verb="cancel", selection=seen["selection"], confirm=seen["confirm"], reason="over"
    )
    assert response.status_code == 201
    url, shape = response["Location"], response.json()
    assert shape["url"] == url
    assert (shape["status"], shape["total"], shape["left"], shape["by"]) == ("running", 4, 4, "alice")
    with override_settings(IGON7_BULK_RATE=10_000):
        while (shape := client.get(f"{url}?limit=2").json())["status"] == "running":
            bulk.carry_out()
    assert (shape["done"], shape["refused"], shape["left"]) == (1, 3, 0)
    assert [each["execution"] for each in shape["refusals"]] == [str(each.pk) for each in found[:2]]
    assert "is terminated, so it cannot be cancelled" in shape["refusals"][0]["why"]
    more = client.get(shape["next"]).json()
    assert ([each["execution"] for each in more["refusals"]], more["next"]) == ([str(found[2].pk)], None)
    listed = client.get(shape["executions"]).json()["results"]
    assert {each["id"] for each in listed} == {str(each.pk) for each in found}
    assert Execution.objects.get(pk=late.pk).status == "running"
    again = post(client, BULK, verb="rerun", ids=[str(late.pk)], confirm="rerun 1").json()
    newest = client.get(f"{BULK}?limit=1").json()
    assert newest["results"] == [again]
    oldest = client.get(newest["next"]).json()
    assert [(each["id"], each["done"], each["refused"]) for each in oldest["results"]] == [
        (shape["id"], 1, 3)
    ]
    assert oldest["next"] is None
    assert client.get(oldest["previous"]).json()["results"] == newest["results"]
    assert "is finished" in error(post(client, f"{url}stop/"), 409)["message"]


@pytest.mark.django_db
def test_a_filter_is_confirmed_with_the_number_it_has_now(client: Client, etl: Workflow) -> None:
    for _ in range(3):
        start_execution(etl)
    refused = error(post(client, BULK, verb="cancel", **FILTER, confirm="cancel 2"), 409)
    assert refused["code"] == "bulk_conflict"
    assert refused["message"] == 'There are 3 executions to cancel now. Confirm with "cancel 3".'
    assert not BulkAct.objects.exists()
    url = post(client, BULK, verb="cancel", **FILTER, confirm="cancel 3").json()["url"]
    assert post(client, f"{url}stop/").json()["status"] == "stopped"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"verb": "cancel"}, "invalid_option", "one of ids, filter"),
        ({"verb": "cancel", "ids": [], "filter": {}}, "invalid_option", "one of ids, filter"),
        ({"verb": "cancel", "ids": ["x"]}, "invalid_option", "ids of executions"),
        ({"verb": "cancel", "filter": {"statu": "failed"}}, "invalid_option", 'Did you mean "status"?'),
        ({"verb": "cancel", "filter": {"status": 7}}, "invalid_option", "an object such as"),
        ({"verb": "cancel", "filter": "status=failed"}, "invalid_option", "an object such as"),
        ({"verb": "explode", "filter": {}}, "invalid_option", "one of cancel"),
        ({"verb": "cancel", "filter": {}, "confirm": "cancel 1"}, "invalid_request", "no such field"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(
    client: Client, body: dict[str, Any], code: str, said: str
) -> None:
    refused = error(post(client, f"{BULK}preview/", **body), 400)
    assert refused["code"] == code
    assert said in refused["message"]


@pytest.mark.django_db(transaction=True)
def test_executions_are_forked_in_bulk(client: Client, etl: Workflow) -> None:
    source = play(start_execution(etl))
    told = {"verb": "fork", "ids": [str(source.pk)], "options": {"node": "load", "input": {"day": 2}}}
    assert error(post(client, f"{BULK}preview/", **(told | {"options": {}})), 400)["code"] == "invalid_option"
    seen = post(client, f"{BULK}preview/", **told).json()
    shape = post(client, BULK, **told, confirm=seen["confirm"]).json()
    assert shape["options"] == {"node": "load", "edited": True}
    with override_settings(IGON7_BULK_RATE=10_000):
        while client.get(shape["url"]).json()["status"] == "running":
            bulk.carry_out()
    assert Execution.objects.get(forked_from=source).input == {"day": 2}


@pytest.mark.django_db
def test_bulk_acts_are_their_makers_business(client: Client, guest: User, etl: Workflow) -> None:
    start_execution(etl)
    url = post(client, BULK, verb="cancel", **FILTER, confirm="cancel 1").json()["url"]
    other = Client(headers={"Authorization": f"Token {Token.objects.create(user=guest).key}"})
    assert error(other.get(url), 404)["code"] == "unknown_bulk_act"
    assert other.get(BULK).json()["results"] == []
    assert error(post(other, f"{url}stop/"), 404)["code"] == "unknown_bulk_act"
    assert error(post(Client(), f"{BULK}preview/", verb="cancel", **FILTER), 401)["code"] == "login_required"
    assert post(other, f"{BULK}preview/", verb="cancel", **FILTER).json()["selected"] == 0
