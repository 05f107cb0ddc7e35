"""Attempts that take too long: interrupted where they can be, killed with their process where not."""

import pytest

from tests import workflows_for_tests as samples
from tests.cluster import (
    begin,
    ended,
    events,
    run_of,
    status,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)


def timed_out(id, within=20.0):
    """Check that "work" timed out after 0.3 s, and return how long that took (to what waiting for a lock adds)."""
    ended(id, "failed", within)
    error = run_of(id, "work").error
    assert (error["type"], error["message"]) == (
        "NodeTimeout",
        "The body ran longer than its timeout of 0.3 s.",
    )
    assert events(id, "node.failed", node="work")[0]["data"]["outcome"] == "timed_out"
    run = run_of(id, "work")
    return (run.finished_at - run.started_at).total_seconds()


@pytest.mark.alone
def test_a_loop_of_pure_python_is_interrupted(crew):
    id = begin(samples.spinning)
    assert 0.25 < timed_out(id) < 1.0
    assert statuses(id)["after"] == "upstream_failed"


@pytest.mark.alone
def test_a_sleep_is_interrupted_and_a_timeout_is_retried(crew):
    id = begin(samples.sleeping)
    assert 0.25 < timed_out(id) < 1.0
    assert run_of(id, "work").attempt == 2
    assert events(id, "node.retrying")[0]["data"]["outcome"] == "timed_out"
    assert crew.ledger.runs(id, "end") == {"work": 2}


def test_a_body_that_ignores_its_timeout_is_killed_with_its_process_and_the_rest_runs_on(crew):
    id = begin(samples.ignoring)
    wait_until(lambda: crew.ledger.entries(id))
    pid = crew.ledger.entries(id)[0].pid
    others = [begin(samples.diamond) for _ in range(5)]
    for other in others:
        ended(other)
    assert 5.0 <= timed_out(id) < 8.0
    assert statuses(id)["after"] == "upstream_failed"
    wait_until(
        lambda: pid not in crew.processes() and len(crew.workers()) == 2, what="its worker is replaced"
    )
    assert crew.ledger.runs(id, "end") == {}
    assert not events(id, "node.lost")


@pytest.mark.alone
def test_an_async_body_is_timed_out_on_the_event_loop(crew):
    id = begin(samples.async_timeout)
    assert 0.25 < timed_out(id) < 1.0
    assert crew.ledger.runs(id, "end") == {"work": 1}


def test_an_async_body_that_blocks_the_event_loop_is_killed_too(crew):
    id = begin(samples.async_blocking)
    assert 5.0 <= timed_out(id) < 8.0
    ended(begin(samples.async_file), within=10.0)


def test_an_execution_that_outlasts_its_own_timeout_fails_and_starts_nothing_more(crew):
    id = begin(samples.whole_timeout, {"seconds": 2.5})
    execution = ended(id, "failed")
    assert execution.error["code"] == "execution_timeout"
    assert "longer than its timeout of 1" in execution.error["message"]
    assert crew.ledger.runs(id) == {"work": 1}
    assert 1.0 <= (events(id, "execution.cancelling")[0]["data"] and _took(execution)) < 4.5


def test_an_execution_within_its_timeout_is_left_alone(crew):
    id = begin(samples.whole_timeout, {"seconds": 0.2})
    ended(id)
    assert status(id) == "succeeded"


def failed_as(id, type):
    """Check that "work" failed with this error, once; return the NodeRun."""
    ended(id, "failed")
    run = run_of(id, "work")
    assert (run.error["type"], run.attempt) == (type, 1)
    return run


LANES = pytest.mark.parametrize("lane", ["sync", "async"])


@LANES
def test_a_body_that_says_nothing_for_too_long_is_interrupted(crew, lane):
    id = begin(samples.silent[lane])
    run = failed_as(id, "HeartbeatTimeout")
    assert "said nothing for longer than its heartbeat timeout of 0.5 s" in run.error["message"]
    assert 0.45 < _took(run) < 2.0
    assert crew.ledger.runs(id, "end") == {"work": 1}


@LANES
def test_a_body_that_says_often_enough_that_it_is_alive_runs_to_its_end(crew, lane):
    id = begin(samples.speaking[lane])
    ended(id)
    run = run_of(id, "work")
    assert (run.result, crew.ledger.runs(id, "end")) == ("spoke", {"work": 1})
    assert _took(run) > 0.7, "it ran for longer than it may say nothing"


@LANES
def test_a_deadline_interrupts_a_running_body_and_nothing_is_retried_after_it(crew, lane):
    id = begin(samples.overdue[lane])
    run = failed_as(id, "DeadlineExceeded")
    assert 0.2 < _took(run) < 2.0
    assert statuses(id)["after"] == "upstream_failed"
    assert not events(id, "node.retrying")
    assert crew.ledger.runs(id, "end") == {"work": 1}


def _took(execution):
    return (execution.finished_at - execution.started_at).total_seconds()
