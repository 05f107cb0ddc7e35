"""Cancel, terminate, pause, resume and retry, while real workers run the bodies."""

from functools import partial

import pytest

from orchestration import executor
from orchestration.engine.errors import IllegalMove
from orchestration.models import NodeRun
from security.models import AuditRecord
from tests import workflows_for_tests as samples
from tests.cluster import (
    ME,
    begin,
    check_log,
    ended,
    events,
    run_of,
    status,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
    wait_for,
    wait_for_node,
    wait_until,
)


def running(crew, workflow, input=None):
    """Start an execution and return its id once its body truly runs."""
    id = begin(workflow, input)
    wait_until(lambda: crew.ledger.entries(id))
    return id


def test_a_body_that_polls_ends_as_cancelled(crew):
    id = running(crew, samples.polling)
    executor.cancel(id, principal=ME, reason="enough")
    assert status(id) == "cancelling"
    execution = ended(id, "cancelled", within=5.0)
    assert (execution.cause["verb"], execution.cause["by"], execution.cause["reason"]) == (
        "cancel",
        "tests",
        "enough",
    )
    assert statuses(id) == {"work": "cancelled"}
    assert AuditRecord.objects.filter(action="execution.cancel", resource_id=str(id)).count() == 1


def test_a_body_that_does_not_poll_completes_and_its_children_never_start(crew, tmp_path):
    id = running(crew, samples.gated, {"gate": str(tmp_path / "gate")})
    executor.cancel(id, principal=ME)
    (tmp_path / "gate").touch()
    ended(id, "cancelled")
    assert run_of(id, "work").status == "succeeded"
    assert crew.ledger.runs(id) == {"work": 1}


def test_a_retry_that_waits_is_cancelled_at_once(crew):
    id = running(crew, samples.retry_late)
    wait_until(lambda: events(id, "node.retrying"))
    executor.cancel(id, principal=ME)
    ended(id, "cancelled", within=1.0)
    assert statuses(id) == {"work": "cancelled"}


@pytest.mark.parametrize("workflow", [samples.long_sleep, samples.async_sleep], ids=["sync", "async"])
def test_terminate_interrupts_a_sleeping_body_and_refuses_its_result(crew, workflow):
    id = running(crew, workflow)
    executor.terminate(id, principal=ME, reason="now")
    assert status(id) == "terminated"
    before = events(id)
    wait_until(lambda: crew.ledger.runs(id, "end") == {"work": 1}, within=2.5, what="the body is interrupted")
    ended(begin(samples.diamond), within=5.0)
    assert events(id) == before
    assert statuses(id) == {"work": "cancelled"}
    check_log(id)


def test_the_result_of_a_body_that_ends_just_after_terminate_is_refused(crew, tmp_path):
    id = running(crew, samples.gated, {"gate": str(tmp_path / "gate")})
    executor.terminate(id, principal=ME)
    (tmp_path / "gate").touch()
    wait_until(lambda: crew.ledger.runs(id, "end") == {"work": 1}, within=2.5)
    wait_until(lambda: f"of execution {id} (attempt 1) was" in crew.log, what="the log says so")
    assert statuses(id) == {"work": "cancelled"}
    assert run_of(id, "work").result is None


def test_a_body_that_swallows_its_interruption_is_killed_and_its_worker_comes_back(crew):
    id = running(crew, samples.stubborn)
    pid = crew.ledger.entries(id)[0].pid
    executor.terminate(id, principal=ME)
    wait_until(lambda: pid not in crew.processes(), within=9.0, what="its process is gone")
    wait_until(lambda: len(crew.workers()) == 2, what="another has its place")
    assert status(id) == "terminated"


def test_while_paused_nothing_new_starts_and_what_runs_completes(crew, tmp_path):
    id = running(crew, samples.gated, {"gate": str(tmp_path / "gate")})
    executor.pause(id, principal=ME, reason="lunch")
    (tmp_path / "gate").touch()
    wait_for_node(id, "work", "succeeded")
    assert (statuses(id)["after"], run_of(id, "after").held) == ("ready", True)
    ended(begin(samples.diamond))  # the workers have looked for work since
    assert crew.ledger.runs(id) == {"work": 1}
    assert status(id) == "paused"
    check_log(id)
    executor.resume(id, principal=ME)
    ended(id)
    assert crew.ledger.runs(id) == {"work": 1, "after": 1}


