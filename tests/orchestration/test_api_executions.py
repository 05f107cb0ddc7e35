"""Executions through the API: start, list, read, control."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from guardian.shortcuts import assign_perm
from rest_framework.authtoken.models import Token

from orchestration import RetryPolicy, WorkflowBuilder, registry
from orchestration.models import Execution, Workflow
from orchestration.store import versions
from tests.factories import Act, make_workflow, nothing, person, play, start_execution

EXECUTIONS = "/api/v1/executions/"
SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def etl() -> Iterator[Any]:
    workflow = make_workflow("etl", input_schema=SCHEMA)
    registry.register(workflow)
    yield workflow
    registry.forget("etl")
    versions.forget_versions()


def api(user: User) -> Client:
    token, _ = Token.objects.get_or_create(user=user)
    return Client(headers={"Authorization": f"Token {token.key}"})


@pytest.fixture
def client() -> Client:
    return api(person("alice"))


def post(client: Client, url: str, data: Any = None, **options: Any) -> Any:
    return client.post(url, json.dumps(data if data is not None else {}), "application/json", **options)


def error(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    found: dict[str, Any] = response.json()["error"]
    return found


def test_an_execution_is_started_and_said_where(client: Client) -> None:
    body = {"workflow": "etl", "input": {"day": 3}, "priority": 1, "tags": ["nightly"]}
    response = post(client, EXECUTIONS, body)
    assert response.status_code == 201
    shape = response.json()
    assert response["Location"] == shape["url"] == f"http://testserver{EXECUTIONS}{shape['id']}/"
    row = Execution.objects.get(pk=shape["id"])
    assert (row.input, row.priority, row.tags) == ({"day": 3}, 1, ["nightly"])
    assert row.started_by is not None
    assert row.principal["kind"] == "token"
    assert shape["started_by"] == row.started_by.username == "alice"


def test_an_idempotency_key_starts_once_from_body_or_header(client: Client) -> None:
    body = {"workflow": "etl", "input": {"day": 1}}
    first = post(client, EXECUTIONS, body | {"idempotency_key": "k1"})
    again = post(client, EXECUTIONS, body, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = post(client, EXECUTIONS, {"workflow": "etl", "input": {"day": 2}, "idempotency_key": "k1"})
    assert error(other, 409)["code"] == "idempotency_conflict"
    both = post(client, EXECUTIONS, body | {"idempotency_key": "k1"}, headers={"Idempotency-Key": "k2"})
    assert "Idempotency-Key" in error(both, 400)["message"]
    assert Execution.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        ('{"workflow": "etl",\n "input": }', 400, "invalid_json", "line 2, column 11"),
        ('{"workflow": "etl", "input": NaN}', 400, "invalid_json", "NaN"),
        ('{"workflow": "etl", "input": {"day": 1e999}}', 400, "invalid_json", "too large"),
        ('{"workflow": "etl", "input": {"day": ' + "9" * 5000 + "}}", 400, "invalid_json", "4300"),
        ('{"workflow": "etl", "input": {"x": "\\ud800"}}', 400, "invalid_json", "surrogate"),
        ('{"workflow": "etl", "input": ' + "[" * 100_000, 400, "invalid_json", "nested too deeply"),
        (b'{"workflow": "\xff"}', 400, "invalid_json", "byte 14 is not UTF-8"),
        ('{"workflow": "etl", "inputs": {}}', 400, "invalid_request", 'Did you mean "input"?'),
        ('{"workflow": "etl", "priority": 9}', 400, "invalid_request", "/priority"),
        ('{"workflow": "etl", "tags": ["a", ""]}', 400, "invalid_request", "/tags/1"),
        ("{}", 400, "invalid_request", "/workflow"),
        ("[]", 400, "invalid_request", "list"),
        ('{"workflow": "elt"}', 404, "unknown_workflow", 'Did you mean "etl"?'),
        ('{"workflow": "etl", "input": {"day": 0}}', 400, "invalid_input", "/day"),
        ('{"workflow": "etl", "input": {"day": "\\u0000"}}', 400, "not_serialisable", "NUL"),
    ],
)
def test_a_bad_start_is_refused_in_a_sentence_and_starts_nothing(
    client: Client, body: str | bytes, status: int, code: str, said: str
) -> None:
    found = error(client.post(EXECUTIONS, body, "application/json"), status)
    assert found["code"] == code
    assert said in found["message"]
    assert not Execution.objects.exists()


def test_input_that_does_not_fit_names_each_place(client: Client) -> None:
    found = error(post(client, EXECUTIONS, {"workflow": "etl", "input": {"day": "x", "other": 1}}), 400)
    assert [each["path"] for each in found["errors"]] == ["", "/day"]


def test_a_payload_past_the_limit_is_refused(client: Client, settings: Any) -> None:
    large = post(client, EXECUTIONS, {"workflow": "etl", "input": {"x": "a" * (3 << 20)}})
    assert f"limit is {settings.IGON7_PAYLOAD_LIMIT}" in error(large, 413)["message"]
    # Past what escapes could account for, it is refused unread: this body is not even JSON.
    huge = client.post(EXECUTIONS, b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1), "application/json")
    assert error(huge, 413)["code"] == "payload_too_large"
    chunked = client.generic("POST", EXECUTIONS, b"", headers={"Transfer-Encoding": "chunked"})
    assert error(chunked, 411)["code"] == "length_required"
    form = client.post(EXECUTIONS, "workflow=etl", "application/x-www-form-urlencoded")
    assert error(form, 415)["code"] == "unsupported_media_type"
    assert not Execution.objects.exists()


def test_pages_hold_every_execution_once(client: Client, etl: Any) -> None:
    made = [str(start_execution(etl, ago=60 - n).id) for n in range(7)]
    seen: list[str] = []
    url: str | None = f"{EXECUTIONS}?limit=3&workflow=etl"
    while url:
        page = client.get(url).json()
        seen += [each["id"] for each in page["results"]]
        last, url = page, page["next"]
    assert seen == made[::-1]
    back = client.get(last["previous"]).json()
    assert [each["id"] for each in back["results"]] == seen[3:6]
    assert "workflow=etl" in last["previous"]


def test_a_list_is_filtered_and_unknown_filters_are_refused(client: Client, etl: Any) -> None:
    done = play(start_execution(etl, ago=60, tags=("nightly",)))
    start_execution(etl)
    for query in ("status=succeeded", "-status=running", "tag=nightly", f"q={str(done.id)[:13]}"):
        found = client.get(f"{EXECUTIONS}?{query}").json()["results"]
        assert [each["id"] for each in found] == [str(done.id)], query
    assert 'Did you mean "status"?' in error(client.get(f"{EXECUTIONS}?statu=failed"), 400)["message"]
    assert "one of" in error(client.get(f"{EXECUTIONS}?status=done"), 400)["message"]
    assert "limit" in error(client.get(f"{EXECUTIONS}?limit=1000000"), 400)["message"]
    assert "after" in error(client.get(f"{EXECUTIONS}?after=x"), 400)["message"]


def test_a_list_of_fifty_asks_the_database_as_often_as_a_list_of_one(
    client: Client, etl: Any, django_assert_max_num_queries: Any
) -> None:
    start_execution(etl)
    with django_assert_max_num_queries(7) as one:
        assert len(client.get(EXECUTIONS).json()["results"]) == 1
    for _ in range(49):
        start_execution(etl)
    with django_assert_max_num_queries(7) as fifty:
        assert len(client.get(EXECUTIONS).json()["results"]) == 50
    assert len(one) == len(fifty)


def test_one_execution_shows_nodes_output_error_and_what_can_be_done(client: Client, etl: Any) -> None:
    failed = play(
        start_execution(etl, input={"day": 1}, ago=60), {"transform": Act(error=("ValueError", "bad row"))}
    )
    shape = client.get(f"{EXECUTIONS}{failed.id}/").json()
    assert shape["status"] == "failed"
    assert shape["input"] == {"day": 1}
    assert (shape["error"]["node"], shape["error"]["message"]) == ("transform", "bad row")
    assert {each["node"]: each["status"] for each in shape["nodes"]} == {
        "extract": "succeeded",
        "transform": "failed",
        "load": "upstream_failed",
    }
    assert "bad row" in shape["why"]
    assert shape["actions"]["retry"] is None
    assert "failed" in shape["actions"]["cancel"]
    done = client.get(
        f"{EXECUTIONS}{play(start_execution(etl, ago=60), {'load': Act(result=42)}).id}/"
    ).json()
    assert (done["status"], done["output"]) == ("succeeded", {"load": 42})


def test_an_artifact_comes_as_a_file_to_save(client: Client, etl: Any) -> None:
    script = {"load": Act(files={"report.html": ("text/html", b"<script>")})}
    execution = play(start_execution(etl, ago=60), script)
    (artifact,) = client.get(f"{EXECUTIONS}{execution.id}/").json()["artifacts"]
    assert client.get(f"{EXECUTIONS}{execution.id}/artifacts/").json()["results"] == [artifact]
    response: Any = client.get(artifact["url"], headers={"Accept": "text/html"})
    assert b"".join(response.streaming_content) == b"<script>"
    assert response["Content-Disposition"] == 'attachment; filename="report.html"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    other = start_execution(etl)
    stray = f"{EXECUTIONS}{other.id}/artifacts/{artifact['id']}/"
    assert error(client.get(stray), 404)["code"] == "unknown_artifact"


@pytest.mark.django_db(transaction=True)
def test_events_and_log_are_read_on_from_where_one_was(client: Client, etl: Any) -> None:
    patient = WorkflowBuilder("patient").add_node("call", nothing, retry=RetryPolicy(max_attempts=2)).build()
    lines = (("info", "reading"), ("warning", "row 3 is odd"))
    execution = play(start_execution(etl, ago=60), {"extract": Act(lines=lines)})
    events = client.get(f"{EXECUTIONS}{execution.id}/events/").json()
    assert [each["seq"] for each in events["events"]] == list(range(1, execution.seq + 1))
    first = client.get(f"{EXECUTIONS}{execution.id}/events/?limit=2").json()
    rest = client.get(f"{EXECUTIONS}{execution.id}/events/?after={first['next']}").json()
    assert first["events"] + rest["events"] == events["events"]
    assert client.get(f"{EXECUTIONS}{execution.id}/events/?after={rest['next']}").json() == {
        "events": [],
        "next": execution.seq,
    }
    log = client.get(f"{EXECUTIONS}{execution.id}/log/?node=extract&q=odd").json()
    assert [(each["level"], each["message"]) for each in log["lines"]] == [("warning", "row 3 is odd")]
    execution = play(start_execution(patient, ago=60), {"call": Act(error=("OSError", "away"))}, until=5)
    said = [
        client.get(f"{EXECUTIONS}{execution.id}/events/{query}").json() for query in ("", "?tracebacks=1")
    ]
    kept = ["traceback" in str(each["events"]) for each in said]
    assert kept == [False, True]
    assert error(client.get(f"{EXECUTIONS}{execution.id}/events/?after=-1"), 400)["code"] == "invalid_option"


def test_verbs_move_an_execution_and_are_refused_where_they_make_no_sense(client: Client, etl: Any) -> None:
    url = f"{EXECUTIONS}{start_execution(etl).id}/"
    assert post(client, f"{url}pause/", {"reason": "lunch"}).json()["status"] == "paused"
    assert client.get(url).json()["cause"]["reason"] == "lunch"
    assert post(client, f"{url}signals/", {"name": "resume"}).status_code == 202
    assert client.get(url).json()["status"] == "running"
    assert client.generic("POST", f"{url}cancel/").json()["status"] == "cancelled"
    found = error(post(client, f"{url}cancel/"), 409)
    assert found["code"] == "illegal_state"
    assert "cancelled" in found["message"]
    assert post(client, f"{url}retry/", {"reason": "again"}).json()["status"] == "running"
    assert post(client, f"{url}terminate/").json()["status"] == "terminated"
    assert "why" in error(post(client, f"{url}retry/", {"why": "x"}), 400)["errors"][0]["path"]
    assert error(post(client, f"{url}signals/", {"name": "go"}), 409)["code"] == "illegal_state"
    assert error(client.get(f"{url}cancel/"), 405)["code"] == "method_not_allowed"


def test_what_one_may_not_view_is_not_there_and_what_one_may_not_do_is_refused(etl: Any) -> None:
    execution = start_execution(etl)
    bob = person("bob", staff=False)
    client, url = api(bob), f"{EXECUTIONS}{execution.id}/"
    assert client.get(EXECUTIONS).json()["results"] == []
    for address in (url, f"{url}events/", f"{url}log/", f"{url}artifacts/"):
        assert error(client.get(address), 404)["code"] == "unknown_execution"
    assert error(post(client, f"{url}cancel/"), 404)["code"] == "unknown_execution"
    # A workflow that may not even be viewed is answered like one that does not exist.
    hidden = error(post(client, EXECUTIONS, {"workflow": "etl"}), 404)
    assert hidden["message"] == error(post(client, EXECUTIONS, {"workflow": "none"}), 404)["message"].replace(
        "none", "etl"
    )

    assign_perm("orchestration.view_workflow", bob, Workflow.objects.get(name="etl"))
    client = api(User.objects.get(pk=bob.pk))
    assert client.get(url).status_code == 200
    assert [each["id"] for each in client.get(EXECUTIONS).json()["results"]] == [str(execution.id)]
    assert error(post(client, f"{url}cancel/"), 403)["code"] == "permission_denied"
    assert error(post(client, EXECUTIONS, {"workflow": "etl"}), 403)["code"] == "permission_denied"
    execution.refresh_from_db()
    assert execution.status == "running"
