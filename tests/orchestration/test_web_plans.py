"""The page before an act on one node: what it says would happen, what it does, and what it refuses."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestration import registry
from orchestration.models import Execution, NodeRun
from orchestration.store import versions
from tests.factories import Act, make_workflow, person, play, start_execution

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def failed():
    workflow = make_workflow("etl")
    registry.register(workflow)
    yield play(start_execution(workflow, input={"day": 1}), {"transform": Act(error=("ValueError", "no"))})
    registry.forget("etl")
    versions.forget_versions()


@pytest.fixture
def console(client: Client) -> Client:
    admin = person("root")
    User.objects.filter(pk=admin.pk).update(is_superuser=True)
    client.force_login(admin)
    return client


def page(execution: Execution, verb: str, node: str = "") -> str:
    return f"/executions/{execution.pk}/plan/{verb}/" + (f"?node={node}" if node else "")


def test_the_inspector_offers_what_is_possible_and_the_page_says_what_would_happen(
    console: Client, failed: Execution
) -> None:
    said = console.get(f"/executions/{failed.pk}/nodes/transform/").content.decode()
    assert [verb for verb in ("retry", "supply", "skip", "fork") if f"/plan/{verb}/" in said] == [
        "retry",
        "supply",
        "skip",
        "fork",
    ]
    told = console.get(page(failed, "fork", "transform")).content.decode()
    assert "Fork from “transform”?" in told
    assert "&quot;day&quot;: 1" in told
    preview = console.get(f"/executions/{failed.pk}/preview/retry/").content.decode()
    assert "Run again" in preview
    assert Execution.objects.count() == 1


def test_a_fork_with_another_input_leads_to_the_new_execution(console: Client, failed: Execution) -> None:
    response = console.post(
        page(failed, "fork"), {"node": "transform", "input": '{"day": 2}', "reason": "wrong day"}
    )
    fork = Execution.objects.exclude(pk=failed.pk).get()
    assert response.headers["Location"] == f"/executions/{fork.pk}/"
    assert (fork.input, fork.forked_from_id) == ({"day": 2}, failed.pk)
    assert str(failed.pk) in console.get(response.headers["Location"]).content.decode()


def test_a_result_is_supplied_and_what_is_no_json_is_refused_and_kept(
    console: Client, failed: Execution
) -> None:
    wrong = console.post(page(failed, "supply"), {"node": "transform", "result": "{day", "reason": "mine"})
    assert wrong.status_code == 400
    assert "{day" in wrong.content.decode()
    assert (
        console.post(page(failed, "supply"), {"node": "transform", "result": "7", "reopen": "1"}).status_code
        == 302
    )
    assert NodeRun.objects.get(execution=failed, node="transform", superseded=False).result == 7


def test_what_is_not_possible_is_said_with_409_and_who_may_not_is_not_told(
    console: Client, failed: Execution, client: Client
) -> None:
    assert "is succeeded" in console.get(page(failed, "skip", "extract")).content.decode().replace(
        "&quot;", '"'
    )
    assert console.post(page(failed, "skip"), {"node": "extract"}).status_code == 409
    client.force_login(person("eve", staff=False))
    assert client.get(page(failed, "fork", "transform")).status_code == 404
    assert client.post(page(failed, "retry"), {"node": "transform"}).status_code == 404