def test_what_fails_while_paused_is_retried_only_after_the_resume(crew, tmp_path):
    id = begin(samples.gate_flaky, {"gate": str(tmp_path / "gate")})
    wait_until(lambda: crew.ledger.entries(id))
    executor.pause(id, principal=ME)
    (tmp_path / "gate").touch()
    wait_until(lambda: events(id, "node.retrying"))
    ended(begin(samples.diamond))
    assert crew.ledger.runs(id) == {"work": 1}
    executor.resume(id, principal=ME)
    ended(id)
    assert crew.ledger.runs(id) == {"work": 2}


def test_retry_runs_again_what_failed_and_what_follows_and_keeps_the_rest(crew, tmp_path):
    fixed = tmp_path / "fixed"
    id = begin(samples.fixable, {"fixed": str(fixed)})
    ended(id, "failed")
    fixed.touch()
    executor.retry(id, principal=ME, reason="fixed it")
    execution = ended(id)
    assert (execution.generation, execution.error) == (2, None)
    assert execution.output == {"last": {"broken": "fixed", "beside": "beside"}}
    assert crew.ledger.runs(id) == {"first": 1, "broken": 2, "beside": 1, "last": 1}
    (reopened,) = events(id, "execution.reopened")
    assert (reopened["data"]["generation"], reopened["data"]["reason"]) == (2, "fixed it")
    assert NodeRun.objects.filter(execution=id, superseded=True).count() == 2


def test_a_cancelled_execution_can_be_retried(crew, tmp_path):
    id = running(crew, samples.gated, {"gate": str(tmp_path / "gate")})
    executor.cancel(id, principal=ME)
    (tmp_path / "gate").touch()
    ended(id, "cancelled")
    executor.retry(id, principal=ME)
    assert ended(id).generation == 2
    assert crew.ledger.runs(id) == {"work": 1, "after": 1}


def test_a_terminated_execution_can_be_retried(crew, tmp_path):
    id = running(crew, samples.gated_pair, {"gate": str(tmp_path / "gate")})
    wait_for_node(id, "other", "succeeded")
    executor.terminate(id, principal=ME)
    wait_until(lambda: crew.ledger.runs(id, "end").get("held") == 1)
    (tmp_path / "gate").touch()
    executor.retry(id, principal=ME)
    assert ended(id).generation == 2
    assert crew.ledger.runs(id) == {"held": 2, "other": 1, "join": 1}


def test_an_illegal_act_says_why_and_changes_nothing(crew, tmp_path):
    id = begin(samples.chain)
    ended(id)
    before = events(id)
    for verb in (executor.cancel, executor.terminate, executor.pause, executor.resume, executor.retry):
        with pytest.raises(IllegalMove, match=f"Execution {id} is succeeded, so it cannot be"):
            verb(id, principal=ME)
    assert events(id) == before


def test_a_signal_with_a_reserved_name_does_what_it_says(crew):
    id = running(crew, samples.polling)
    executor.send_signal(id, "cancel", {"reason": "by signal"}, principal=ME)
    assert ended(id, "cancelled").cause["reason"] == "by signal"


def test_a_cancel_that_meets_a_body_about_to_end_leaves_one_whole_log(crew):
    """Cancel executions at every moment of their short lives."""
    for n in range(25):
        id = begin(samples.three)
        wait_until(partial(_has_come, id, 2 + n % 8), every=0.001)
        try:
            executor.cancel(id, principal=ME)
        except IllegalMove:
            assert status(id) == "succeeded"
        wait_for(id, "cancelled", "succeeded")
        check_log(id)


def _has_come(id, length):
    return len(events(id)) >= length or status(id) == "succeeded"
