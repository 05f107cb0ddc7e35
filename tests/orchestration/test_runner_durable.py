"""Bodies that wait and remember, in real workers."""

from collections import Counter

import pytest
from django.db import connection

from orchestration import executor
from orchestration.engine.errors import IllegalMove
from orchestration.models import Execution, JournalEntry, LogLine, Signal, StateEntry, Wait
from orchestration.queries.events import instant
from tests import durable_workflows_for_tests as samples
from tests.cluster import (
    ME,
    begin,
    ended,
    events,
    run_of,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)


def parked(id, node="work"):
    """Return the node's row once it is parked."""
    wait_until(lambda: run_of(id, node).status == "waiting", what=f"{node} of {id} is parked")
    return run_of(id, node)


def send(execution, name, payload=None, **options):
    executor.send_signal(execution, name, payload, principal=ME, **options)


def test_a_body_that_waits_holds_no_worker_and_goes_on_where_it_was(crew):
    id = begin(samples.waiting)
    run = parked(id)
    assert (run.lease_until, run.parked, run.attempt) == (None, 1, 1)
    send(id, "continue", {"go": True})
    execution = ended(id)
    assert run_of(id, "work").result == {"before": "before", "given": {"go": True}, "after": "after"}
    assert Counter(entry.what for entry in crew.ledger.all() if (entry.execution, entry.node) == (str(id), "work")) == {
        "start": 2, "end": 2, "before": 1, "after": 1,
    }  # fmt: skip
    told = [e["type"] for e in events(id) if e["node"] in (None, "work")]
    assert told[3:8] == ["node.waiting", "signal.received", "signal.consumed", "node.ready", "node.started"]
    assert (execution.unread_signals, Wait.objects.filter(execution=id).count()) == (0, 0)


def test_a_signal_that_comes_before_the_wait_is_kept_for_it(crew):
    id = begin(samples.collecting, 2)
    for number in (1, 2):
        send(id, "item", number)
    ended(id)
    assert run_of(id, "work").result == [1, 2]


def test_signals_are_read_in_the_order_in_which_they_came_and_each_by_one_body(crew):
    id = begin(samples.two_collectors, 20)
    for number in range(40):
        send(id, "item", number)
    ended(id)
    one, two = (run_of(id, node).result for node in ("one", "two"))
    assert sorted(one + two) == list(range(40))
    assert (one, two) == (sorted(one), sorted(two))


def test_a_wait_that_is_over_raises_and_says_what_did_not_come(crew):
    id = begin(samples.giving_up)
    ended(id)
    assert run_of(id, "work").result == 'No signal "continue" came within 0.3 s.'
    [waiting] = events(id, "node.waiting")
    assert waiting["data"]["waits"] == [{"kind": "signal", "name": "continue", "timeout": 0.3}]


def test_a_sleep_is_over_on_time_and_never_early(crew):
    id = begin(samples.napping)
    ended(id)
    began, *_, last = crew.ledger.entries(id)[:3]
    assert 0.6 <= last.at - began.at < 3.5


def test_a_timeout_counts_the_time_that_a_body_runs_not_the_time_that_it_waits(crew):
    fits, does_not = begin(samples.timed), begin(samples.too_long)
    ended(does_not, "failed")
    assert run_of(does_not, "work").error["type"] == "NodeTimeout"
    ended(fits)
    run = run_of(fits, "work")
    assert run.parked == 3
    assert instant(run.started_at) == events(fits, "node.started")[0]["at"]


def test_what_a_step_gave_is_kept_over_retries(crew):
    id = begin(samples.stepping)
    ended(id)
    assert run_of(id, "work").attempt == 3
    assert len(crew.ledger.entries(id, "effect")) == 1


def test_a_retry_by_hand_keeps_what_was_done_unless_the_input_is_another(crew, tmp_path):
    id = begin(samples.fixable, {"fixed": str(tmp_path / "fixed")})
    ended(id, "failed")
    executor.retry(id, principal=ME)
    wait_until(lambda: Execution.objects.get(pk=id).generation == 2)
    ended(id, "failed")
    assert len(crew.ledger.entries(id, "effect")) == 1
    (tmp_path / "other").touch()
    executor.retry(id, principal=ME, node="work", input={"fixed": str(tmp_path / "other")})
    ended(id)
    assert len(crew.ledger.entries(id, "effect")) == 2


@pytest.mark.parametrize(
    ("workflow", "says"),
    [
        (samples.leaving, 'it waited for signal "continue", and now ends without'),
        (samples.stepping_instead, 'call 1 of the name "continue" was a signal, and is a step now'),
    ],
)
def test_a_body_that_does_something_else_after_it_waited_fails_and_says_what(crew, workflow, says):
    id = begin(workflow)
    parked(id)
    send(id, "continue")
    ended(id, "failed")
    error = run_of(id, "work").error
    assert error["type"] == "ReplayDiverged"
    assert says in error["message"]


