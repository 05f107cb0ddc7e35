"""The page of an execution's signals: what was sent, and sending one by a form made from what is declared."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from guardian.shortcuts import assign_perm

from orchestration import WorkflowBuilder, executor
from orchestration.engine.builder import Workflow
from orchestration.engine.parking import Wait
from orchestration.models import Execution, Signal
from security.models import AuditRecord
from security.principals import Principal
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db

PAID = {
    "type": "object",
    "required": ["amount"],
    "additionalProperties": False,
    "properties": {
        "amount": {"type": "number", "minimum": 1, "title": "Amount"},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "way": {"enum": ["card", "cash"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "more": {"type": "object"},
    },
}


def flow() -> Workflow:
    builder = WorkflowBuilder("orders", signals={"paid": PAID, "count": int, "done": bool})
    return builder.add_node("work", factories.nothing).build()


@pytest.fixture
def execution() -> Execution:
    return factories.park(flow(), Wait("paid#1", "signal", "paid"))


def page(client: Client, execution: Execution, query: str = "") -> str:
    response = client.get(f"/executions/{execution.pk}/signals/{query}")
    assert response.status_code == 200
    return response.content.decode()


def send(client: Client, execution: Execution, name: str, **about: str) -> Any:
    return client.post(f"/executions/{execution.pk}/signals/send/", {"name": name, "id": "", **about})


def test_the_form_is_made_of_what_is_declared(execution: Execution, console: Client) -> None:
    bare = page(console, execution)
    assert "It has been sent no signals" in bare
    assert "awaited" in bare
    assert 'name="name"' in bare
    shown = page(console, execution, "?name=paid")
    for expected in (
        'type="hidden" name="name" value="paid"', 'type="number" name="input.amount"', 'type="date" name="input.day"',
        'type="datetime-local" name="input.at"', '<select name="input.way"', '<textarea name="input.more"',
        'type="text" name="input.note"',
    ):  # fmt: skip
        assert expected in shown, expected
    assert 'type="number" name="input"' in page(console, execution, "?name=count")
    assert 'type="checkbox" name="input"' in page(console, execution, "?name=done")
    assert '<textarea name="input"' in page(console, execution, "?name=paid&as=json")
    assert '<textarea name="input"' in page(console, execution, "?name=other")


def test_what_is_sent_is_kept_and_its_reader_is_named(execution: Execution, console: Client) -> None:
    console.cookies["igon7_zone"] = "Europe/Paris"
    told = {"input.amount": "2.5", "input.way": '"cash"', "input.at": "2026-01-31T12:00", "id": "invoice-7"}
    response = send(console, execution, "paid", **told)
    assert (response.status_code, response["Location"]) == (302, f"/executions/{execution.pk}/signals/")
    signal = Signal.objects.get()
    assert signal.payload == {"amount": 2.5, "at": "2026-01-31T12:00:00+01:00", "way": "cash"}
    assert (signal.sender, signal.sent_id) == ("alice", "invoice-7")
    shown = page(console, execution)
    for expected in ("The signal “paid” is kept.", "Read by work", "from alice", "invoice-7", "cash"):
        assert expected in shown, expected
    assert AuditRecord.objects.filter(action="execution.signal", principal_name="alice").count() == 1
    send(console, execution, "count", input="3")
    send(console, execution, "done")
    send(console, execution, "other", input='["a"]')
    assert list(Signal.objects.order_by("id").values_list("payload", flat=True)[1:]) == [3, False, ["a"]]
    assert "Unread" in page(console, execution)
    overview = console.get(f"/executions/{execution.pk}/").content.decode()
    assert "All signals, and what they said" in overview
    assert f'href="/executions/{execution.pk}/signals/#send"' in overview


@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        ("paid", {"input.amount": "", "input.note": "kept"}, "This field is required."),
        ("paid", {"as": "json", "input": '{"amount": 0, "way": "kept"}'}, "0 is less than the minimum of 1"),
        ("paid", {"as": "json", "input": "{kept"}, "This is not JSON"),
        ("count", {"as": "json", "input": '"kept"'}, "&#x27;kept&#x27; is not of type &#x27;integer&#x27;"),
        ("", {"input": '"kept"'}, "This field is required."),
        ("x" * 201, {"input": '"kept"'}, "at most 200 characters"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    execution: Execution, console: Client, name: str, told: dict[str, str], said: str
) -> None:
    response = send(console, execution, name, **told)
    shown = response.content.decode()
    assert response.status_code == 400
    assert said in shown
    assert "kept" in shown
    assert f'hx-get="/executions/{execution.pk}/signals/"' in shown
    assert not Signal.objects.exists()


def test_reserved_names_do_what_they_say(execution: Execution, console: Client) -> None:
    response = send(console, execution, "cancel", input='{"reason": "enough"}')
    assert (response.status_code, response["Location"]) == (302, f"/executions/{execution.pk}/")
    execution.refresh_from_db()
    assert (execution.status, (execution.cause or {})["reason"]) == ("cancelled", "enough")
    shown = page(console, execution)
    assert "It has ended: nothing in it waits any more." in shown
    assert "<form class=" not in shown
    assert send(console, execution, "paid", **{"input.amount": "1"}).status_code == 409


def test_who_may_view_sees_and_who_may_control_sends(execution: Execution, guest: User) -> None:
    client = Client()
    client.force_login(guest)
    here = f"/executions/{execution.pk}/signals/"
    assert client.get(here).status_code == 404
    assert send(client, execution, "count", input="1").status_code == 404
    assign_perm("orchestration.view_workflow", guest, execution.workflow)
    assert "You may look at them, and not send any" in page(client, execution)
    assert send(client, execution, "count", input="1").status_code == 403
    assign_perm("orchestration.control_workflow", guest, execution.workflow)
    assert send(client, execution, "count", input="1").status_code == 302
    assert Client().get(here).status_code == 302


def test_an_ended_execution_tells_what_was_never_read_and_htmx_gets_the_list_alone(
    execution: Execution, console: Client
) -> None:
    send(console, execution, "paid", **{"input.amount": "1"})
    send(console, execution, "late", input="")
    factories.play(execution, {"work": Act()})
    execution.refresh_from_db()
    assert execution.status == "succeeded"
    part = console.get(
        f"/executions/{execution.pk}/signals/", headers={"HX-Request": "true", "HX-Target": "signals"}
    ).content.decode()
    assert "<html" not in part
    assert part.index("Never read") < part.index("Read by work")


def test_many_signals_come_in_pages_that_stay_where_they_are(execution: Execution, console: Client) -> None:
    told = [(execution.pk, "note", number) for number in range(60)]
    executor.send_signals(told, principal=Principal.system("tests"))
    first = page(console, execution)
    assert first.count("from tests") == 50
    before = Signal.objects.order_by("id")[10].pk
    assert f'href="/executions/{execution.pk}/signals/?before={before}"' in first
    rest = page(console, execution, f"?before={before}")
    assert rest.count("from tests") == 10
    assert f'hx-get="/executions/{execution.pk}/signals/?before={before}"' in rest
    assert page(console, execution, "?before=x").count("from tests") == 50
