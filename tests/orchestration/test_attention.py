"""A failure that waits for a person: decided about in the console, by the API, the command line and the executor."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from guardian.shortcuts import assign_perm
from rest_framework.authtoken.models import Token

from orchestration import WorkflowBuilder, executor
from orchestration.engine.errors import IllegalMove, InvalidOption
from orchestration.models import Execution, NodeRun
from security.models import AuditRecord
from security.principals import Principal
from tests import factories
from tests.cluster import check_log
from tests.factories import Act

pytestmark = pytest.mark.django_db
ME = Principal.system("tests")
FAILS = {"pay": Act(1, error=("Refused", "the bank is away"))}


def asking(by: User | None = None, script=FAILS) -> Execution:
    """Start an execution whose first node has failed and asks, and whose other one runs on."""
    workflow = (
        WorkflowBuilder("asks", output="pay")
        .add_node("pay", factories.nothing, on_exhausted="pause")
        .add_node("receipt", factories.nothing, depends_on=["pay"])
        .add_node("other", factories.nothing)
        .build()
    )
    return factories.play(factories.start_execution(workflow, by, ago=60), script)


def statuses(execution: Execution) -> dict[str, str]:
    return dict(NodeRun.objects.filter(execution=execution).values_list("node", "status"))


def test_the_node_asks_and_the_rest_goes_on() -> None:
    execution = asking()
    assert (execution.status, statuses(execution)) == ("running", {"pay": "attention", "other": "succeeded"})
    check_log(execution.pk)


@pytest.mark.parametrize(
    ("decision", "result", "ends", "nodes"),
    [
        ("supply", {"paid": 1}, "succeeded", {"pay": "recovered", "receipt": "succeeded"}),
        ("skip", None, "succeeded", {"pay": "skipped", "receipt": "skipped"}),
        ("fail", None, "failed", {"pay": "failed", "receipt": "upstream_failed"}),
        ("retry", None, "succeeded", {"pay": "succeeded", "receipt": "succeeded"}),
    ],
)
def test_each_decision_has_its_end(decision: str, result, ends: str, nodes: dict[str, str]) -> None:
    execution = asking()
    executor.attend(execution.pk, "pay", decision, principal=ME, result=result, reason="seen")
    execution = factories.play(execution)
    assert execution.status == ends
    assert statuses(execution) == {"other": "succeeded", **nodes}
    assert execution.output == (result if decision == "supply" else None)
    record = AuditRecord.objects.get(action="execution.attend")
    assert record.details == {"node": "pay", "decision": decision, "reason": "seen"}
    check_log(execution.pk)


def test_a_retry_that_fails_asks_again() -> None:
    execution = asking()
    executor.attend(execution.pk, "pay", "retry", principal=ME)
    assert statuses(factories.play(execution, FAILS))["pay"] == "attention"
    assert NodeRun.objects.get(execution=execution, node="pay").attempt == 2
    check_log(execution.pk)


def test_what_does_not_ask_is_refused_with_a_sentence_and_nothing_changes() -> None:
    execution = asking()
    seq = execution.seq
    for node, said in (
        ("other", 'Node "other" is succeeded'),
        ("receipt", "has not been reached"),
        ("x", "no such node"),
    ):
        with pytest.raises(IllegalMove, match=said):
            executor.attend(execution.pk, node, "skip", principal=ME)
    with pytest.raises(InvalidOption, match="one of retry, supply, skip, fail"):
        executor.attend(execution.pk, "pay", "wait", principal=ME)
    with pytest.raises(InvalidOption, match="left out"):
        executor.attend(execution.pk, "pay", "skip", result=1, principal=ME)
    execution.refresh_from_db()
    assert execution.seq == seq
    assert not AuditRecord.objects.filter(action="execution.attend").exists()


def test_a_cancel_takes_the_question_back() -> None:
    execution = asking()
    executor.cancel(execution.pk, principal=ME)
    execution.refresh_from_db()
    assert (execution.status, statuses(execution)["pay"]) == ("cancelled", "cancelled")
    check_log(execution.pk)


def test_the_console_asks_whoever_may_control(console: Client, alice: User, guest: User) -> None:
    execution = asking(alice)
    page = console.get(f"/executions/{execution.pk}/").content.decode()
    assert "needs attention" in page
    assert f"/executions/{execution.pk}/" in console.get("/").content.decode()
    assert "Let it fail" in page
    assert (
        'data-status="failed"'
        in console.get(f"/executions/{execution.pk}/parts/inspector/?node=pay").content.decode()
    )
    told = {"node": "pay", "decision": "supply", "result": '{"paid": 2}', "reason": "by hand"}
    wrong = console.post(f"/executions/{execution.pk}/attend/", {**told, "result": "{"})
    assert wrong.status_code == 422 or wrong.status_code == 400
    assert "it must be JSON" in wrong.content.decode()
    empty = console.post(f"/executions/{execution.pk}/attend/", {**told, "result": " "})
    assert "null where there is nothing" in empty.content.decode()
    assert statuses(execution)["pay"] == "attention"
    assign_perm("orchestration.view_workflow", guest, execution.workflow)
    other = Client()
    other.force_login(guest)
    assert "Let it fail" not in other.get(f"/executions/{execution.pk}/").content.decode()
    assert other.post(f"/executions/{execution.pk}/attend/", told).status_code == 403
    assert console.post(f"/executions/{execution.pk}/attend/", told).status_code == 302
    assert statuses(execution)["pay"] == "recovered"
    decided = console.get(f"/executions/{execution.pk}/parts/inspector/?node=pay").content.decode()
    assert "alice supplied its result. Reason: by hand" in decided
    assert "recovered by" not in decided


def test_the_api_takes_decisions(alice: User) -> None:
    execution = asking(alice)
    token, _ = Token.objects.get_or_create(user=alice)
    client, url = (
        Client(headers={"Authorization": f"Token {token.key}"}),
        f"/api/v1/executions/{execution.pk}/attend/",
    )
    told = {"node": "pay", "decision": "supply", "result": [1], "reason": "by hand"}
    assert client.post(url, json.dumps({**told, "decision": "wait"}), "application/json").status_code == 400
    assert client.post(url, json.dumps(told), "application/json").status_code == 200
    again = client.post(url, json.dumps(told), "application/json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "illegal_state")


def test_the_command_line_takes_decisions(capsys: pytest.CaptureFixture[str]) -> None:
    execution = asking()
    call_command(
        "attend", str(execution.pk), "pay", "supply", "--result", '{"paid": 3}', "--reason", "by hand"
    )
    assert "is running" in capsys.readouterr().out
    assert NodeRun.objects.get(execution=execution, node="pay").result == {"paid": 3}
