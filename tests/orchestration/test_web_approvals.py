"""The inbox of approvals: who sees what, what they are shown of it, and what becomes of their word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from guardian.shortcuts import assign_perm

from orchestration import WorkflowBuilder
from orchestration.engine.parking import Wait as Waiting
from orchestration.models import Execution, JournalEntry, NodeRun, Wait
from orchestration.queries import to_decide
from orchestration.store import clock, timers
from security.models import AuditRecord
from security.principals import Principal
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db

FORM = {
    "type": "object",
    "required": ["window"],
    "properties": {
        "window": {"enum": ["night", "day"], "title": "When"},
        "share": {"type": "integer", "minimum": 1, "maximum": 100},
        "told": {"type": "boolean", "title": "Support has been told", "default": False},
    },
}


def asking(
    name: str = "go live",
    by: User | None = None,
    due: float | None = None,
    flow: str = "release",
    **about: Any,
) -> Wait:
    """Start an execution whose node has come to ask."""
    told = {"text": "All tests passed.", "roles": [], "users": [], "form": None} | about
    builder = WorkflowBuilder(flow).add_node("build", factories.nothing)
    builder.add_node("ask", factories.nothing, depends_on=["build"], params={"region": "eu-west-1"})
    execution = factories.start_execution(builder.build(), by, {"tag": "4.2.1"}, ago=60)
    wait = Waiting(f"{name}#1", "approval", name, due, json.dumps(told))
    script = {"build": Act(result={"tests": 1843}), "ask": Act(seconds=0.1, waits=[wait])}
    return Wait.objects.get(execution=factories.play(execution, script))


def person(name: str, *roles: str) -> Client:
    user = factories.person(name, staff=False)
    for role in roles:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    client = Client()
    client.force_login(user)
    return client


def _as(name: str, *, staff: bool) -> Client:
    client = Client()
    client.force_login(factories.person(name, staff=staff))
    return client


def inbox(client: Client) -> str:
    response = client.get("/approvals/")
    assert response.status_code == 200
    return response.content.decode()


def decide(client: Client, wait: Wait, decision: str, reason: str = "seen", **answers: str) -> Any:
    told = {
        "node": "ask",
        "decision": decision,
        "reason": reason,
        **{f"input.{k}": v for k, v in answers.items()},
    }
    return client.post(f"/approvals/{wait.execution_id}/{wait.pk}/", told)


def status(wait: Wait) -> str:
    return NodeRun.objects.get(pk=wait.node_run_id).status


def test_what_is_due_first_stands_first_and_then_what_has_waited_longest() -> None:
    asking("second", due=7200, users=["uma"])
    asking("third", users=["uma"])
    asking("fourth", users=["uma"])
    asking("first", due=3600, users=["uma"])
    asking("not hers", roles=["others"])
    page = inbox(person("uma"))
    places = [page.index(f">{name}</h2>") for name in ("first", "second", "third", "fourth")]
    assert places == sorted(places)
    assert "not hers" not in page
    assert '<span aria-hidden="true">4</span>' in page  # in the rail


def test_by_name_by_role_and_else_by_who_may_control_it() -> None:
    named, of_role, open_to_control = asking(users=["uma"]), asking(roles=["releasers"]), asking(flow="open")

    def found(user: str) -> set[int]:
        principal = Principal.for_user(User.objects.get(username=user))
        return set(to_decide(principal).values_list("pk", flat=True))

    for name, roles in (("uma", ()), ("rita", ("releasers", "other")), ("carl", ())):
        person(name, *roles)
    assign_perm(
        "orchestration.control_workflow",
        User.objects.get(username="carl"),
        open_to_control.execution.workflow,
    )
    factories.person("root", staff=True)
    assert found("uma") == {named.pk}
    assert found("rita") == {of_role.pk}
    assert found("carl") == found("root") == {open_to_control.pk}
    assert set(to_decide(Principal.system("shell")).values_list("pk", flat=True)) == {open_to_control.pk}
    User.objects.filter(username="uma").update(is_active=False)
    assert found("uma") == set()


def test_who_may_view_is_shown_the_context_and_others_what_is_asked_alone() -> None:
    wait = asking(roles=["releasers"], form=FORM)
    client = person("rita", "releasers")
    page = inbox(client)
    for shown in (
        "go live",
        "All tests passed.",
        "You are asked, and may not view",
        'name="input.window"',
        "When",
    ):
        assert shown in page, shown
    for hidden in ("4.2.1", "eu-west-1", "1843", f'href="/executions/{wait.execution_id}/'):
        assert hidden not in page, hidden
    assign_perm("orchestration.view_workflow", User.objects.get(username="rita"), wait.execution.workflow)
    page = inbox(client)
    for shown in ("4.2.1", "eu-west-1", "1843", f'href="/executions/{wait.execution_id}/?node=ask"'):
        assert shown in page, shown
    assert f'href="/executions/{wait.execution_id}/' not in inbox(person("root", "others"))


def test_a_yes_with_its_answers_reaches_the_body_and_the_second_list() -> None:
    wait, client = asking(roles=["releasers"], form=FORM), person("rita", "releasers")
    response = decide(client, wait, "approve", "Friday is fine", window='"night"', share="10")
    assert (response.status_code, response["Location"]) == (302, "/approvals/")
    said = JournalEntry.objects.get(kind="approval").value
    assert (said["by"], said["comment"]) == ("rita", "Friday is fine")
    assert said["form"] == {"window": "night", "share": 10, "told": False}
    assert status(wait) == "ready"
    page = inbox(client)
    for shown in (
        "Approved: go live.",
        "Nothing waits for your word",
        "Decided",
        "by rita",
        "Friday is fine",
    ):
        assert shown in page, shown
    assert "go live" not in inbox(person("stranger"))
    audit = AuditRecord.objects.get(action="execution.approve")
    assert (audit.principal_name, audit.outcome, audit.details["approved"]) == ("rita", "allowed", True)


def test_a_no_needs_a_reason_and_no_answers() -> None:
    wait, client = asking(users=["uma"], form=FORM), person("uma")
    refused = decide(client, wait, "reject", "  ")
    assert refused.status_code == 400
    assert "it must be a sentence" in refused.content.decode()
    assert status(wait) == "waiting"
    assert decide(client, wait, "reject", "not on a Friday").status_code == 302
    assert "Rejected" in inbox(client)
    assert JournalEntry.objects.get(kind="approval").came == "refused"


@pytest.mark.parametrize(
    ("decision", "answers", "said"),
    [
        ("approve", {}, "This field is required."),
        ("approve", {"window": '"night"', "share": "200"}, "less than or equal to 100"),
        ("approve", {"window": '"noon"'}, "Select a valid choice"),
        ("perhaps", {"window": '"night"'}, "it must be approve or reject"),
    ],
)
def test_what_is_wrong_is_said_on_its_card_and_what_was_typed_stays(
    decision: str, answers: dict[str, str], said: str
) -> None:
    wait, client = asking(users=["uma"], form=FORM), person("uma")
    other = asking("other", users=["uma"], form=FORM)
    response = decide(client, wait, decision, "kept for later", **answers)
    page = response.content.decode()
    assert response.status_code == 400
    assert page.count(said) == 1
    card = page[page.index(f'id="ask-{wait.pk}"') : page.index(f'id="ask-{other.pk}"')]
    assert 'value="kept for later"' in card
    assert status(wait) == "waiting"


def test_nobody_decides_about_what_they_have_started_and_the_card_says_so() -> None:
    client = person("boss", "releasers")
    wait = asking(by=User.objects.get(username="boss"), roles=["releasers"])
    page = inbox(client)
    assert "You started this execution, so somebody else decides. Asked are: releasers." in page
    assert "Approve</button>" not in page
    assert 'class="badge' not in page
    refused = decide(client, wait, "approve")
    assert refused.status_code in (403, 404)
    assert status(wait) == "waiting"


def test_who_is_not_asked_gets_nowhere_and_that_is_on_record() -> None:
    wait, client = asking(users=["uma"]), person("viewer")
    assert decide(client, wait, "approve").status_code == 404
    assign_perm("orchestration.view_workflow", User.objects.get(username="viewer"), wait.execution.workflow)
    refused = decide(client, wait, "approve")
    assert refused.status_code == 403
    assert "viewer may not decide about “go live”; asked are: uma." in refused.content.decode()
    assert AuditRecord.objects.filter(action="execution.approve", outcome="denied").count() == 1
    assert Client().get("/approvals/").status_code == 302
    assert status(wait) == "waiting"


def test_who_comes_second_is_told_who_was_first() -> None:
    wait, first, second = asking(roles=["releasers"]), person("rita", "releasers"), person("rob", "releasers")
    assign_perm("orchestration.view_workflow", User.objects.get(username="rob"), wait.execution.workflow)
    assert decide(first, wait, "approve").status_code == 302
    late = decide(second, wait, "reject")
    assert late.status_code == 409
    assert "rita has approved it." in late.content.decode()


def test_an_old_page_does_not_answer_a_new_question() -> None:
    wait, client = asking(users=["uma"]), person("uma")
    newer = asking("again", users=["uma"])
    stale = client.post(
        f"/approvals/{newer.execution_id}/{wait.pk}/",
        {"node": "ask", "decision": "approve", "reason": "seen"},
    )
    assert stale.status_code == 409
    assert (status(wait), status(newer)) == ("waiting", "waiting")


def test_many_asks_take_as_many_queries_as_few_and_htmx_gets_the_list_alone() -> None:
    client = person("uma")

    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            inbox(client)
        return len(captured)

    asking("0", users=["uma"], form=FORM)
    inbox(client)
    few = count()
    for number in range(1, 5):
        asking(str(number), users=["uma"], form=FORM, flow=f"flow-{number}")
    inbox(client)
    assert count() == few <= 14
    part = client.get("/approvals/", headers={"HX-Request": "true", "HX-Target": "asks"}).content.decode()
    assert "<html" not in part
    assert part.count("<article") == 5


def test_home_counts_what_waits_for_this_person() -> None:
    asking(users=["uma"])
    assert Execution.objects.count() == 1
    home = person("uma").get("/").content.decode()
    assert home[home.index("For your approval") - 300 :].count('<span class="value">1</span>') == 1


def test_the_execution_says_what_this_person_can_do_about_it() -> None:
    wait, client = asking(users=["uma"]), person("uma")
    here = f"/executions/{wait.execution_id}/"
    assign_perm("orchestration.view_workflow", User.objects.get(username="uma"), wait.execution.workflow)
    page = client.get(here).content.decode()
    assert "Decide about “go live”" in page
    assert f'href="/approvals/#ask-{wait.pk}"' in page
    assert "Decide about" not in _as("root", staff=True).get(here).content.decode()


def test_what_nobody_decided_in_time_stands_among_what_was_decided() -> None:
    wait, client = asking(due=0.5, users=["uma"]), _as("root", staff=True)
    with clock.ahead(120):
        timers.fire(timers.due())
    assert status(wait) == "ready"
    assert "Nobody decided in time" in inbox(client)
