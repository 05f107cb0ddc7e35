"""Bodies that ask people: who may answer, and what comes of it."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from rest_framework.authtoken.models import Token

from orchestration import executor, queries
from orchestration.engine.errors import IllegalMove, InvalidAnswers, UnknownExecution
from orchestration.models import Wait
from security.errors import Denied
from security.models import AuditRecord
from security.principals import Principal
from tests import durable_workflows_for_tests as samples
from tests.cluster import (
    ME,
    begin,
    ended,
    events,
    run_of,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)


def person(name, *roles, **about):
    user, _ = get_user_model().objects.get_or_create(username=name, defaults=about)
    for role in roles:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return Principal.for_user(user)


def asking(*, by=None, **about):
    """Start an execution and return its id once it asks."""
    id = begin(samples.asking, about) if by is None else executor.start("d-asking", about, principal=by)
    wait_until(lambda: Wait.objects.filter(execution=id, node_run__status="waiting").exists())
    return id


def test_who_is_of_a_role_approves_and_the_body_is_told_by_whom(crew):
    id = asking(roles=["releasers"])
    executor.approve(
        id, "work", principal=person("rita", "releasers"), form={"window": "night"}, comment="fine"
    )
    ended(id)
    result = run_of(id, "work").result
    assert (result["by"], result["comment"], result["form"]) == ("rita", "fine", {"window": "night"})
    assert events(id, "node.ready")[-1]["data"]["reason"] == "rita approved it"
    assert (
        AuditRecord.objects.filter(resource_id=str(id), action="execution.approve", outcome="allowed").count()
        == 1
    )


def test_what_is_rejected_fails_says_by_whom_and_is_not_tried_again(crew):
    id = asking(users=["uma"])
    executor.reject(id, "work", principal=person("uma"), comment="not on a Friday")
    ended(id, "failed")
    assert run_of(id, "work").error["message"] == 'uma rejected "go live": not on a Friday'


def test_a_retry_by_hand_asks_again(crew):
    id = asking(users=["uma"])
    executor.reject(id, "work", principal=person("uma"))
    ended(id, "failed")
    executor.retry(id, principal=ME)
    wait_until(lambda: run_of(id, "work").status == "waiting")
    executor.approve(id, "work", principal=person("uma"), form={"window": "now"})
    ended(id)


def test_nobody_else_may_and_the_refusal_is_on_record(crew):
    id = asking(roles=["releasers"])
    with pytest.raises(Denied, match="asked are: releasers"):
        executor.approve(id, "work", principal=person("root", is_superuser=True), form={"window": "now"})
    assert AuditRecord.objects.filter(resource_id=str(id), outcome="denied").count() == 1
    with pytest.raises(UnknownExecution):
        executor.approve(id, "work", principal=person("stranger"), form={"window": "now"})
    assert run_of(id, "work").status == "waiting"


def test_whoever_started_it_cannot_approve_it(crew):
    boss = person("boss", "releasers", is_superuser=True)
    id = asking(by=boss, roles=["releasers"])
    with pytest.raises(Denied, match="Whoever started"):
        executor.approve(id, "work", principal=boss, form={"window": "now"})


def test_the_first_to_decide_is_heard_and_the_second_is_told_so(crew):
    id = asking(users=["uma"])
    executor.approve(id, "work", principal=person("uma"), form={"window": "now"})
    with pytest.raises(IllegalMove, match='not waiting for an approval of "work"'):
        executor.reject(id, "work", principal=person("uma"))


def test_answers_that_do_not_fit_the_form_are_refused_and_nothing_changes(crew):
    id = asking(users=["uma"])
    with pytest.raises(InvalidAnswers, match="window"):
        executor.approve(id, "work", principal=person("uma"), form={})
    assert run_of(id, "work").status == "waiting"


def test_a_due_time_that_passes_fails_the_node(crew):
    id = asking(due=0.3)
    ended(id, "failed")
    assert run_of(id, "work").error["message"] == 'Nobody decided about "go live" within 0.3 s.'


def test_the_inbox_shows_what_a_person_is_asked_and_what_they_may_see(crew):
    for wait in Wait.objects.filter(kind="approval"):
        executor.terminate(wait.execution_id, principal=ME)
    mine, other = asking(users=["uma"]), asking(roles=["others"])
    assert [wait.execution_id for wait in queries.approvals(person("uma"))] == [mine]
    assert [wait.execution_id for wait in queries.to_decide(person("uma"))] == [mine]
    staff = person("root", is_superuser=True)
    assert [wait.execution_id for wait in queries.approvals(staff)] == [mine, other]
    assert not queries.to_decide(staff).exists()


def test_the_api_lists_what_is_asked_and_takes_the_answer(crew):
    id = asking(users=["uma"])
    user = get_user_model().objects.get_or_create(username="uma")[0]
    token, _ = Token.objects.get_or_create(user=user)
    client = Client(headers={"Authorization": f"Token {token.key}"})
    [asked] = [a for a in client.get("/api/v1/approvals/").json()["approvals"] if a["execution"] == str(id)]
    assert (asked["name"], asked["users"], asked["may_decide"]) == ("go live", ["uma"], True)
    answer = {"node": "work", "approved": True, "form": {"window": "night"}}
    url = f"/api/v1/executions/{id}/approvals/"
    assert client.post(url, answer, "application/json").status_code == 200
    ended(id)
    again = client.post(url, answer, "application/json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "illegal_state")


def test_the_command_line_says_yes_too(crew, capsys):
    id = asking()
    call_command("approve", str(id), "work", form='{"window": "now"}')
    assert "approved" in capsys.readouterr().out
    ended(id)


def test_the_command_line_lists_what_waits_and_says_no_to_the_one_that_is_meant(crew, capsys):
    id = asking(roles=["releasers"])
    call_command("approvals")
    assert "releasers" in capsys.readouterr().out
    other = asking()
    call_command("approvals", json=True)
    found = {each["execution"]: each for each in json.loads(capsys.readouterr().out)["approvals"]}
    assert (found[str(id)]["may_decide"], found[str(other)]["may_decide"]) == (False, True)
    with pytest.raises(SystemExit):
        call_command("approve", str(other), "work", reject=True, wait=found[str(id)]["id"])
    call_command("approve", str(other), "work", reject=True, wait=found[str(other)]["id"])
    ended(other, "failed")
