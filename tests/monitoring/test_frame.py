"""The same frame by GET, for who polls."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from orchestration.models import Execution
from tests import factories
from tests.factories import Act


def _url(execution: object, query: str = "") -> str:
    return reverse("execution-frame", args=[execution]) + query


@pytest.fixture
def browser(alice) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_polling_gives_what_the_socket_would_and_then_what_is_new(
    browser: Client, execution: Execution
) -> None:
    first = browser.get(_url(execution.pk)).json()
    assert [event["type"] for event in first["events"]] == ["execution.started", "node.ready"]
    assert {node["node"]: node["status"] for node in first["nodes"]} == {
        "extract": "ready",
        "transform": "pending",
        "load": "pending",
    }
    assert first["why"]
    factories.play(execution, {"load": Act(lines=[("info", "done")])})
    answer = browser.get(_url(execution.pk, f"?after={first['seq']}&line={first['line']}"))
    assert "no-store" in answer.headers["Cache-Control"]
    second = answer.json()
    assert [event["seq"] for event in second["events"]] == list(range(first["seq"] + 1, second["seq"] + 1))
    assert [line["message"] for line in second["lines"]] == ["done"]
    third = browser.get(_url(execution.pk, f"?after={second['seq']}&line={second['line']}")).json()
    assert (third["events"], third["lines"], third["status"]) == ([], [], "succeeded")


def test_a_bad_position_is_refused_by_name(browser: Client, execution: Execution) -> None:
    answer = browser.get(_url(execution.pk, "?after=soon"))
    assert answer.status_code == 400
    assert "after" in answer.json()["detail"]


def test_nobody_and_who_may_not_and_the_unknown_get_nothing(execution: Execution, browser: Client) -> None:
    assert Client().get(_url(execution.pk)).status_code == 302
    stranger = Client()
    stranger.force_login(factories.person("bob", staff=False))
    assert stranger.get(_url(execution.pk)).status_code == 404
    assert browser.get(_url(uuid.uuid4())).status_code == 404
    assert browser.post(_url(execution.pk)).status_code == 405
