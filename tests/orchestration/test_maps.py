"""Maps: items found at run time, each a row of its own; what fails of them, and running that again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestration import GraphError, RetryPolicy, Workflow, WorkflowBuilder, chunk
from orchestration.engine.errors import InvalidOption
from orchestration.models import NodeRun
from orchestration.testing import run
from tests.orchestration.store_helpers import check_log

pytestmark = pytest.mark.django_db


def numbers(ctx: Any) -> list[int]:
    return list(range(ctx.input["count"]))


def double(ctx: Any) -> int:
    return int(ctx.item) * 2


def picky(ctx: Any) -> int:
    if ctx.item in ctx.input.get("bad", ()):
        raise ValueError(f"{ctx.item} is no good")
    return int(ctx.item)


def total(ctx: Any) -> int:
    return sum(each or 0 for each in ctx.results["m"])


def mapped(body: Any = double, *, then: Any = total, **options: Any) -> Workflow:
    built = WorkflowBuilder("mapped").add_node("list", numbers).map("m", body, over="list", **options)
    return built.add_node("sum", then, depends_on=["m"]).build()


def test_each_item_is_given_to_a_body_of_its_own_and_the_results_come_in_their_order():
    ran = run(mapped(), input={"count": 5})
    assert ran.output == {"sum": 20}
    assert [ran.nodes["m", index].output for index in range(5)] == [0, 2, 4, 6, 8]
    assert ran.nodes["m"].status == "succeeded"
    check_log(ran.id)


def test_what_a_map_gives_is_the_output_of_a_workflow_that_ends_with_it():
    built = WorkflowBuilder("ends-with").map("m", double, over=lambda ctx: [3, 1, 2], concurrency=2).build()
    assert run(built, input={}).output == {"m": [6, 2, 4]}


def test_nothing_to_go_over_gives_nothing():
    ran = run(mapped(), input={"count": 0})
    assert ran.output == {"sum": 0}
    assert ran.nodes["m"].output == []


def test_a_map_may_go_over_another_and_in_batches():
    built = WorkflowBuilder("twice").add_node("list", numbers).map("m", double, over="list")
    built.map("n", lambda ctx: [ctx.index, sum(ctx.item)], over="m", batch_size=2)
    ran = run(built.build(), input={"count": 5})
    assert ran.output == {"n": [[0, 2], [1, 10], [2, 8]]}


def test_async_bodies_go_over_items_too():
    async def slow(ctx: Any) -> list[Any]:
        await asyncio.sleep(60)
        return [ctx.index, ctx.item, ctx.idempotency_key]

    async def found(ctx: Any) -> list[str]:
        return ["a", "b"]

    ran = run(WorkflowBuilder("async-map").map("m", slow, over=found).build(), input={})
    assert ran.output == {"m": [[0, "a", f"{ran.id}:m[0]"], [1, "b", f"{ran.id}:m[1]"]]}


def test_more_items_than_one_transaction_bears_come_in_waves():
    ran = run(mapped(), input={"count": 1203})
    assert ran.output == {"sum": 1203 * 1202}
    check_log(ran.id)


def test_one_that_fails_fails_the_map_whose_error_names_it():
    ran = run(mapped(picky), input={"count": 5, "bad": [1, 3]})
    assert ran.status == "failed"
    assert ran.error["type"] == "MapFailed"
    assert ran.error["node"] == "m"
    assert ran.error["message"] == (
        '2 of the 5 items of "m" failed: 1, 3. The first: ValueError: 1 is no good'
    )
    assert ran.nodes["m"].error["items"] == [1, 3]
    assert [ran.nodes["m", index].status for index in range(5)] == [
        "succeeded", "failed", "succeeded", "failed", "succeeded",
    ]  # fmt: skip
    assert ran.nodes["sum"].status == "upstream_failed"
    check_log(ran.id)


@pytest.mark.parametrize("tolerate", [2, 0.4])
def test_as_many_as_are_tolerated_may_fail(tolerate: float):
    ran = run(mapped(picky, tolerate=tolerate), input={"count": 5, "bad": [1, 3]})
    assert ran.output == {"sum": 6}
    assert ran.status == "succeeded"
    assert ran.nodes["m"].status == "succeeded"


def test_items_are_tried_again_each_by_itself():
    def third_time(ctx: Any) -> int:
        if ctx.index == 1 and ctx.attempt < 3:
            raise ConnectionError
        return int(ctx.attempt)

    ran = run(mapped(third_time, retry=RetryPolicy(max_attempts=3)), input={"count": 3})
    assert [ran.nodes["m", index].attempts for index in range(3)] == [1, 3, 1]
    assert ran.output == {"sum": 5}


def test_a_fallback_stands_in_for_the_map_as_a_whole():
    built = (
        WorkflowBuilder("rescued").add_node("list", numbers).map("m", picky, over="list", fallback="plan-b")
    )
    built.add_node("plan-b", lambda ctx: [ctx.error.type]).add_node(
        "after", lambda ctx: ctx.results["m"], depends_on=["m"]
    )
    ran = run(built.build(), input={"count": 3, "bad": [0]})
    assert ran.output == {"after": ["MapFailed"]}
    assert ran.nodes["m"].status == "recovered"
    assert run(built.build(), input={"count": 3}).nodes["plan-b"].status == "skipped"


def test_an_error_boundary_catches_a_map_once():
    built = WorkflowBuilder("caught").add_node("list", numbers).map("m", picky, over="list")
    built.add_node("catch", lambda ctx: [ctx.error.message], on_error=True, for_nodes=["m"])
    ran = run(built.build(), input={"count": 4, "bad": [0, 1, 2]})
    assert ran.status == "succeeded"
    assert [each for each in ran.nodes if each == "catch"] == ["catch"]


def test_what_succeeded_of_a_map_is_undone_item_by_item():
    def undo(ctx: Any) -> list[Any]:
        return [ctx.item, ctx.index, ctx.results["m"]]

    ran = run(mapped(picky, compensate=undo), input={"count": 4, "bad": [2]})
    assert ran.status == "failed"
    undone = {run.index: run.result for run in NodeRun.objects.filter(execution=ran.id, node="undo:m")}
    assert undone == {0: [0, 0, 0], 1: [1, 1, 1], 3: [3, 3, 3]}
    check_log(ran.id)


def test_a_condition_is_asked_of_the_map_and_not_of_its_items():
    asked = []

    def ask(ctx: Any) -> bool:
        asked.append(ctx.index)
        return bool(ctx.input["count"] > 2)

    built = mapped(when=ask)
    assert run(built, input={"count": 3}).output == {"sum": 6}
    assert asked == [None]
    assert run(built, input={"count": 1}).nodes["m"].status == "skipped"


def test_a_workflow_that_fails_fast_does_not_wait_for_the_other_items():
    built = (
        WorkflowBuilder("fast", on_failure="fail_fast").map("m", picky, over=lambda ctx: [0, 1, 2, 3]).build()
    )
    ran = run(built, input={"bad": [0]})
    assert ran.status == "failed"
    assert ran.error["type"] == "MapFailed"
    assert ran.nodes["m", 3].status == "cancelled"
    check_log(ran.id)


@pytest.mark.parametrize("wrong", ["text", {"a": 1}, 3, None])
def test_what_is_no_list_is_refused_in_a_sentence(wrong: Any):
    ran = run(
        WorkflowBuilder("no-list").map("m", double, over=lambda ctx: wrong, retry=RetryPolicy()).build(),
        input={},
    )
    assert ran.error["code"] == "not_a_list"
    assert f"a {type(wrong).__name__}" in ran.error["message"]
    assert ran.nodes["m"].attempts == 1


def test_an_item_that_is_no_json_is_named():
    ran = run(WorkflowBuilder("no-json").map("m", double, over=lambda ctx: [1, object()]).build(), input={})
    assert "Item 1 of map" in ran.error["message"]


def test_results_past_the_limit_of_one_payload_are_a_list_all_the_same(settings):
    settings.IGON7_PAYLOAD_LIMIT = 4000
    built = WorkflowBuilder("heavy").map("m", lambda ctx: "x" * 1000, over=lambda ctx: range(30))
    built.add_node("size", lambda ctx: sum(map(len, ctx.results["m"])), depends_on=["m"])
    assert run(built.build(), input={}).output == {"size": 30_000}


def test_chunk_gives_lists_of_a_size():
    assert chunk([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert chunk([], 3) == []
    with pytest.raises(InvalidOption, match="size of a chunk"):
        chunk([1], 0)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"over": "nowhere"}, GraphError, 'depends on "nowhere"'),
        ({"over": 3}, InvalidOption, "over of map"),
        ({"over": "list", "concurrency": 0}, InvalidOption, "concurrency"),
        ({"over": "list", "batch_size": True}, InvalidOption, "batch_size"),
        ({"over": "list", "tolerate": 1.5}, InvalidOption, "tolerate"),
        ({"over": "list", "on_error": True}, GraphError, "takes no option `on_error`"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused_at_once(options: Any, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        WorkflowBuilder("wrong").add_node("list", numbers).map("m", double, **options).build()


def test_a_map_serves_no_other_node():
    with pytest.raises(GraphError, match="A map is a node of its own"):
        WorkflowBuilder("w").add_node("a", numbers, fallback="m").map("m", double, over=numbers).build()
