"""Nodes beside each other, and items of maps: at most so many at once, and as many as that."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestration import GraphError, RetryPolicy, Workflow, WorkflowBuilder, executor
from orchestration.engine.errors import InvalidOption
from orchestration.engine.states import Outcome
from orchestration.engine.view import Key
from orchestration.models import Execution, NodeRun
from orchestration.store import acts, again, sql
from orchestration.store import settle as settle_module
from orchestration.store.claim import Claim, claim
from orchestration.store.limits import expire
from orchestration.testing import crash_everywhere, run
from security.principals import Principal
from tests.factories import start_execution
from tests.orchestration.store_helpers import (
    ABOUT,
    check_log,
    done,
    run_to_end,
    seat,
    settle_whole,
    status,
    together,
)

pytestmark = pytest.mark.django_db
SYSTEM = Principal.system("test")


def named(ctx: Any) -> str:
    return str(ctx.node_id)


def beside(count: int, concurrency: int | None, body: Callable[..., Any] = named, **options: Any) -> Workflow:
    ids = [f"task-{number}" for number in range(count)]
    built = WorkflowBuilder("beside").parallel(ids, [body] * count, concurrency=concurrency, **options)
    return built.add_node("last", named, depends_on=ids, join="all_done").build()


def over(count: int, concurrency: int | None, body: Callable[..., Any] = named, **options: Any) -> Workflow:
    built = WorkflowBuilder("over").map(
        "m", body, over=lambda _: range(count), concurrency=concurrency, **options
    )
    return built.build()


def begin(workflow: Workflow) -> uuid.UUID:
    """Start it; of a map, find the items."""
    id = start_execution(workflow).id
    if spec := workflow.graph.nodes.get("m"):
        count = len(workflow.lists[spec.id](None))
        settle_whole(done(claim(seat(), 1), Outcome.SPREAD, spread=count))
    return id


def under_way(id: uuid.UUID) -> int:
    rows = NodeRun.objects.filter(execution=id, superseded=False, items=None)
    return rows.exclude(status="pending").filter(finished_at=None).count()


WIDE = [lambda: beside(12, 3), lambda: over(12, 3)]


def test_all_of_them_run_and_get_their_places_in_their_order():
    ran = run(beside(12, 3))
    assert ran.status == "succeeded"
    ready = [event["node"] for event in ran.events if event["type"] == "node.ready"]
    assert ready == [*(f"task-{number}" for number in range(12)), "last"]
    check_log(ran.id)


@pytest.mark.parametrize("make", WIDE)
def test_there_are_never_more_and_never_fewer_under_way_than_the_bound(make: Callable[[], Workflow]):
    id = begin(make())
    mine: list[Claim] = []
    left = 12
    while left:
        mine += claim(seat(), 10)
        assert len(mine) == under_way(id) == min(3, left)
        one, *mine = mine[1:] + mine[:1]
        report = settle_whole(done([one], Outcome.FAILED if left == 5 else Outcome.SUCCEEDED))
        assert not report.claimed
        left -= 1
    run_to_end()
    assert status(id) == "failed"
    check_log(id)


@pytest.mark.parametrize("make", WIDE)
def test_a_batch_of_outcomes_hands_on_as_many_places(make: Callable[[], Workflow]):
    id = begin(make())
    worker = seat()
    report = settle_whole(done(claim(worker, 10)))
    assert not report.left
    assert under_way(id) == 3
    assert len(claim(worker, 10)) == 3


@pytest.mark.parametrize("make", [lambda **o: beside(5, 2, **o), lambda **o: over(5, 2, **o)])
def test_what_waits_between_attempts_and_what_is_lost_keep_their_places(make: Callable[..., Workflow]):
    id = begin(make(retry=RetryPolicy(max_attempts=2, initial_interval=3600)))
    first, second = claim(seat(), 10)
    settle_whole(done([first], Outcome.FAILED))
    settle_whole(done([second], Outcome.LOST))
    assert under_way(id) == 2
    (again_,) = claim(seat(), 10)  # the lost one, which is tried again at once
    assert again_.key == second.key
    settle_whole(done([again_]))
    assert under_way(id) == 2


@pytest.mark.parametrize("make", WIDE)
def test_nothing_is_let_go_while_it_is_paused_and_as_many_go_on_afterwards(make: Callable[[], Workflow]):
    id = begin(make())
    acts.pause(id, ABOUT)
    assert not claim(seat(), 10)
    acts.resume(id, ABOUT)
    mine = claim(seat(), 10)
    assert len(mine) == 3
    acts.pause(id, ABOUT)
    settle_whole(done(mine[:2]))
    assert not claim(seat(), 10)
    acts.resume(id, ABOUT)
    assert under_way(id) == 3
    assert len(claim(seat(), 10)) == 2
    check_log(id)


@pytest.mark.parametrize("make", WIDE)
def test_what_is_cancelled_in_line_stands_in_line_again_after_a_retry(make: Callable[[], Workflow]):
    id = begin(make())
    settle_whole(done(claim(seat(), 2)))
    acts.cancel(id, ABOUT)
    assert status(id) == "cancelled"
    again.retry(id, ABOUT)
    assert under_way(id) == 3
    left = 10
    while left:
        mine = claim(seat(), 10)
        assert len(mine) == min(3, left)
        settle_whole(done(mine))
        left -= len(mine)
    run_to_end()
    assert status(id) == "succeeded"
    check_log(id)


def test_a_node_skipped_by_a_person_in_line_gives_no_place_away():
    id = begin(beside(5, 2))
    executor.attend(id, "task-4", "skip", principal=SYSTEM)
    assert under_way(id) == 2
    executor.attend(id, "task-0", "skip", principal=SYSTEM)  # it had one
    assert under_way(id) == 2
    assert {each.key.node for each in claim(seat(), 10)} == {"task-1", "task-2"}


def test_a_node_that_is_overdue_hands_its_place_on():
    id = begin(beside(3, 1, queue_timeout=0.001))
    assert expire(id, Key("task-0"))
    assert [run.node for run in NodeRun.objects.filter(execution=id, status="ready")] == ["task-1"]


def test_without_a_bound_all_are_let_go():
    assert under_way(begin(beside(12, None))) == 12
    executor.terminate(Execution.objects.get().id, principal=SYSTEM)
    assert under_way(begin(over(12, None))) == 12


@pytest.mark.parametrize(
    ("ids", "bodies", "options", "error", "said"),
    [
        (["a", "b"], [named], {}, GraphError, "2 ids and 1 bodies"),
        ([], [], {}, GraphError, "at least one"),
        ("ab", [named], {}, InvalidOption, "ids of parallel nodes"),
        (["a"], [named], {"concurrency": 0}, InvalidOption, "concurrency"),
        (["a"], [named], {"fallback": "b"}, GraphError, "takes no option `fallback`"),
    ],
)
def test_what_makes_no_sense_beside_each_other_is_refused(ids, bodies, options, error, said):
    with pytest.raises(error, match=said):
        WorkflowBuilder("w").parallel(ids, bodies, **options).build()


def _sum(ctx: Any) -> int:
    return sum(ctx.results["m"])


def _own(ctx: Any) -> int:
    return int(ctx.item) + int(ctx.step("add", lambda: 1))


@pytest.mark.django_db(transaction=True)
def test_a_map_ends_alike_wherever_a_worker_dies():
    built = WorkflowBuilder("crashes").map("m", _own, over=lambda _: [1, 2, 3], concurrency=2)
    tried = crash_everywhere(built.add_node("sum", _sum, depends_on=["m"]).build())
    assert tried.result.output == {"sum": 9}
    assert tried.crashes > 15


@pytest.mark.django_db(transaction=True)
def test_bounded_nodes_end_alike_wherever_a_worker_dies():
    assert crash_everywhere(beside(3, 1)).result.status == "succeeded"
    assert Execution.objects.exclude(status="succeeded").count() == 0


# --- two that end at once --------------------------------------------------------------------------


def _end_both_at_once(id: uuid.UUID) -> list[Any]:
    """Settle two that are under way in two transactions that have both read before either writes."""
    one, other = claim(seat(), 1), claim(seat(), 1)
    meeting = threading.Barrier(2)
    load = settle_module._lock_and_load

    def load_then_meet(*args: Any) -> Any:
        items = load(*args)
        with contextlib.suppress(threading.BrokenBarrierError):  # the guard keeps the other one out
            meeting.wait(1.0)
        return items

    with mock.patch.object(settle_module, "_lock_and_load", load_then_meet):
        return together(lambda: settle_whole(done(one)), lambda: settle_whole(done(other)))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make", [lambda: beside(6, 2), lambda: over(6, 2)])
def test_without_the_row_lock_two_ends_give_one_place_away_twice(make: Callable[[], Workflow]):
    id = begin(make())
    with mock.patch.object(sql, "for_update", return_value=""):
        results = _end_both_at_once(id)
    broken = any(isinstance(result, Exception) for result in results) or under_way(id) != 2
    assert broken, "the race did not happen: this test proves nothing any more"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make", [lambda: beside(6, 2), lambda: over(6, 2)])
def test_two_that_end_at_once_hand_two_places_on(make: Callable[[], Workflow]):
    id = begin(make())
    results = _end_both_at_once(id)
    assert not any(isinstance(result, Exception) for result in results), results
    assert under_way(id) == 2
    run_to_end()
    assert status(id) == "succeeded"
    check_log(id)


# --- what it costs ---------------------------------------------------------------------------------


def _statements(workflow: Workflow) -> list[int]:
    """Return how many statements each of three settles takes, in the middle of it."""
    begin(workflow)
    worker, counts = seat(), []
    settle_whole(done(claim(worker, 1)))
    for _ in range(3):
        claims = claim(worker, 2)
        with CaptureQueriesContext(connection) as told:
            settle_module.settle(done(claims), worker)
        counts.append(len(told))
    run_to_end()
    return counts


def test_an_item_is_settled_in_as_many_statements_as_a_node_of_a_fan_whatever_their_number():
    names = [f"leaf{number}" for number in range(20)]
    fan = WorkflowBuilder("fan").add_node("root", named)
    for name in names:
        fan.add_node(name, named, depends_on=["root"])
    few, many = _statements(over(20, None)), _statements(over(600, None))
    assert few == many
    joined = _statements(fan.add_node("join", named, depends_on=names).build())
    assert many[1:] == joined[1:]  # with the first of a fan, its join is born
    # Who comes next is asked for with the rest, and born.
    assert max(_statements(over(20, 4))) <= max(few) + 3
