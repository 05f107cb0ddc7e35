"""Undoing what succeeded, when an execution has failed or is cancelled with rollback: on the real store."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.engine.errors import CycleError, GraphError, IllegalMove
from orchestration.engine.states import Outcome
from orchestration.models import Execution, NodeRun
from orchestration.runner.memory import times_undone
from orchestration.store import acts, again, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle
from orchestration.store.start import start

from .store_helpers import ABOUT, check_log, done, order, run_to_end, seat

pytestmark = pytest.mark.django_db(transaction=True)
STEPS = ["book", "pay", "ship"]


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def body(ctx):
    """Be the body of nodes that nobody runs."""


def trip(**options) -> WorkflowBuilder:
    """Book, then pay, then ship; the first two can be undone."""
    return (
        WorkflowBuilder("trip", **options)
        .add_node("book", body, compensate=body)
        .add_node(
            "pay",
            body,
            depends_on=["book"],
            compensate=body,
            compensate_retry=RetryPolicy(max_attempts=2, initial_interval=0),
        )
        .add_node("ship", body, depends_on=["pay"])
    )


def begun(builder: WorkflowBuilder):
    return start(versions.version_of(builder.build()), [order()])[0].id


def succeed() -> list[str]:
    claims = claim(seat(), 10)
    settle(done(claims))
    return [each.key.node for each in claims]


def fail() -> list[str]:
    claims = claim(seat(), 10)
    settle(done(claims, Outcome.FAILED))
    return [each.key.node for each in claims]


def statuses(id) -> dict[str, str]:
    return dict(NodeRun.objects.filter(execution=id, superseded=False).values_list("node", "status"))


def execution_of(id) -> Any:
    return Execution.objects.get(pk=id)


def status(id) -> str:
    return str(execution_of(id).status)


def until_shipping():
    id = begun(trip())
    assert (succeed(), succeed()) == (["book"], ["pay"])
    return id


def test_when_an_execution_fails_what_succeeded_is_undone_the_last_begun_first():
    id = until_shipping()
    assert fail() == ["ship"]
    assert status(id) == "compensating"
    assert (succeed(), succeed(), succeed()) == (["undo:pay"], ["undo:book"], [])
    assert status(id) == "failed"
    assert execution_of(id).error["node"] == "ship"
    assert check_log(id).generation == 1
    assert NodeRun.objects.get(execution=id, node="undo:pay").for_node == "pay"


def test_undos_run_by_when_their_nodes_began_whatever_they_are_called():
    builder = WorkflowBuilder("w")
    before: list[str] = []
    for name in ("c", "d", "a", "b"):
        builder.add_node(name, body, depends_on=before, compensate=body)
        before = [name]
    id = begun(builder.add_node("last", body, depends_on=before))
    for _ in range(4):
        succeed()
    fail()
    assert [succeed() for _ in range(4)] == [["undo:b"], ["undo:a"], ["undo:d"], ["undo:c"]]
    check_log(id)


def test_an_undo_has_retries_of_its_own_and_one_that_fails_for_good_leaves_the_rest_and_says_so():
    id = until_shipping()
    fail()
    assert (fail(), fail(), succeed()) == (["undo:pay"], ["undo:pay"], [])
    execution = execution_of(id)
    assert (execution.status, execution.error["node"]) == ("failed", "ship")
    assert (execution.error["undone"], execution.error["undone_count"]) == (["pay", "book"], 2)
    assert statuses(id)["undo:book"] == "cancelled"
    check_log(id)


def test_a_failed_undo_is_tried_again_with_those_it_left():
    id = until_shipping()
    fail()
    fail(), fail()
    again.retry(id, ABOUT, "undo:pay")
    assert status(id) == "compensating"
    assert (succeed(), succeed()) == (["undo:pay"], ["undo:book"])
    execution = execution_of(id)
    assert (execution.status, execution.generation) == ("failed", 2)
    assert "undone" not in execution.error
    check_log(id)


def test_a_retry_runs_again_what_has_been_undone_and_keeps_what_an_undo_left():
    id = until_shipping()
    fail()
    succeed(), fail()  # paid back; the booking stands, who knows how
    again.retry(id, ABOUT)
    assert (succeed(), succeed(), succeed()) == (["book"], ["pay"], ["ship"])
    assert status(id) == "succeeded"
    assert statuses(id) == dict.fromkeys(STEPS, "succeeded")
    check_log(id)


def test_what_has_been_undone_is_another_effect_when_it_is_done_again():
    id = until_shipping()
    fail()
    assert times_undone(id, "undo:pay", "pay") == 0
    succeed(), succeed()
    again.retry(id, ABOUT)
    assert (times_undone(id, "undo:pay", "pay"), times_undone(id, "undo:book", "book")) == (1, 1)


def test_a_cancel_undoes_only_with_rollback():
    id = until_shipping()
    acts.cancel(id, ABOUT)
    assert (status(id), succeed()) == ("cancelled", [])
    other = until_shipping()
    running = claim(seat(), 1)
    acts.cancel(other, ABOUT, rollback=True)
    assert status(other) == "cancelling"
    settle(done(running, Outcome.CANCELLED))
    assert status(other) == "compensating"
    assert (succeed(), succeed()) == (["undo:pay"], ["undo:book"])
    assert status(other) == "cancelled"
    check_log(other)


def test_what_succeeds_while_it_is_rolled_back_is_undone_too():
    id = begun(trip())
    running = claim(seat(), 1)
    acts.cancel(id, ABOUT, rollback=True)
    settle(done(running))
    assert (succeed(), status(id)) == (["undo:book"], "cancelled")


def test_an_undo_that_fails_after_a_cancel_fails_the_execution():
    id = begun(trip())
    succeed()
    acts.cancel(id, ABOUT, rollback=True)
    fail()
    execution = execution_of(id)
    assert (execution.status, execution.error["node"]) == ("failed", "undo:book")
    again.retry(id, ABOUT, "undo:book")
    succeed()
    assert status(id) == "cancelled"
    check_log(id)


def test_a_paused_execution_undoes_once_it_is_resumed():
    id = until_shipping()
    running = claim(seat(), 1)
    acts.pause(id, ABOUT)
    settle(done(running, Outcome.FAILED))
    assert (status(id), succeed()) == ("paused", [])
    acts.resume(id, ABOUT)
    assert status(id) == "compensating"
    run_to_end()
    assert status(id) == "failed"
    check_log(id)


def test_its_own_timeout_undoes_and_cuts_no_undo_short():
    id = begun(trip(timeout=60))
    succeed()
    Execution.objects.filter(pk=id).update(deadline_at="2020-01-01T00:00Z")
    assert acts.expire(id)
    assert status(id) == "compensating"
    assert execution_of(id).deadline_at is None
    fail()
    again.retry(id, ABOUT, "undo:book")
    assert (status(id), execution_of(id).deadline_at) == ("compensating", None)
    assert (succeed(), status(id)) == (["undo:book"], "failed")
    assert execution_of(id).error["type"] == "ExecutionTimeout"
    check_log(id)


def test_a_roll_back_that_outlasts_the_timeout_goes_on_and_the_execution_fails():
    id = begun(trip(timeout=60))
    succeed()
    running = claim(seat(), 1)
    acts.cancel(id, ABOUT, rollback=True)
    Execution.objects.filter(pk=id).update(deadline_at="2020-01-01T00:00Z")
    assert acts.expire(id)
    settle(done(running))
    assert (succeed(), succeed(), status(id)) == (["undo:pay"], ["undo:book"], "failed")
    assert execution_of(id).error["type"] == "ExecutionTimeout"
    check_log(id)


def test_a_fallback_is_undone_by_its_own_undo_and_the_primary_that_it_saved_by_none():
    builder = (
        WorkflowBuilder("w")
        .add_node("primary", body, fallback="second", compensate=body)
        .add_node("second", body, compensate=body)
        .add_node("last", body, depends_on=["primary"])
    )
    id = begun(builder)
    assert (fail(), succeed(), fail()) == (["primary"], ["second"], ["last"])
    assert (succeed(), succeed()) == (["undo:second"], [])
    assert status(id) == "failed"
    assert NodeRun.objects.get(execution=id, node="undo:second").for_node == "primary"
    check_log(id)


def test_a_terminate_runs_no_undo_and_ends_one_that_runs():
    id = until_shipping()
    fail()
    claim(seat(), 1)
    with pytest.raises(IllegalMove):
        acts.cancel(id, ABOUT)
    acts.terminate(id, ABOUT)
    assert (status(id), succeed()) == ("terminated", [])
    check_log(id)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda b: b.add_node("a", body, compensate_retry=RetryPolicy(max_attempts=2)),
            "says how its undo is to run and has none",
        ),
        (
            lambda b: b.add_node("a", body, compensate=body).add_node("b", body, depends_on=["undo:a"]),
            "undoes another",
        ),
        (
            lambda b: b.add_node("a", body, compensate=body).add_node("undo:a", body),
            "two nodes called",
        ),
    ],
)
def test_an_undo_that_makes_no_sense_is_refused_by_name(build, says):
    with pytest.raises((GraphError, CycleError), match=f"(?i){says}"):
        build(WorkflowBuilder("w")).build()