def test_a_body_that_swallows_its_own_suspension_is_parked_all_the_same(crew):
    id = begin(samples.swallowing)
    parked(id)
    send(id, "continue", "given")
    ended(id)
    assert run_of(id, "work").result == "given"


def test_an_async_body_may_wait_for_two_things_at_once(crew):
    id = begin(samples.two_at_once)
    parked(id)
    assert Wait.objects.filter(execution=id).count() == 2
    send(id, "b", 2)
    wait_until(lambda: run_of(id, "work").parked == 2)
    send(id, "a", 1)
    ended(id)
    assert run_of(id, "work").result == [1, 2]


def test_an_async_body_that_gives_a_wait_up_leaves_its_signal_to_others(crew):
    id = begin(samples.first_of_two)
    parked(id)
    send(id, "a")
    wait_until(lambda: run_of(id, "work").parked == 2)
    parked(id)
    assert [wait.name for wait in Wait.objects.filter(execution=id)] == ["last"]
    send(id, "b", "for nobody")
    send(id, "last", "done")
    ended(id)
    assert run_of(id, "work").result == ["a", "done"]
    assert Signal.objects.get(execution=id, consumed_at=None).name == "b"
    assert [e["data"] for e in events(id, "signal.unconsumed")] == [{"name": "b", "count": 1}]


def test_async_steps_and_sleeps_are_kept_too(crew):
    id = begin(samples.async_steps)
    ended(id)
    assert run_of(id, "work").result == ["slow", 7]
    assert len(crew.ledger.entries(id, "slow")) == 1
    own = JournalEntry.objects.filter(node_run__execution=id).exclude(kind="began")
    kinds = own.order_by("key").values_list("key", "kind")
    assert list(kinds) == [
        ("plain#1", "step"),
        ("sleep#1", "sleep"),
        ("sleep#2", "sleep"),
        ("slow#1", "step"),
    ]


@pytest.mark.postgres
def test_a_connection_that_is_lost_between_durable_calls_costs_no_attempt(crew):
    id = begin(samples.severed)
    ended(id)
    assert (run_of(id, "work").result, run_of(id, "work").attempt) == ([1, 2], 1)


def test_a_condition_is_asked_once_though_the_body_runs_twice(crew):
    id = begin(samples.conditional)
    parked(id)
    send(id, "continue")
    ended(id)
    assert run_of(id, "work").status == "succeeded"


def test_a_cancel_ends_a_parked_body_and_a_signal_after_it_is_refused(crew):
    id = begin(samples.waiting)
    parked(id)
    executor.cancel(id, principal=ME)
    ended(id, "cancelled")
    with pytest.raises(IllegalMove, match='is cancelled, so it cannot take the signal "continue"'):
        send(id, "continue")
    assert not Signal.objects.filter(execution=id).exists()


def test_a_signal_in_a_paused_execution_wakes_its_body_once_it_is_resumed(crew):
    id = begin(samples.waiting)
    parked(id)
    executor.pause(id, principal=ME)
    send(id, "continue", 1)
    assert (run_of(id, "work").status, run_of(id, "work").held) == ("ready", True)
    executor.resume(id, principal=ME)
    ended(id)


def test_a_signal_that_is_sent_twice_under_one_id_counts_once(crew):
    id = begin(samples.collecting, 2)
    for payload in ("first", "again"):
        send(id, "item", payload, id="order-7")
    send(id, "item", "second", id="order-8")
    ended(id)
    assert run_of(id, "work").result == ["first", "second"]
    send(id, "item", "late", id="order-7")  # accepted long ago


def test_a_parked_node_can_be_given_its_result_by_a_person(crew):
    id = begin(samples.waiting)
    parked(id)
    executor.attend(id, "work", "supply", principal=ME, result={"by": "hand"})
    ended(id)
    assert run_of(id, "work").result == {"by": "hand"}


def test_a_start_with_a_signal_is_one_act_and_signals_the_same_execution_when_it_comes_again(crew):
    def call(payload):
        return executor.signal_with_start(
            "d-collecting", 2, signal="item", payload=payload, idempotency_key="basket-1", principal=ME
        )

    id = call("apple")
    assert call("pear") == id
    ended(id)
    assert run_of(id, "work").result == ["apple", "pear"]
    assert Execution.objects.filter(idempotency_key="basket-1").count() == 1


def test_what_a_transactional_body_says_is_seen_while_it_runs_or_when_it_has_ended(crew):
    id = begin(samples.telling)
    if connection.vendor == "postgresql":
        wait_until(lambda: run_of(id, "work").progress, what="its progress is there")
        wait_until(lambda: events(id, "node.started"), what="it is told that it has begun")
        assert (run_of(id, "work").status, LogLine.objects.filter(execution=id).count()) == ("running", 1)
    ended(id)
    wait_until(lambda: LogLine.objects.filter(execution=id).count() == 1, what="its line is there")
    assert StateEntry.objects.get(execution=id).value == 1
