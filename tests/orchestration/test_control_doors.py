"""Control at the doors: the API and the command line do what the executor does, or say why they cannot."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from orchestration import registry
from orchestration.models import Execution
from orchestration.store import versions
from tests.factories import Act, make_workflow, person, play, start_execution

pytestmark = pytest.mark.django_db(transaction=True)
FAILS = {"transform": Act(error=("ValueError", "no"))}


@pytest.fixture
def failed() -> Iterator[Execution]:
    """Give an execution of extract, transform, load, whose second node has failed."""
    workflow = make_workflow("etl", input_schema={"properties": {"day": {"type": "integer"}}})
    registry.register(workflow)
    yield play(start_execution(workflow, input={"day": 1}), FAILS)
    registry.forget("etl")
    versions.forget_versions()


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    admin = person("admin")
    admin.is_superuser = True
    admin.save()
    client.force_authenticate(admin)
    return client


def post(api: APIClient, execution: Execution, verb: str, **body: Any) -> Any:
    return api.post(f"/api/v1/executions/{execution.pk}/{verb}/", body, format="json")


def command(*line: str) -> tuple[int, str]:
    out, code = io.StringIO(), 0
    try:
        call_command(*line, stdout=out, stderr=out)
    except SystemExit as end:
        code = int(str(end.code))
    return code, out.getvalue()


def test_the_api_previews_forks_reruns_and_retries_from_a_node(api: APIClient, failed: Execution) -> None:
    told = api.get(f"/api/v1/executions/{failed.pk}/preview/?verb=fork&node=transform").json()
    assert (told["kept"]["nodes"], told["again"]["nodes"]) == (["extract"], ["transform", "load"])
    forked = post(api, failed, "fork", node="transform", input={"day": 2}, reason="tomorrow")
    assert forked.status_code == 201
    detail = api.get(forked.json()["url"]).json()
    assert (detail["forked_from"], detail["input"]) == (str(failed.pk), {"day": 2})
    assert post(api, failed, "rerun").status_code == 201
    assert post(api, failed, "retry", node="extract", input={"day": 3}).json()["status"] == "running"


@pytest.mark.parametrize(
    ("verb", "body", "code", "says"),
    [
        ("cancel", {"rollback": True}, 409, "nothing left to cancel"),
        ("fork", {"node": "trnsform"}, 409, 'Did you mean "transform"'),
        ("fork", {}, 400, "node"),
        ("rerun", {"input": {"day": "monday"}}, 400, "day"),
        ("retry", {"input": {"day": 2}}, 400, "unless a node is named"),
        ("attend", {"node": "extract", "decision": "skip"}, 409, "is succeeded"),
        ("attend", {"node": "transform", "decision": "skip", "input": 1}, 400, "retry"),
    ],
)
def test_what_is_not_possible_is_refused_with_a_sentence_and_changes_nothing(
    api: APIClient, failed: Execution, verb: str, body: dict[str, Any], code: int, says: str
) -> None:
    answer = post(api, failed, verb, **body)
    assert (
        answer.status_code,
        says in json.dumps(answer.json(), ensure_ascii=False).replace('\\"', '"'),
    ) == (code, True)
    assert Execution.objects.values_list("status", "seq").get() == ("failed", failed.seq)


def test_a_preview_of_what_is_not_possible_is_refused_too(api: APIClient, failed: Execution) -> None:
    assert api.get(f"/api/v1/executions/{failed.pk}/preview/?verb=pause").status_code == 409
    assert api.get(f"/api/v1/executions/{failed.pk}/preview/?verb=dance").status_code == 400


def test_the_command_line_says_what_would_happen_and_does_it(failed: Execution) -> None:
    id = str(failed.pk)
    code, said = command("retry", id, "--dry-run")
    assert (code, said.splitlines()) == (0, ["1 run again: transform", "1 run after those: load",
                                             "1 stay as they are", "Nothing has been changed."])  # fmt: skip
    assert "starts from" in command("fork", id, "transform", "--input", '{"day": 2}')[1]
    assert "starts from" in command("rerun", id)[1]
    assert (
        command("attend", id, "transform", "supply", "--result", "7", "--reopen")[1]
        .strip()
        .endswith("is running.")
    )
    assert command("cancel", id, "--rollback", "--reason", "enough")[1].strip().endswith("is cancelled.")
    code, said = command("pause", id)
    assert (code, "Only a running execution can be paused" in said) == (2, True)
    assert Execution.objects.count() == 3
