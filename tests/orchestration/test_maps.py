"""Maps: items found at run time, each a row of its own; what fails of them, and running that again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestration import (
    CachePolicy,
    GraphError,
    RetryPolicy,
    Workflow,
    WorkflowBuilder,
    child_body,
    chunk,
    executor,
)
from orchestration.engine.errors import IllegalMove, InvalidOption
from orchestration.models import Execution, NodeRun
from orchestration.testing import run
from security.roles import ROLES
from tests.factories import person, start_execution
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


def test_an_item_that_waits_for_a_signal_keeps_its_place():
    def told(ctx: Any) -> Any:
        return [ctx.item, ctx.wait_for_signal(f"go-{ctx.item}")]

    built = WorkflowBuilder("told").map("m", told, over=lambda ctx: ["a", "b", "c"], concurrency=2).build()
    some = run(built, signals=[("go-b", 2)], until=lambda now: "go-c" in str(now.waits))
    assert [some.nodes["m", index].status for index in range(3)] == ["waiting", "succeeded", "waiting"]
    ran = some.go_on(signals=[("go-c", 3), ("go-a", 1)])
    assert ran.output == {"m": [["a", 1], ["b", 2], ["c", 3]]}
    check_log(ran.id)


def test_each_item_may_be_an_execution_of_its_own():
    single = WorkflowBuilder("single", output="work").add_node("work", lambda ctx: ctx.input["n"] * 2).build()
    body = child_body("single", input=lambda ctx: {"n": ctx.item})
    built = WorkflowBuilder("many-children").map("m", body, over=lambda ctx: [1, 2, 3], concurrency=2).build()
    ran = run(built, workflows=[single])
    assert ran.output == {"m": [2, 4, 6]}
    assert len(ran.children) == 3


def test_a_transactional_item_commits_with_what_it_writes():
    def books(ctx: Any) -> str:
        Group.objects.create(name=f"item {ctx.item}")
        if ctx.item == 2:
            raise ValueError("not this one")
        return str(ctx.item)

    built = WorkflowBuilder("books").map(
        "m", books, over=lambda ctx: [1, 2, 3], transactional=True, timeout=5
    )
    ran = run(built.build())
    assert ran.error["items"] == [1]
    assert set(Group.objects.exclude(name__in=ROLES).values_list("name", flat=True)) == {"item 1", "item 3"}


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


# --- again -----------------------------------------------------------------------------------------


def tried(ctx: Any) -> int:
    """Fail where the attempts of this item that were made so far say so."""
    CALLS.append((ctx.index, ctx.input.get("edited")))
    if ctx.item in BAD:
        raise ValueError(f"{ctx.item} is no good")
    return int(ctx.item)


CALLS: list[Any] = []
BAD: set[int] = set()


@pytest.fixture
def half_failed() -> Iterator[Any]:
    """A map of five items of which two have failed."""
    CALLS.clear()
    BAD.clear()
    BAD.update({1, 3})
    yield run(mapped(tried, concurrency=2), input={"count": 5})
    BAD.clear()


def items(id: Any) -> dict[int, tuple[str, int]]:
    rows = NodeRun.objects.filter(execution=id, node="m", index__gte=0, superseded=False)
    return {row.index: (row.status, row.generation) for row in rows}


def test_a_retry_runs_what_failed_of_a_map_again_and_keeps_the_rest(half_failed: Any):
    CALLS.clear()
    BAD.clear()
    executor.retry(half_failed.id, principal=half_failed.principal)
    ran = half_failed.go_on()
    assert ran.output == {"sum": 10}
    assert [index for index, _ in CALLS] == [1, 3]
    assert items(ran.id) == {
        0: ("succeeded", 1), 1: ("succeeded", 2), 2: ("succeeded", 1), 3: ("succeeded", 2), 4: ("succeeded", 1),
    }  # fmt: skip
    check_log(ran.id)


def test_one_item_alone_can_be_run_again_and_with_an_input_of_its_own(half_failed: Any):
    CALLS.clear()
    BAD.clear()
    executor.retry(half_failed.id, node="m[3]", input={"edited": True}, principal=half_failed.principal)
    ran = half_failed.go_on()
    assert CALLS == [(3, True)]
    assert ran.status == "failed"
    assert ran.nodes["m"].error["items"] == [1]
    executor.retry(half_failed.id, node="m", input={"edited": 2}, principal=half_failed.principal)
    assert half_failed.go_on().output == {"sum": 10}
    assert CALLS == [(3, True), (1, 2)]


def test_a_retry_of_what_is_no_item_changes_nothing(half_failed: Any):
    for name in ("m[5]", "sum[0]", "m[-1]"):
        with pytest.raises(IllegalMove):
            executor.retry(half_failed.id, node=name, principal=half_failed.principal)
    assert Execution.objects.get(pk=half_failed.id).status == "failed"


def test_a_dry_run_names_the_items_that_would_run_again(half_failed: Any):
    again = executor.preview(half_failed.id, "retry", principal=half_failed.principal)
    assert again["again"]["nodes"] == ["m[1]", "m[3]"]
    again = executor.preview(half_failed.id, "retry", node="m[3]", principal=half_failed.principal)
    assert again["again"]["nodes"] == ["m[3]"]


def test_a_map_that_failed_can_be_given_a_result_afterwards(half_failed: Any):
    executor.attend(half_failed.id, "m", "supply", result=[7], reopen=True, principal=half_failed.principal)
    assert half_failed.go_on().output == {"sum": 7}


def test_a_person_who_is_asked_lets_what_failed_of_a_map_run_again():
    CALLS.clear()
    BAD.update({2})
    asked = run(mapped(tried, on_exhausted="pause"), input={"count": 4})
    assert asked.nodes["m"].status == "attention"
    CALLS.clear()
    BAD.clear()
    executor.attend(asked.id, "m", "retry", principal=asked.principal)
    ran = asked.go_on()
    assert ran.output == {"sum": 6}
    assert CALLS == [(2, None)]
    check_log(ran.id)


def test_a_map_that_was_cancelled_goes_on_with_the_items_it_had():
    BAD.clear()
    CALLS.clear()
    some = run(mapped(tried, concurrency=1), input={"count": 5}, until=lambda now: len(CALLS) >= 2)
    executor.cancel(some.id, principal=some.principal)
    executor.retry(some.id, principal=some.principal)
    assert some.go_on().output == {"sum": 10}
    assert [index for index, _ in CALLS] == [0, 1, 2, 3, 4]


def test_a_fork_takes_over_a_map_with_all_that_its_items_gave(half_failed: Any):
    CALLS.clear()
    BAD.clear()
    executor.retry(half_failed.id, principal=half_failed.principal)
    half_failed.go_on()
    CALLS.clear()
    fork = executor.fork(half_failed.id, "sum", principal=half_failed.principal)
    half_failed.go_on()
    assert Execution.objects.get(pk=fork).status in ("running", "succeeded")
    assert len(items(fork)) == 5
    assert CALLS == []


def test_a_retry_from_what_a_map_goes_over_makes_it_anew(half_failed: Any):
    BAD.clear()
    CALLS.clear()
    executor.retry(half_failed.id, node="list", principal=half_failed.principal)
    assert half_failed.go_on().output == {"sum": 10}
    assert len(CALLS) == 5


# --- the doors -------------------------------------------------------------------------------------


def test_items_come_in_pages_and_by_their_status(half_failed: Any, client: Client):
    client.force_login(person("alice"))
    address = reverse("api:items", args=[half_failed.id, "m"])
    first = client.get(address, {"limit": 2}).json()
    assert first["items"] == {"count": 5, "ok": 3, "failed": 2}
    assert first["counts"] == {"succeeded": 3, "failed": 2}
    assert [each["item"] for each in first["results"]] == [0, 1]
    assert first["results"][1]["error"] == {"type": "ValueError", "message": "1 is no good"}
    rest = client.get(first["next"]).json()
    assert [each["index"] for each in rest["results"]] == [2, 3]
    failed = client.get(address, {"status": "failed"}).json()
    assert [each["index"] for each in failed["results"]] == [1, 3]
    assert failed["next"] is None
    assert client.get(address, {"status": "lazy"}).status_code == 400
    refused = client.get(reverse("api:items", args=[half_failed.id, "sum"]))
    assert refused.json()["error"]["code"] == "unknown_map"


def test_the_nodes_of_an_execution_are_not_its_items(half_failed: Any, client: Client):
    client.force_login(person("alice"))
    shown = client.get(reverse("api:execution", args=[half_failed.id])).json()
    assert [each["node"] for each in shown["nodes"]] == ["list", "m", "sum"]
    assert shown["nodes"][1]["items"] == {"count": 5, "ok": 3, "failed": 2}


def test_who_may_not_see_an_execution_sees_no_items_of_it(half_failed: Any, client: Client):
    client.force_login(person("mallory", staff=False))
    assert client.get(reverse("api:items", args=[half_failed.id, "m"])).status_code in (403, 404)


def test_the_command_lists_items(half_failed: Any, capsys: pytest.CaptureFixture[str]):
    call_command("items", str(half_failed.id), "m", "--status", "failed")
    said = capsys.readouterr().out
    assert "1 is no good" in said
    assert "succeeded" not in said
    call_command("items", str(half_failed.id), "m", "--limit", "1", "--json")
    assert json.loads(capsys.readouterr().out)["next"] == 0
    call_command("retry", str(half_failed.id), "--node", "m[1]", "--dry-run")
    assert "m[1]" in capsys.readouterr().out


def test_a_map_under_way_says_how_far_it_is(client: Client):
    some = run(
        mapped(double),
        input={"count": 3},
        until=lambda now: ("m", 0) in now.nodes and now.nodes["m", 0].finished_at,
    )
    client.force_login(person("alice"))
    shown = client.get(reverse("api:execution", args=[some.id])).json()
    assert shown["nodes"][1]["why"] == "“m”: 1 of 3 items done."


def test_what_stands_in_line_says_at_which_place(client: Client):
    names = ["a", "b", "c", "d"]
    built = WorkflowBuilder("in-line").parallel(names, [double] * 4, concurrency=2).build()
    execution = start_execution(built)
    client.force_login(person("alice"))
    shown = client.get(reverse("api:execution", args=[execution.pk])).json()
    assert shown["nodes"][3]["why"] == "Stands in line, at place 2: no more than 2 run at once."


def test_a_cached_item_is_known_by_itself_and_not_by_the_list_it_stood_in():
    CALLS.clear()
    BAD.clear()
    built = mapped(tried, cache=CachePolicy(ttl=60, key_fn=lambda input: ""))
    assert run(built, input={"count": 2}).output == {"sum": 1}
    assert run(built, input={"count": 4}).output == {"sum": 6}
    assert [index for index, _ in CALLS] == [0, 1, 2, 3]


# --- the console -----------------------------------------------------------------------------------


def test_the_console_counts_the_items_of_a_map_on_one_card_and_lists_them(half_failed: Any, client: Client):
    client.force_login(person("alice"))
    page = client.get(reverse("execution", args=[half_failed.id])).content.decode()
    assert "5 / 5" in page
    assert page.count('class="gnode"') == 3
    listed = client.get(reverse("items", args=[half_failed.id, "m"]), {"status": "failed"}).content.decode()
    assert "3 is no good" in listed
    assert "Run what failed again…" in listed
    item = client.get(reverse("node", args=[half_failed.id, "m"]), {"index": "3"}).content.decode()
    assert "m[3]" in item
    assert "Run this item again…" in item
    for view in ("nodes", "timeline"):
        part = client.get(reverse("execution_part", args=[half_failed.id, "canvas"]), {"view": view})
        assert part.content.decode().count('-row="m"' if view == "nodes" else 'data-node-link="m"') == 1
    assert client.get(reverse("items", args=[half_failed.id, "sum"])).status_code == 404
    assert client.get(reverse("items", args=[half_failed.id, "m"]), {"status": "odd"}).status_code == 400


def test_an_item_is_run_again_from_its_page(half_failed: Any, client: Client):
    BAD.clear()
    client.force_login(person("alice"))
    address = reverse("plan", args=[half_failed.id, "retry"])
    assert "m[3]" in client.get(address, {"node": "m[3]"}).content.decode()
    client.post(address, {"node": "m[3]", "input": '{"count": 5}', "reason": "mended"})
    assert half_failed.go_on().nodes["m", 3].status == "succeeded"


def test_the_pages_of_a_map_take_as_many_queries_however_many_items_it_has(client: Client):
    client.force_login(person("alice"))
    counts = []
    for count in (3, 300):
        ran = run(mapped(), input={"count": count})
        for address in (reverse("execution", args=[ran.id]), reverse("items", args=[ran.id, "m"])):
            client.get(address)
            with CaptureQueriesContext(connection) as told:
                assert client.get(address).status_code == 200
            counts.append(len(told))
    assert counts[:2] == counts[2:]
