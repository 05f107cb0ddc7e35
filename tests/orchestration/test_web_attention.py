"""The inbox: who sees what asks, and what they decide there."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from guardian.shortcuts import assign_perm

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.models import Execution, NodeRun
from security.models import AuditRecord
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db


def asking(
    name: str = "payments", by: User | None = None, ago: float = 60, why: str = "the bank is away"
) -> Execution:
    """Start an execution whose node fails twice and asks."""
    policy = RetryPolicy(max_attempts=2, initial_interval=0.1)
    builder = WorkflowBuilder(name).add_node(
        "pay", factories.nothing, on_exhausted="pause", retry=policy, params={"account": "DE12"}
    )
    execution = factories.start_execution(builder.build(), by, {"supplier": "Acme"}, ago=ago)
    return factories.play(execution, {"pay": Act(1, error=("Refused", why))})


def inbox(client: Client, query: str = "") -> str:
    response = client.get(f"/attention/{query}")
    assert response.status_code == 200
    return response.content.decode()


def told(decision: str, **about: str) -> dict[str, str]:
    return {"node": "pay", "inbox": "1", "decision": decision, "reason": "seen", **about}


def status(execution: Execution) -> str:
    return NodeRun.objects.get(execution=execution, node="pay").status


def test_what_asks_stands_there_with_its_context_the_oldest_first(alice: User, console: Client) -> None:
    newer, older = asking(by=alice, ago=60, why="second"), asking(by=alice, ago=600, why="first")
    page = inbox(console)
    assert page.index(str(older.pk)) < page.index(str(newer.pk))
    for shown in ("Refused", "first", "2 attempts", "Acme", "DE12", "/srv/flows/workflows.py", "Let it fail"):
        assert shown in page, shown
    assert '<span aria-hidden="true">2</span>' in page  # in the rail
    assert "on_exhausted" not in page


def test_an_empty_inbox_says_how_something_comes_into_it(console: Client) -> None:
    page = inbox(console)
    assert "Nothing needs a decision" in page
    assert "on_exhausted" in page
    assert 'class="badge' not in page


def test_one_sees_what_one_may_view_and_decides_what_one_may_control(guest: User) -> None:
    seen, hidden = asking("seen"), asking("concealed")
    client = Client()
    client.force_login(guest)
    assert "Nothing needs a decision" in inbox(client)
    assign_perm("orchestration.view_workflow", guest, seen.workflow)
    page = inbox(client)
    assert str(seen.pk) in page
    assert str(hidden.pk) not in page
    assert "concealed" not in page
    assert "You may look at this, and not decide" in page
    assert "Let it fail" not in page
    assert client.post(f"/executions/{seen.pk}/attend/", told("skip")).status_code == 403
    assert client.post(f"/executions/{hidden.pk}/attend/", told("skip")).status_code == 404
    assign_perm("orchestration.control_workflow", guest, seen.workflow)
    assert "Let it fail" in inbox(client)
    assert client.post(f"/executions/{seen.pk}/attend/", told("skip")).status_code == 302
    assert (status(seen), status(hidden)) == ("skipped", "attention")


def test_nobody_gets_in_without_logging_in() -> None:
    response = Client().get("/attention/")
    assert (response.status_code, response["Location"]) == (302, "/login/?next=/attention/")


def test_it_is_narrowed_to_a_workflow_and_a_decision_comes_back_there(alice: User, console: Client) -> None:
    kept, other = asking("kept", alice), asking("other", alice)
    page = inbox(console, "?workflow=kept")
    assert str(kept.pk) in page
    assert str(other.pk) not in page.partition("<article")[2]
    assert '<input type="hidden" name="workflow" value="kept">' in page
    response = console.post(f"/executions/{kept.pk}/attend/", told("retry", workflow="kept"))
    assert (response.status_code, response["Location"]) == (302, "/attention/?workflow=kept")
    assert status(kept) == "ready"
    assert "Nothing here needs a decision" in inbox(console, "?workflow=kept")
    response = console.post(f"/executions/{other.pk}/attend/", told("supply", result='{"paid": 1}'))
    assert response["Location"] == "/attention/"
    assert AuditRecord.objects.filter(action="execution.attend", details__reason="seen").count() == 2


def test_a_decision_without_a_reason_or_with_a_broken_result_keeps_what_was_typed(
    alice: User, console: Client
) -> None:
    execution = asking(by=alice)
    here = f"/executions/{execution.pk}/attend/"
    response = console.post(here, told("skip", reason=" ", result="[1]"))
    assert response.status_code == 400
    page = response.content.decode()
    assert "reason is &#x27;&#x27;; it must be a sentence" in page
    assert ">[1]</textarea>" in page
    page = console.post(here, told("supply", reason="by hand", result="{")).content.decode()
    assert "it must be JSON" in page
    assert 'value="by hand"' in page
    assert 'hx-get="/attention/?"' in page
    assert status(execution) == "attention"
    assert console.post(here, told("retry") | {"node": "pay", "decision": "wait"}).status_code == 400


def test_what_was_decided_meanwhile_is_refused_and_said(alice: User, console: Client) -> None:
    execution = asking(by=alice)
    here = f"/executions/{execution.pk}/attend/"
    assert console.post(here, told("skip")).status_code == 302
    response = console.post(here, told("retry"))
    assert response.status_code == 409
    assert "Somebody has decided about it" in response.content.decode()
    assert status(execution) == "skipped"


def test_htmx_gets_the_list_alone_and_many_asks_take_as_many_queries_as_few(
    alice: User, console: Client
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            inbox(console)
        return len(captured)

    asking("flow-0", alice)
    inbox(console)
    few = count()
    for number in range(1, 5):
        asking(f"flow-{number}", alice)
    inbox(console)
    assert count() == few <= 16
    part = console.get("/attention/", headers={"HX-Request": "true", "HX-Target": "asks"}).content.decode()
    assert "<html" not in part
    assert part.count("<article") == 5
