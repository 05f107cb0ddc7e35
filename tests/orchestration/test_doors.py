"""Nodes that wait, through the runner and the store."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from orchestration import ApprovalRejected, SignalTimeout, WorkflowBuilder, executor, registry
from orchestration.engine.errors import GraphError
from orchestration.engine.signals import RESERVED
from orchestration.models import Wait
from orchestration.store import timers
from orchestration.testing import crash_everywhere, run
from security.errors import Denied
from security.principals import Principal

pytestmark = pytest.mark.django_db


def person(name, *roles, **about):
    user, _ = get_user_model().objects.get_or_create(username=name, defaults=about)
    for role in roles:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return Principal.for_user(user)


def told(ctx):
    return {"type": ctx.error.type, "message": ctx.error.message}


def paid():
    return (
        WorkflowBuilder("doors-paid", output="pay")
        .wait_for_signal("pay", "paid", timeout="1h")
        .sleep("rest", "1d", depends_on=["pay"])
    )


def asked(**options):
    form = {"type": "object", "properties": {"window": {"type": "string"}}, "required": ["window"]}
    return WorkflowBuilder("doors-asked", output="ok").approval(
        "ok", roles=["releasers"], form=form, text="May it go live?", **options
    )


def test_a_node_waits_for_its_signal_and_gives_the_payload():
    result = run(paid().build(), until=lambda now: now.nodes["pay"].status == "waiting")
    ended = result.go_on(signals=[("paid", {"euros": 7})])
    assert (ended.status, ended.output) == ("succeeded", {"euros": 7})
    pay, rest = (ended.nodes[node].finished_at for node in ("pay", "rest"))
    assert pay is not None
    assert rest is not None
    assert (rest - pay).days == 1


def test_a_signal_that_does_not_come_is_an_error_that_a_boundary_catches():
    workflow = paid().add_node("late", told, on_error=True, for_nodes=["pay"], error_types=[SignalTimeout])
    result = run(workflow.build())
    assert result.nodes["pay"].status == "recovered"
    assert result.output == {"type": "SignalTimeout", "message": 'No signal "paid" came within 3600 s.'}


def test_an_approval_says_who_decided_when_and_what_they_filled_in():
    result = run(asked().build())
    assert result.nodes["ok"].status == "waiting"
    with result.now():
        executor.approve(result.id, "ok", principal=person("rita", "releasers"), form={"window": "night"})
    output = result.go_on().output
    assert output.pop("at")
    assert output == {"by": "rita", "comment": "", "form": {"window": "night"}}


def test_a_no_fails_the_node_with_an_error_of_its_own():
    workflow = asked().add_node("stop", told, on_error=True, error_types=[ApprovalRejected])
    result = run(workflow.build())
    with result.now():
        executor.reject(result.id, "ok", principal=person("rita", "releasers"), comment="not today")
    assert result.go_on().output == {"type": "ApprovalRejected", "message": 'rita rejected "ok": not today'}


def test_nobody_approves_what_they_have_started():
    boss = person("boss", "releasers", is_superuser=True)
    result = run(asked().build(), principal=boss)
    with result.now(), pytest.raises(Denied, match="Whoever started"):
        executor.approve(result.id, "ok", principal=boss, form={"window": "now"})


def test_a_due_time_that_passes_fails_the_approval():
    result = run(asked(due="2h").build())
    assert (result.status, result.error["type"]) == ("failed", "ApprovalTimeout")


def test_a_deadline_ends_a_wait_and_whoever_may_rescue_it_does():
    workflow = WorkflowBuilder("doors-deadline", output="pay").wait_for_signal("pay", "paid", deadline="1h")
    failed = run(workflow.build())
    assert (failed.status, failed.error["type"]) == ("failed", "DeadlineExceeded")
    workflow.add_node("late", told, on_error=True)
    rescued = run(workflow.build())
    assert (rescued.status, rescued.output["type"]) == ("succeeded", "DeadlineExceeded")
    assert rescued.nodes["pay"].status == "recovered"
    asked = WorkflowBuilder("doors-asked", output="pay")
    asked.wait_for_signal("pay", "paid", deadline="1h", on_exhausted="pause")
    assert run(asked.build()).nodes["pay"].status == "attention"


async def whichever(ctx):
    waits = [asyncio.create_task(ctx.wait_for_signal(name)) for name in ("go", "other")]
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


def test_waits_that_nobody_comes_to_any_more_are_forgotten():
    ended = run(WorkflowBuilder("doors-two").add_node("a", whichever).build(), signals=[("go", 1)])
    waits = run(WorkflowBuilder("doors-two").add_node("a", whichever).build())
    assert (ended.status, Wait.objects.filter(execution=ended.id).count()) == ("succeeded", 1)
    assert (timers.forget_left_over(), timers.forget_left_over()) == (1, 0)
    assert Wait.objects.filter(execution=waits.id).count() == 2


def test_a_form_that_is_no_schema_is_refused_where_its_workflow_is_registered():
    workflow = WorkflowBuilder("doors-form").approval("ok", form={"properties": 7}).build()
    with pytest.raises(GraphError, match='form of node "ok" of workflow "doors-form" is not a JSON Schema'):
        registry.register(workflow)


def in_a_step(ctx):
    ctx.step("outer", lambda: ctx.sleep(1))


async def in_an_async_step(ctx):
    async def wait():
        return await ctx.wait_for_signal("go")

    await ctx.step("outer", wait)


@pytest.mark.parametrize(("body", "says"), [(in_a_step, 'Sleep "sleep"'), (in_an_async_step, 'Signal "go"')])
def test_a_step_that_waits_is_refused_at_once(body, says):
    result = run(WorkflowBuilder("doors-step").add_node("work", body).build())
    assert result.error["type"] == "DurableInStep"
    assert result.error["message"].startswith(f'{says} was asked for inside of ctx.step("outer")')


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_or_done_twice_wherever_a_worker_dies():
    tried = crash_everywhere(paid().build(), signals=[("paid", 7)])
    assert tried.crashes > 6
    assert tried.result.output == 7


def test_the_names_that_no_body_can_wait_for_are_those_that_act():
    assert tuple(executor.RESERVED) == RESERVED
