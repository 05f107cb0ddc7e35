"""Signals: what a workflow declares of them holds at every door, and what became of each is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from rest_framework.authtoken.models import Token

from orchestration import WorkflowBuilder, executor, registry
from orchestration.engine.builder import Workflow
from orchestration.engine.codec import decode_graph, encode_graph
from orchestration.engine.errors import GraphError, InvalidOption, InvalidSignal
from orchestration.engine.parking import Wait
from orchestration.engine.signals import RESERVED
from orchestration.models import Execution, Signal
from orchestration.store import versions
from orchestration.testing import run
from security.principals import Principal
from tests.factories import Act, nothing, park, person, play

pytestmark = pytest.mark.django_db

PAID = {
    "type": "object",
    "properties": {"amount": {"type": "number", "minimum": 1}, "by": {"type": "string"}},
    "required": ["amount"],
}
ME = Principal.system("tests")


def flow(name: str = "orders", **signals: Any) -> Workflow:
    return (
        WorkflowBuilder(name, signals=signals or {"paid": PAID, "note": str})
        .add_node("work", nothing)
        .build()
    )


@pytest.fixture
def orders() -> Iterator[Workflow]:
    workflow = flow()
    registry.register(workflow)
    yield workflow
    registry.forget("orders")
    versions.forget_versions()


def waits(workflow: Workflow) -> Execution:
    return park(workflow, Wait("paid#1", "signal", "paid"))


def api() -> Client:
    token, _ = Token.objects.get_or_create(user=person("alice"))
    return Client(headers={"Authorization": f"Token {token.key}"})


# --- declaring -------------------------------------------------------------------------------------


class Payment:
    """What a pydantic model looks like from here."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return PAID


def test_declared_signals_are_part_of_the_version_and_types_stand_for_schemas() -> None:
    workflow = flow(paid=Payment, note=str, count=int, done=dict)
    assert workflow.graph.signals["count"] == {"type": "integer"}
    assert workflow.graph.signals["paid"] == PAID
    assert decode_graph(encode_graph(workflow.graph)) == workflow.graph
    assert workflow.checksum() != flow(paid=PAID).checksum()
    plain = WorkflowBuilder("orders").add_node("work", nothing).build()
    assert "signals" not in plain.definition()


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        ({"cancel": dict}, "none of cancel, terminate, pause, resume, which act on the execution"),
        ({"paid": 7}, 'the schema of signal "paid" is 7; it must be a mapping'),
        ({"": dict}, "the name of a signal is ''"),
        ([], "signals is"),
    ],
)
def test_what_is_no_declaration_is_refused_where_it_is_written(signals: Any, said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        WorkflowBuilder("orders", signals=signals)


def test_a_schema_that_is_none_is_refused_when_the_workflow_is_found() -> None:
    with pytest.raises(
        GraphError, match='The schema of signal "paid" of workflow "bad" is not a JSON Schema'
    ):
        registry.register(flow("bad", paid={"type": "money"}))
    assert registry.get("bad") is None


def test_the_names_that_cannot_be_declared_are_those_that_act() -> None:
    assert set(RESERVED) == set(executor.RESERVED)


# --- sending ---------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_at_every_door_and_nothing_changes(
    orders: Workflow, capsys: pytest.CaptureFixture[str]
) -> None:
    execution, client = waits(orders), api()
    before = Execution.objects.get().seq
    said = 'The payload does not fit the signal "paid" of workflow "orders": /amount: 0 is less than the minimum of 1'
    with pytest.raises(InvalidSignal) as refused:
        executor.send_signal(execution.pk, "paid", {"amount": 0}, principal=ME)
    assert str(refused.value) == said
    fine = (execution.pk, "paid", {"amount": 2})
    with pytest.raises(InvalidSignal):
        executor.send_signals([fine, (execution.pk, "paid", {})], principal=ME)
    with pytest.raises(InvalidSignal):
        executor.signal_with_start("orders", signal="note", payload=7, idempotency_key="k", principal=ME)
    url = f"/api/v1/executions/{execution.pk}/signals/"
    answer = client.post(url, {"name": "paid", "payload": {"amount": "much"}}, "application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_signal")
    assert answer.json()["error"]["errors"] == [
        {"path": "/amount", "message": "'much' is not of type 'number'"}
    ]
    with pytest.raises(SystemExit) as ended:
        call_command("signal", str(execution.pk), "paid", payload='{"amount": 0}')
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    with pytest.raises(InvalidSignal):
        run(orders, signals=[("paid", None)])
    assert not Signal.objects.exists()
    assert Execution.objects.get(pk=execution.pk).seq == before


def test_what_is_not_declared_is_allowed_and_each_version_keeps_what_it_declares(orders: Workflow) -> None:
    execution = waits(orders)
    registry.register(flow(paid=int))
    versions.version_of(registry.require("orders"))
    executor.send_signal(execution.pk, "paid", {"amount": 2.5}, principal=ME)
    executor.send_signal(execution.pk, "whatever", [1], principal=ME)
    with pytest.raises(InvalidSignal):
        executor.send_signal(execution.pk, "paid", 3, principal=ME)


def test_the_list_tells_who_sent_what_and_what_became_of_it(
    orders: Workflow, capsys: pytest.CaptureFixture[str]
) -> None:
    execution, client = waits(orders), api()
    url = f"/api/v1/executions/{execution.pk}/signals/"
    for _ in range(2):
        sent = {"name": "paid", "payload": {"amount": 2}, "id": "invoice-7"}
        assert client.post(url, sent, "application/json").status_code == 202
    executor.send_signal(execution.pk, "note", "later", principal=ME)
    first, second = client.get(url).json()["signals"]
    told = {"name": "paid", "payload": {"amount": 2}, "by": "alice", "id": "invoice-7", "state": "consumed"}
    assert {key: first[key] for key in told} == told
    assert (first["node"], first["index"]) == ("work", None)
    assert (second["state"], second["node"], second["by"]) == ("unread", None, "tests")
    rest = client.get(f"{url}?after={first['number']}&limit=1").json()
    assert [each["name"] for each in rest["signals"]] == ["note"]
    play(execution, {"work": Act()})
    call_command("signals", str(execution.pk), json=True)
    states = [each["state"] for each in json.loads(capsys.readouterr().out)["signals"]]
    assert states == ["consumed", "unconsumed"]
    call_command("signals", str(execution.pk))
    assert "read by work" in capsys.readouterr().out


def test_the_workflow_tells_what_it_declares(orders: Workflow) -> None:
    waits(orders)
    client = api()
    assert client.get("/api/v1/workflows/orders/").json()["signals"] == {
        "paid": PAID,
        "note": {"type": "string"},
    }
    client.force_login(person("bob"))
    page = client.get("/workflows/orders/").content.decode()
    assert "Signals" in page
    assert "amount" in page
