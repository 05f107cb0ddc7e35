"""Queue timeouts and deadlines on the real store, by the database's clock."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.engine.states import Outcome
from orchestration.models import NodeRun
from orchestration.runner.sweep import sweep
from orchestration.store import acts, again, clock, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle
from orchestration.store.start import start
from orchestration.testing import run

from .store_helpers import ABOUT, check_log, done, order, seat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def body(ctx):
    """Be the body of nodes that nobody runs."""


def left(claimed) -> float:
    """Return the seconds that a claim has to its deadline."""
    assert claimed.left is not None
    return float(claimed.left)


def begun(**options):
    builder = WorkflowBuilder("w").add_node("a", body, **options).add_node("b", body, depends_on=["a"])
    return start(versions.version_of(builder.build()), [order()])[0].id


def row(id, node="a") -> Any:
    return NodeRun.objects.get(execution=id, node=node, superseded=False)


def test_a_node_that_nobody_begins_in_time_fails_and_is_not_retried():
    away: dict[str, Any] = {"queue": "away", "queue_timeout": 5, "retry": RetryPolicy(max_attempts=3)}
    builder = WorkflowBuilder("w").add_node("a", body, **away).add_node("b", body, depends_on=["a"])
    result = run(builder.build(), queues=["default"])
    a = result.nodes["a"]
    assert (a.status, a.error["type"], a.attempts) == ("failed", "QueueTimeout", 0)
    assert (result.nodes["b"].status, result.status) == ("upstream_failed", "failed")
    assert 5000 <= result.events[-1]["data"]["duration"] < 6000
    check_log(result.id)


def test_a_queue_timeout_counts_from_the_retrys_own_time_and_not_while_it_runs_or_is_held():
    id = begun(queue_timeout=5, retry=RetryPolicy(max_attempts=2, initial_interval=20, jitter="none"))
    claims = claim(seat(lease=100), 1)
    with clock.ahead(30):
        sweep()
        assert row(id).status == "running"
    settle(done(claims, Outcome.FAILED))
    with clock.ahead(22):
        sweep()
        assert row(id).status == "ready"
    acts.pause(id, ABOUT)
    with clock.ahead(60):
        sweep()
        assert row(id).status == "ready"
        acts.resume(id, ABOUT)
    with clock.ahead(64):
        sweep()
        assert row(id).status == "ready"
    with clock.ahead(66):
        sweep()
    assert row(id).error["type"] == "QueueTimeout"
    check_log(id)


def test_a_deadline_covers_all_attempts_and_leaves_out_one_that_would_come_too_late():
    id = begun(
        deadline=30, retry=RetryPolicy(max_attempts=5, initial_interval=20, strategy="fixed", jitter="none")
    )
    (first,) = claim(seat(), 1)
    assert 29 < left(first) <= 30
    settle(done([first], Outcome.FAILED))
    assert row(id).status == "ready"
    with clock.ahead(21):
        (second,) = claim(seat(), 1)
        assert 8 < left(second) <= 9
        settle(done([second], Outcome.FAILED))
    assert (row(id).status, row(id).attempt) == ("failed", 2)
    check_log(id)


def test_a_deadline_that_passes_while_nobody_runs_the_node_fails_it():
    id = begun(deadline=30)
    with clock.ahead(31):
        sweep()
    assert row(id).error["type"] == "DeadlineExceeded"


def test_a_running_node_past_its_deadline_is_its_workers_to_stop_and_after_a_while_anybodys():
    id = begun(deadline=30)
    claims = claim(seat(lease=100), 1)
    with clock.ahead(35):
        sweep()
        assert row(id).status == "running"
    with clock.ahead(41):
        sweep()
    assert row(id).error["type"] == "DeadlineExceeded"
    assert settle(done(claims)).refused
    check_log(id)


def test_a_child_that_is_kept_along_has_its_deadline_too():
    builder = WorkflowBuilder("w").add_node("a", body).add_node("b", body, depends_on=["a"], deadline=7)
    id = start(versions.version_of(builder.build()), [order()])[0].id
    me = seat()
    (child,) = settle(done(claim(me, 1)), me, take=1, keep=True).claimed
    assert 6 < left(child) <= 7
    assert row(id, "b").deadline_at is not None


def test_what_a_person_retries_has_its_deadline_anew():
    id = begun(deadline=30, on_exhausted="pause")
    with clock.ahead(31):
        sweep()
        assert row(id).status == "attention"
        again.attend(id, "a", "retry", ABOUT)
        (one,) = claim(seat(), 1)
    assert 29 < left(one) <= 30


def test_a_fallback_takes_the_place_of_a_node_that_nobody_began_in_time():
    builder = WorkflowBuilder("w").add_node("a", body, queue="away", queue_timeout=1, fallback="b")
    result = run(builder.add_node("b", body).build(), queues=["default"])
    assert (result.nodes["a"].status, result.status) == ("recovered", "succeeded")
    check_log(result.id)
