"""Events through the API (CloudEvents 1.0) and the command line."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from guardian.shortcuts import assign_perm

from orchestration import executor, registry
from orchestration.models import Event, Execution, Trigger
from orchestration.store import versions
from security.principals import Principal
from tests import event_workflows_for_tests as samples
from tests.factories import park, person
from tests.orchestration.test_event_races import WAIT
from tests.workflows_for_tests import quick, single

pytestmark = pytest.mark.django_db
HERE = "/api/v1/events/"
ME = Principal.system("test")
GOOD = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "paid"}


@pytest.fixture
def listener():
    registry.register(samples.plain_listener)
    versions.version_of(samples.plain_listener)
    yield samples.plain_listener
    registry.forget("e-plain")


def post(client: Client, body: Any, kind: str = "application/cloudevents+json", **headers: str) -> Any:
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post(
        HERE, text, content_type=kind, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


# --- CloudEvents -----------------------------------------------------------------------------------


def test_a_structured_event_is_kept_once_with_its_attributes(console: Client) -> None:
    sent = {**GOOD, "subject": "order 7", "time": "2026-12-01T10:00:00Z", "traceid": "x", "data": {"n": 1}}
    answers = [post(console, sent), post(console, sent, kind="application/json")]
    assert [(each.status_code, each.json()["existed"]) for each in answers] == [(202, False), (200, True)]
    event = Event.objects.get()
    assert (event.name, event.source, event.sent_id, event.subject) == ("paid", "/shop", "1", "order 7")
    assert event.attributes == {"time": "2026-12-01T10:00:00Z", "traceid": "x"}
    assert (event.data, event.sender) == ({"n": 1}, "alice")


def test_an_event_whose_attributes_are_headers_is_the_same(console: Client) -> None:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "/shop",
        "ce_type": "paid",
        "ce_subject": "caf%C3%A9",
    }
    assert post(console, {"n": 1}, "application/json; charset=utf-8", **headers).status_code == 202
    assert post(console, "plain", "text/plain", **{**headers, "ce_id": "2"}).status_code == 202
    first, second = Event.objects.order_by("sent_id")
    assert (first.subject, first.data, second.data) == ("café", {"n": 1}, "plain")


def test_events_in_a_batch_are_kept_all_or_none(console: Client) -> None:
    batch = "application/cloudevents-batch+json"
    wrong = post(console, [GOOD, {**GOOD, "id": ""}], batch)
    assert (wrong.status_code, Event.objects.count()) == (400, 0)
    assert "Event 2 of the batch is not a CloudEvent" in wrong.json()["error"]["message"]
    answer = post(console, [GOOD, {**GOOD, "id": "2"}, GOOD], batch)
    assert [each["existed"] for each in answer.json()["events"]] == [False, False, True]
    assert post(console, [], batch).json() == {"events": []}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": None}, "has no “id”"),
        ({"source": "two words"}, "URI reference"),
        ({"type": 7}, "not a text"),
        ({"time": "yesterday"}, "no time"),
        ({"traceId": "x"}, "no name of an attribute"),
        ({"ext": {"a": 1}}, "no text, whole number"),
        ({"data": 1, "data_base64": "MQ=="}, "both"),
        ({"data_base64": "?"}, "not base64"),
        ({"datacontenttype": "nonsense"}, "media type"),
        ({"dataschema": "no uri"}, "no URI"),
    ],
)
def test_what_is_no_cloudevent_is_refused_and_says_why(console: Client, change: Any, said: str) -> None:
    answer = post(console, {**GOOD, **change})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_event")
    assert said in answer.json()["error"]["message"]
    assert not Event.objects.exists()


def test_data_in_base64_is_read_where_it_is_json_or_text(console: Client) -> None:
    text = base64.b64encode(b'{"n": 1}').decode()
    assert post(console, {**GOOD, "data_base64": text}).status_code == 202
    assert Event.objects.get().data == {"n": 1}
    answer = post(console, {**GOOD, "id": "2", "data_base64": text, "datacontenttype": "image/png"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_data")
    assert post(console, b"\x89PNG", "image/png").status_code == 400


def test_who_may_not_emit_is_refused(guest: Any, client: Client) -> None:
    client.force_login(guest)
    assert post(client, GOOD).status_code == 403
    assign_perm("orchestration.emit_event", guest)
    assert post(client, GOOD).status_code == 202


# --- reading ---------------------------------------------------------------------------------------


def test_an_event_says_whom_it_started_and_why_it_did_not_start_others(
    console: Client, listener: Any
) -> None:
    parked = park(single("waits", quick), WAIT)
    executor.enable_trigger("e-plain", "data-processed", principal=ME)
    started = executor.emit_event("data-processed", {"n": 1}, principal=ME)
    woke = executor.emit_event("paid", 7, principal=ME)
    ignored = executor.emit_event("other", principal=ME)
    executor.deliver_events()
    told = {each["event_id"]: each["fate"] for each in console.get(HERE).json()["results"]}
    assert sorted(told.values()) == ["nobody", "started", "woke"]
    assert [each["id"] for each in console.get(f"{HERE}?fate=woke").json()["results"]] == [str(woke.id)]
    detail = console.get(f"{HERE}{started.id}/").json()
    [receipt] = detail["receipts"]
    assert (receipt["outcome"], receipt["execution"]) == (
        "started",
        str(Execution.objects.get(workflow__name="e-plain").pk),
    )
    [receipt] = console.get(f"{HERE}{woke.id}/").json()["receipts"]
    assert (receipt["execution"], receipt["node"]) == (str(parked.pk), "work")
    [receipt] = console.get(f"{HERE}{ignored.id}/").json()["receipts"]
    assert (receipt["outcome"], receipt["why"]) == ("not", "The trigger is not enabled.")


def test_a_person_sees_events_of_their_workflows_alone_and_receipts_likewise(
    guest: Any, client: Client, listener: Any
) -> None:
    executor.enable_trigger("e-plain", "data-processed", principal=ME)
    seen = executor.emit_event("data-processed", 1, principal=ME)
    hidden = executor.emit_event("secret", 1, principal=ME)
    executor.deliver_events()
    client.force_login(guest)
    assert client.get(HERE).json()["results"] == []
    assign_perm("view_workflow", guest, Trigger.objects.first().workflow)  # type: ignore[union-attr]
    assert [each["id"] for each in client.get(HERE).json()["results"]] == [str(seen.id)]
    answer = client.get(f"{HERE}{hidden.id}/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_event")


def test_triggers_are_listed_enabled_and_disabled(console: Client, listener: Any) -> None:
    there = "/api/v1/triggers/"
    assert [each["enabled"] for each in console.get(f"{there}?workflow=e-plain").json()["triggers"]] == [
        False,
        False,
    ]
    change = {"workflow": "e-plain", "event": "other", "enabled": True}
    answer = console.post(there, json.dumps(change), content_type="application/json")
    assert (answer.json()["enabled"], answer.json()["owner"]) == (True, "alice")
    person("bob", staff=False)
    answer = console.post(there, json.dumps({**change, "owner": "bob"}), content_type="application/json")
    assert answer.status_code == 403  # bob may not run it
    answer = console.post(there, json.dumps({**change, "event": "othr"}), content_type="application/json")
    assert answer.json()["error"]["code"] == "unknown_trigger"
    off = console.post(there, json.dumps({**change, "enabled": False}), content_type="application/json")
    assert off.json()["enabled"] is False


# --- the command line ------------------------------------------------------------------------------


def command(*line: str) -> tuple[int, str, str]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*line, stdout=out, stderr=err)
    except SystemExit as exit:
        code = int(exit.code or 0)
    return code, out.getvalue(), err.getvalue()


def test_the_command_line_does_all_of_it(listener: Any) -> None:
    assert "starts “e-plain”" in command("triggers", "enable", "e-plain", "data-processed")[1]
    [first, _second] = [json.loads(line) for line in command("triggers", "list", "--json")[1].splitlines()]
    assert (first["event"], first["enabled"], first["owner"]) == ("data-processed", True, "system")
    assert (
        "is kept: still being delivered"
        in command("emit", "data-processed", "--data", '{"n": 1}', "--id", "1")[1]
    )
    assert "had been sent before" in command("emit", "data-processed", "--id", "1")[1]
    executor.deliver_events()
    [line] = command("events", "--name", "data-processed", "--json")[1].splitlines()
    assert (json.loads(line)["fate"], json.loads(line)["data"]) == ("started", {"n": 1})
    shown = command("events", json.loads(line)["id"])[1]
    assert "started 1 execution" in shown
    assert "e-plain" in shown
    assert command("emit", "")[0] == 2
    assert command("triggers", "disable", "e-plain", "data-processed")[0] == 0
    assert not Trigger.objects.filter(enabled=True).exists()
