"""Bodies that fail, in every way a body can, beside others that must not notice."""

import pytest

from orchestration.models import Execution
from tests import workflows_for_tests as samples
from tests.cluster import (
    begin,
    ended,
    events,
    run_of,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
    wait_for_node,
    wait_until,
)


def failure(id, node="work"):
    """Check that the node is why the execution failed, and return the node's error."""
    execution = ended(id, "failed", within=40.0)
    assert execution.error["node"] == node
    error = run_of(id, node).error
    assert execution.error["message"] == error["message"]
    return error


@pytest.mark.alone
def test_retries_wait_as_their_policy_says_and_the_child_sees_the_good_attempt(crew):
    id = begin(samples.flaky)
    ended(id)
    run = run_of(id, "work")
    assert (run.attempt, run.result) == (3, "attempt 3")
    retrying = events(id, "node.retrying")
    assert [e["data"]["delay"] for e in retrying] == [200, 400]
    assert [e["attempt"] for e in events(id, "node.started", node="work")] == [1, 2, 3]
    began, finished = crew.ledger.entries(id), crew.ledger.entries(id, "end")
    for n, delay in enumerate((0.2, 0.4)):
        assert delay <= began[n + 1].at - finished[n].at < delay + 0.5


def test_the_last_attempt_fails_the_execution_and_what_depends_on_it(crew):
    id = begin(samples.hopeless)
    error = failure(id)
    assert (error["type"], error["message"]) == ("ConnectionError", "attempt 2 failed")
    assert "raise ConnectionError" in error["traceback"]
    assert "orchestration/runner" not in error["traceback"]
    assert statuses(id) == {"work": "failed", "after": "upstream_failed"}
    assert crew.ledger.runs(id) == {"work": 2}


@pytest.mark.alone
def test_retry_after_overrules_the_policys_delay(crew):
    id = begin(samples.retry_after)
    ended(id)
    (retrying,) = events(id, "node.retrying")
    assert retrying["data"]["delay"] == 700
    first, second = crew.ledger.entries(id)
    assert 0.7 <= second.at - first.at < 1.5


def test_do_not_retry_ends_at_once(crew):
    id = begin(samples.do_not_retry)
    assert failure(id)["message"] == "no use"
    assert crew.ledger.runs(id) == {"work": 1}


def test_a_body_that_exits_fails_with_a_sentence_and_its_worker_lives_on(crew):
    before = set(crew.processes())
    id = begin(samples.exiting)
    error = failure(id)
    assert error["message"] == "The body called sys.exit(3). Return a result or raise an error instead."
    assert crew.ledger.runs(id) == {"work": 1}
    assert set(crew.processes()) == before


@pytest.mark.parametrize(
    ("workflow", "sentence"),
    [
        (samples.unserialisable_result, "rows[1].when"),
        (samples.nan_result, "mean"),
        (samples.large_result, "3145730 bytes; the limit is 2097152"),
    ],
    ids=["an object", "not a number", "3 MiB"],
)
def test_a_result_that_cannot_be_kept_is_a_failure_that_names_the_node(crew, workflow, sentence):
    id = begin(workflow)
    error = failure(id)
    assert 'The result of node "work"' in error["message"]
    assert sentence in error["message"]
    assert run_of(id, "work").result is None
    assert statuses(id)["after"] == "upstream_failed"


def test_a_body_that_kills_its_process_is_tried_again_and_then_called_poison_while_others_run_on(crew):
    poison = begin(samples.vanishing)
    others = [begin(samples.three) for _ in range(10)]
    error = failure(poison)
    assert error["code"] == "node_poison"
    assert "disappeared 4 times in a row" in error["message"]
    runs = crew.ledger.runs(poison)["work"]
    assert runs == len(events(poison, "node.lost"))
    assert runs >= 4  # a loss in company does not count
    assert events(poison, "node.lost")[-1]["data"]["losses"] == 4
    assert statuses(poison)["after"] == "upstream_failed"
    for id in others:
        ended(id)
    wait_until(lambda: len(crew.workers()) == 2, what="both workers are back")
    pids = set()
    for _ in range(20):
        ended(id := begin(samples.three))
        pids |= {entry.pid for entry in crew.ledger.entries(id)}
    assert pids <= set(crew.workers())


def test_only_what_failed_is_blamed_on_an_execution_with_two_branches(crew, tmp_path):
    id = begin(samples.fixable, {"fixed": str(tmp_path / "no")})
    assert failure(id, "broken")["message"] == "not fixed yet"
    assert statuses(id) == {
        "first": "succeeded",
        "broken": "failed",
        "beside": "succeeded",
        "last": "upstream_failed",
    }
    assert Execution.objects.get(pk=id).failures == 1


def test_a_retry_that_is_long_in_coming_leaves_its_worker_to_others(crew):
    id = begin(samples.retry_late)
    wait_until(lambda: events(id, "node.retrying"))
    wait_for_node(id, "work", "ready")
    ended(begin(samples.diamond), within=5.0)
    assert crew.ledger.runs(id) == {"work": 1}
