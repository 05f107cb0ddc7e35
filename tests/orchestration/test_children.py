"""Executions that executions start, run by the kit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from guardian.shortcuts import assign_perm

from orchestration import ChildFailed, RetryPolicy, WorkflowBuilder, child_body, executor
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import UnknownWorkflow
from orchestration.models import Child, Delivery, Execution
from orchestration.models import Workflow as WorkflowRow
from orchestration.testing import run
from security.models import AuditRecord
from tests.factories import person

pytestmark = pytest.mark.django_db


def one(name: str, body: Any, **options: Any) -> Workflow:
    return WorkflowBuilder(name).add_node("work", body, **options).build()


def grant(who: Any, workflow: str, *rights: str) -> None:
    row, _ = WorkflowRow.objects.get_or_create(name=workflow)
    for right in rights:
        assign_perm(f"orchestration.{right}_workflow", who, row)


double = one("double", lambda ctx: ctx.input["n"] * 2)


def fails(ctx: Any) -> None:
    raise ValueError("no luck")


broken = one("broken", fails)


def test_a_body_waits_for_its_child_and_is_given_its_output() -> None:
    result = run(one("parent", lambda ctx: ctx.run_child("double", {"n": 21})), workflows=[double])
    assert result.output == {"work": {"work": 42}}
    [child] = result.children
    assert (child.workflow, child.status, child.output) == ("double", "succeeded", {"work": 42})
    assert child.events[0]["data"]["parent"] == str(result.id)
    [waiting] = [each for each in result.events if each["type"] == "node.waiting"]
    assert waiting["data"]["waits"] == [{"kind": "child", "name": "double", "count": 1}]
    assert not Delivery.objects.exists()


def test_many_children_give_their_outputs_in_order_and_wake_their_parent_once() -> None:
    def fan(ctx: Any) -> Any:
        return [each["work"] for each in ctx.run_children(("double", {"n": n}) for n in range(250))]

    result = run(one("parent", fan), workflows=[double])
    assert result.nodes["work"].output == [2 * n for n in range(250)]
    assert Counter(each["type"] for each in result.events)["node.ready"] == 2
    assert Execution.objects.get(pk=result.id).children == 250


def test_an_async_body_waits_for_several_children_at_once() -> None:
    async def both(ctx: Any) -> Any:
        import asyncio

        found = await asyncio.gather(ctx.run_child(double, {"n": 1}), ctx.run_child(double, {"n": 2}))
        more = await ctx.run_children([("double", {"n": 3}), (double, {"n": 4})])
        id = await ctx.start_child("double", {"n": 5})
        return [each["work"] for each in [*found, *more]], id

    result = run(one("parent", both), workflows=[double])
    values, id = result.nodes["work"].output
    assert values == [2, 4, 6, 8]
    assert [str(each.id) for each in result.children][-1] == id
    assert len(result.children) == 5


def test_a_failed_child_is_an_error_that_says_which_and_why() -> None:
    result = run(one("parent", lambda ctx: ctx.run_child("broken")), workflows=[broken])
    [child] = result.children
    error = result.nodes["work"].error
    assert (error["type"], error["code"]) == ("ChildFailed", "child_failed")
    assert error["message"] == f'The child "broken" (execution {child.id}) failed: ValueError: no luck'


def test_failures_stand_in_the_place_of_outputs_where_that_is_asked_for() -> None:
    def some(ctx: Any) -> Any:
        asked = [("double", {"n": 1}), ("broken", {}), ("double", {"n": 2})]
        found = ctx.run_children(asked, return_exceptions=True)
        assert isinstance(found[1], ChildFailed)
        return [found[0], (found[1].error or {})["message"], found[2]]

    result = run(one("parent", some), workflows=[double, broken])
    assert result.nodes["work"].output == [{"work": 2}, "no luck", {"work": 4}]


def test_a_replay_starts_no_child_twice() -> None:
    def chain(ctx: Any) -> Any:
        first = ctx.run_child("double", {"n": 1})["work"]
        id = ctx.start_child("double", {"n": 7})
        ctx.sleep(60)
        return [ctx.run_child("double", {"n": first})["work"], id]

    result = run(one("parent", chain), workflows=[double])
    assert result.nodes["work"].output[0] == 4
    assert len(result.children) == 3
    assert str(result.children[1].id) == result.nodes["work"].output[1]


def test_the_next_attempt_starts_anew_what_failed_and_keeps_the_rest() -> None:
    tries = []

    def flaky(ctx: Any) -> Any:
        tries.append(ctx.input["n"])
        if ctx.input["n"] == 2 and tries.count(2) == 1:
            raise ValueError("not yet")
        return ctx.input["n"]

    def all_three(ctx: Any) -> Any:
        return [each["work"] for each in ctx.run_children(("flaky", {"n": n}) for n in (1, 2, 3))]

    parent = one("parent", all_three, retry=RetryPolicy(max_attempts=2))
    result = run(parent, workflows=[one("flaky", flaky)])
    assert result.nodes["work"].output == [1, 2, 3]
    assert Counter(tries) == {1: 1, 2: 2, 3: 1}
    assert Child.objects.filter(replaced=True).count() == 1


def waits(ctx: Any) -> Any:
    return ctx.wait_for_signal("go")


waiting = one("waiting", waits)


def two_kinds(ctx: Any) -> Any:
    ctx.start_child("waiting", on_parent_close=ctx.input.get("policy", "abandon"))
    if ctx.input.get("fail"):
        raise ValueError("the parent fails")
    return ctx.run_child("waiting") if ctx.input.get("wait") else "done"


@pytest.mark.parametrize(
    ("policy", "status"), [("cancel", "cancelled"), ("terminate", "terminated"), ("abandon", "running")]
)
@pytest.mark.parametrize("fail", [False, True])
def test_a_child_that_nobody_waits_for_ends_with_its_parent_as_it_was_told_to(
    policy: str, status: str, fail: bool
) -> None:
    result = run(one("parent", two_kinds), input={"policy": policy, "fail": fail}, workflows=[waiting])
    assert result.status == ("failed" if fail else "succeeded")
    assert [each.status for each in result.children] == [status]
    cause = Execution.objects.get(parent=result.id).cause
    assert cause is None or cause["reason"] == f"Its parent {result.id} is {result.status}."


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
def test_whoever_ends_a_parent_ends_what_it_waits_for(verb: str) -> None:
    result = run(
        one("parent", two_kinds), input={"wait": True}, workflows=[waiting], until=lambda now: now.waits
    )
    with result.now():
        getattr(executor, verb)(result.id, principal=result.principal, reason="enough")
    after = result.go_on()
    left, ended = after.children
    assert (left.status, ended.status) == ("running", "cancelled")
    assert ended.nodes["work"].status == "cancelled"
    assert not Delivery.objects.exists()


def test_an_execution_that_runs_out_of_time_takes_its_children_along() -> None:
    parent = (
        WorkflowBuilder("parent", timeout="1m").add_node("work", lambda ctx: ctx.run_child("waiting")).build()
    )
    result = run(parent, workflows=[waiting])
    assert (result.status, [each.status for each in result.children]) == ("failed", ["cancelled"])


def test_what_an_undo_starts_is_not_ended_by_the_end_that_it_undoes() -> None:
    workflow = (
        WorkflowBuilder("parent")
        .add_node("pay", lambda ctx: None, compensate=lambda ctx: ctx.run_child("double", {"n": 1}))
        .add_node("ship", fails, depends_on=["pay"])
        .build()
    )
    result = run(workflow, workflows=[double])
    assert [each.status for each in result.children] == ["succeeded"]
    assert result.nodes["undo:pay"].output == {"work": 2}


def test_a_retry_by_hand_keeps_children_that_succeeded() -> None:
    luck = {2: False}

    def flaky(ctx: Any) -> Any:
        if not luck.get(ctx.input["n"], True):
            raise ValueError("not yet")
        return ctx.input["n"]

    parent = one("parent", lambda ctx: ctx.run_children(("flaky", {"n": n}) for n in (1, 2)))
    result = run(parent, workflows=[one("flaky", flaky)])
    assert result.status == "failed"
    luck[2] = True
    with result.now():
        executor.retry(result.id, principal=result.principal)
    after = result.go_on()
    assert (after.status, after.nodes["work"].output) == ("succeeded", [{"work": 1}, {"work": 2}])
    assert [each.status for each in after.children] == ["succeeded", "failed", "succeeded"]


def test_a_child_that_was_mended_counts_for_a_retry_of_its_parent() -> None:
    luck = [False]

    def flaky(ctx: Any) -> Any:
        if not luck[0]:
            raise ValueError("not yet")
        return "mended"

    parent = one("parent", lambda ctx: ctx.run_child("flaky"))
    result = run(parent, workflows=[one("flaky", flaky)])
    luck[0] = True
    with result.now():
        executor.retry(result.children[0].id, principal=result.principal)
    result = result.go_on()
    assert (result.status, [each.status for each in result.children]) == ("failed", ["succeeded"])
    with result.now():
        executor.retry(result.id, principal=result.principal)
    after = result.go_on()
    assert (after.output, len(after.children)) == ({"work": {"work": "mended"}}, 1)


def test_an_edited_input_starts_every_child_anew() -> None:
    parent = one("parent", lambda ctx: ctx.run_children([("double", {"n": ctx.input["n"]}), ("broken", {})]))
    result = run(parent, input={"n": 1}, workflows=[double, broken])
    with result.now():
        executor.retry(result.id, principal=result.principal, node="work", input={"n": 5})
    after = result.go_on()
    assert [each.output for each in after.children if each.workflow == "double"] == [
        {"work": 2},
        {"work": 10},
    ]


WRONG = {
    'There is no workflow "dubble". Did you mean "double"?': lambda ctx: ctx.run_child("dubble"),
    "on_parent_close is 'kill'; it must be one of cancel, terminate, abandon.": lambda ctx: ctx.run_child(
        "double", on_parent_close="kill"
    ),
    "a child is 'double'; it must be a pair (workflow, input).": lambda ctx: ctx.run_children(["double"]),
    'The input of "double" cannot be kept as JSON': lambda ctx: ctx.run_children(
        [("double", 1), ("double", object())]
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_call_fails_with_a_sentence_and_starts_nothing(message: str) -> None:
    result = run(one("parent", WRONG[message]), workflows=[double])
    assert result.nodes["work"].error["message"].startswith(message)
    assert (result.status, result.children) == ("failed", [])


def test_an_endless_descent_stops_and_names_the_way_down(settings: Any) -> None:
    settings.IGON7_CHILD_DEPTH = 3
    result = run(one("down", lambda ctx: ctx.run_child("down")))
    chain: list[Any] = [result]
    while chain[-1].children:
        chain += chain[-1].children
    assert [each.status for each in chain] == ["failed"] * 4
    assert (
        "at most 3 below the first: down → down → down → down → down."
        in chain[-1].nodes["work"].error["message"]
    )


def test_a_child_acts_for_whom_its_parent_acts_and_needs_the_permission_to_be_started() -> None:
    alice = person("alice", staff=False)
    run(double, input={"n": 1})  # it is known
    grant(alice, "parent", "view", "run")
    parent = one("parent", lambda ctx: ctx.run_child("double", {"n": 2}))
    refused = run(parent, workflows=[double], principal=alice)
    assert refused.nodes["work"].error["type"] == "UnknownWorkflow"
    grant(alice, "double", "view", "run")
    result = run(parent, workflows=[double], principal=alice)
    child = Execution.objects.get(parent=result.id)
    assert (child.principal["name"], child.started_by) == ("alice", alice)
    [told] = AuditRecord.objects.filter(resource_id=str(child.pk))
    assert (told.action, told.principal_name, told.details) == (
        "workflow.run",
        "alice",
        {"parent": str(result.id)},
    )


@pytest.mark.parametrize("again", ["rerun", "fork"])
def test_an_execution_made_of_another_starts_children_of_its_own(again: str) -> None:
    def body(ctx: Any) -> Any:
        ctx.run_child("double", {"n": 1})
        return ctx.wait_for_signal("go")

    result = run(one("parent", body), workflows=[double], until=lambda now: now.children and now.waits)
    with result.now():
        args = ["work"] if again == "fork" else []
        id = getattr(executor, again)(result.id, *args, principal=result.principal)
    result.go_on()
    assert [each.status for each in Execution.objects.filter(parent=id)] == ["succeeded"]


def test_a_node_runs_another_workflow_with_a_constant_or_what_a_function_says() -> None:
    workflow = (
        WorkflowBuilder("parent")
        .child("first", "double", input={"n": 1})
        .child("second", double, input=lambda ctx: {"n": ctx.results["first"]["work"]}, depends_on=["first"])
        .build()
    )
    result = run(workflow, workflows=[double])
    assert {id: result.nodes[id].output for id in ("first", "second")} == {
        "first": {"work": 2},
        "second": {"work": 4},
    }


def test_a_workflow_whose_nodes_run_an_unknown_one_is_not_started() -> None:
    workflow = WorkflowBuilder("parent").child("kid", "dubble").build()
    with pytest.raises(UnknownWorkflow, match='Node "kid" of "parent" runs it'):
        run(workflow, workflows=[double])
    assert not Execution.objects.exists()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([("waiting", 1)], "its child “waiting”"),
        ([("waiting", 1), ("waiting", 2), ("waiting", 3)], "3 of 3 children “waiting”"),
        ([("waiting", 1), ("double", {"n": 2})], "1 of 2 children"),
    ],
)
def test_a_parent_says_how_many_of_its_children_it_waits_for(asked: Any, says: str) -> None:
    result = run(one("parent", lambda ctx: ctx.run_children(asked)), workflows=[waiting, double])
    assert result.why == f"“work” waits for {says}."


def test_a_map_runs_a_workflow_for_each_item_within_its_bound() -> None:
    most = [0]

    def doubled(ctx: Any) -> int:
        open_now = Execution.objects.filter(workflow__name="doubled", finished_at=None).count()
        most[0] = max(most[0], open_now)
        return int(ctx.input) * 2

    workflow = (
        WorkflowBuilder("parent")
        .add_node("list", lambda ctx: list(range(200)))
        .map("each", child_body("doubled"), over="list", concurrency=20)
        .build()
    )
    result = run(workflow, workflows=[one("doubled", doubled)])
    assert result.output == {"each": [{"work": 2 * n} for n in range(200)]}
    assert len(Execution.objects.filter(parent=result.id)) == 200
    assert most[0] <= 20


def test_an_item_of_a_map_whose_child_fails_is_tried_again_by_itself() -> None:
    tries = Counter[int]()

    def flaky(ctx: Any) -> int:
        tries[ctx.input] += 1
        if ctx.input == 2 and tries[2] == 1:
            raise ValueError("not yet")
        return int(ctx.input)

    policy = RetryPolicy(max_attempts=2, initial_interval=0)
    body = child_body("flaky")
    workflow = WorkflowBuilder("parent").map("each", body, over=lambda ctx: [1, 2, 3], retry=policy).build()
    result = run(workflow, workflows=[one("flaky", flaky)])
    assert result.output == {"each": [{"work": 1}, {"work": 2}, {"work": 3}]}
    assert tries == {1: 1, 2: 2, 3: 1}


def test_a_preview_says_whose_executions_end_with_a_parent() -> None:
    def starts(ctx: Any) -> Any:
        ctx.start_child("waiting")
        return ctx.run_children([("waiting", {}), ("waiting", {}), ("double", {"n": 1})])

    result = run(one("parent", starts), workflows=[waiting, double])
    seen = executor.preview(result.id, "cancel", principal=result.principal)
    assert seen["children"] == {"count": 2, "nodes": []}
    assert "children" not in executor.preview(result.id, "pause", principal=result.principal)
