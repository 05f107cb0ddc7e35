"""Claim, settle, waves, leases: through the real store."""

from __future__ import annotations

import random
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration import RetryPolicy, WorkflowBuilder, models
from orchestration.engine.errors import IdempotencyConflict, IllegalMove
from orchestration.engine.policies import JOINS
from orchestration.engine.states import ExecutionStatus, Outcome
from orchestration.store import acts, again, clock, leases, locked, versions
from orchestration.store.claim import claim, next_due
from orchestration.store.settle import Report, settle, settle_waves
from orchestration.store.start import start
from tests.factories import nothing

from .store_helpers import (
    ABOUT,
    begin,
    check_log,
    done,
    nodes,
    order,
    run_to_end,
    seat,
    settle_whole,
    status,
)

pytestmark = pytest.mark.django_db(transaction=True)
FAN = {"root": [], **{f"n{i}": ["root"] for i in range(40)}, "end": [f"n{i}" for i in range(40)]}


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def test_a_fan_runs_every_node_once_and_its_output_is_its_sink():
    id = begin(FAN)
    assert run_to_end() == 42
    assert status(id) == "succeeded"
    assert models.Execution.objects.get(pk=id).output == {"end": "ok"}
    check_log(id)


def test_rows_are_born_when_their_first_predecessor_ends():
    id = begin(FAN)
    assert nodes(id) == {"root": "ready"}
    settle(done(claim(seat(), 1)))
    assert len(nodes(id)) == 41
    assert "end" not in nodes(id)


def test_starting_a_large_graph_costs_what_a_small_one_costs():
    small = versions.version_of(_chain("small", 3))
    large = versions.version_of(_chain("large", 10_000))
    versions.graph_of(small.pk), versions.graph_of(large.pk)
    start(small, [order()])  # the first asks for the time, which is counted on for a second
    with CaptureQueriesContext(connection) as few:
        start(small, [order()])
    with CaptureQueriesContext(connection) as many:
        start(large, [order()])
    assert len(few) == len(many)


def _chain(name, length):
    builder = WorkflowBuilder(name)
    for i in range(length):
        builder.add_node(f"n{i}", nothing, depends_on=[f"n{i - 1}"] if i else [])
    return builder.build()


def statements(act):
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


@pytest.fixture
def certain(monkeypatch):
    """However slow this machine is just now, the time of a claim may be counted on from."""
    monkeypatch.setattr(locked, "CERTAIN", 60.0)


def on(postgres, sqlite):
    return postgres if connection.vendor == "postgresql" else sqlite


def test_a_settle_under_the_lock_costs_the_same_statements_whatever_the_batch():
    counts = []
    for size in (1, 8, 32):
        begin(FAN)
        settle(done(claim(seat(), 1)))
        claims = claim(seat(), size)
        assert len(claims) == size
        counts.append(statements(lambda: settle(done(claims))))  # noqa: B023 - called here
        models.Execution.objects.all().delete()
    # BEGIN, lock, time, rows, their dependents | update rows, events, execution, births, COMMIT: two round trips
    assert counts == [10, 10, 10]


def test_settles_of_many_executions_cost_what_one_costs():
    counts = []
    for size in (1, 16):
        version = versions.version_of(_chain("chain", 3))
        start(version, [order() for _ in range(size)])
        claims = claim(seat(), size)
        counts.append(statements(lambda: settle(done(claims))))  # noqa: B023 - called here
        models.Execution.objects.all().delete()
    # Beyond one there is a second lock statement: the first is waited for, the rest are not.
    assert counts[1] - counts[0] <= 1


def test_a_hop_of_a_chain_is_one_statement_on_postgres(certain):
    versions.graph_of(versions.version_of(_chain("chain", 3)).pk)
    start(versions.version_of(_chain("chain", 3)), [order()])
    mine = seat()
    reports: list[Report] = []
    for node in ("n0", "n1"):
        claims = reports[-1].claimed if reports else claim(mine, 1)
        assert [one.key.node for one in claims] == [node]
        count = statements(lambda: reports.append(settle(done(claims), mine, take=1, keep=True)))  # noqa: B023
        assert count == on(postgres=1, sqlite=9)
        # The child was born running: nobody else can claim it, and its fence is the first.
        assert claim(seat(), 5) == []
        assert reports[-1].claimed[0].fence == 1


def test_a_batch_of_chains_is_two_statements_on_postgres_and_takes_more_along(certain):
    start(versions.version_of(_chain("chain", 2)), [order() for _ in range(40)])
    mine = seat()
    reports: list[Report] = []
    claims = claim(mine, 16)
    count = statements(lambda: reports.append(settle(done(claims), mine, take=20, keep=True)))
    # The settle, which bears sixteen children running, and the claim of four more.
    assert count == on(postgres=2, sqlite=11)
    assert sorted(one.key.node for one in reports[0].claimed) == ["n0"] * 4 + ["n1"] * 16
    settle(done(reports[0].claimed), mine)
    run_to_end(mine)
    assert set(models.Execution.objects.values_list("status", flat=True)) == {"succeeded"}


def test_a_claim_costs_the_same_statements_whatever_its_size():
    begin({f"n{i}": [] for i in range(40)})
    counts = {statements(lambda: claim(seat(), size)) for size in (1, 8, 31)}  # noqa: B023 - called here
    assert counts == {on(postgres=1, sqlite=4)}


def test_a_late_result_with_an_old_fence_is_refused_and_changes_nothing():
    id = begin({"a": []})
    mine = claim(seat(lease=0.0), 1)
    settle_whole(leases.expired())
    theirs = claim(seat(), 1)
    assert theirs[0].fence == mine[0].fence + 1
    assert settle(done(mine, result='"zombie"')).refused
    assert nodes(id) == {"a": "running"}
    settle(done(theirs, result='"true"'))
    assert models.Execution.objects.get(pk=id).output == {"a": "true"}
    assert settle(done(theirs, result='"twice"')).refused
    check_log(id)


def test_a_lost_node_is_retried_without_spending_an_attempt_and_then_is_poison():
    id = begin({"a": []})
    for losses in (1, 2, 3):
        got = claim(seat(lease=0.0), 5)
        assert got[0].attempt == 1
        settle_whole(leases.expired())
        assert models.NodeRun.objects.get(execution=id).losses == losses
    assert claim(seat(lease=0.0), 5)
    settle_whole(leases.expired())
    row = models.NodeRun.objects.get(execution=id)
    assert (row.status, status(id)) == ("failed", "failed")
    assert row.error is not None
    assert "poison" in row.error["message"]
    check_log(id)


def test_what_was_lost_or_handed_back_keeps_its_place_in_the_queue():
    """Whoever has waited already must not stand behind all that came meanwhile."""
    first, second = begin({"a": []}), begin({"a": []})
    assert [got.execution_id for got in claim(seat(lease=0.0), 1)] == [first]
    settle_whole(leases.expired())
    [got] = claim(seat(), 1)
    assert got.execution_id == first
    settle_whole(done([got], Outcome.RELEASED))
    assert [got.execution_id for got in claim(seat(), 2)] == [first, second]
    check_log(first)


def test_a_node_lost_in_company_again_is_claimed_alone_and_only_a_loss_alone_is_poison():
    begin({"a": [], "b": [], "c": []})
    for losses in (1, 2):
        assert len(claim(seat(lease=0.0), 5)) == 3
        settle_whole(leases.expired())
        assert set(models.NodeRun.objects.values_list("losses", flat=True)) == {losses}
    assert claim(seat(), 5, lost_too=False) == []
    for one in range(3):
        (alone,) = claim(seat(), 5)
        row = models.NodeRun.objects.get(pk=alone.run_id)
        assert (row.alone, row.losses) == (True, 2)
        settle(done([alone]))
        assert models.NodeRun.objects.filter(status="succeeded").count() == one + 1


def test_a_retry_waits_on_the_database_clock_and_is_not_early():
    workflow = (
        WorkflowBuilder("retry")
        .add_node("a", nothing, retry=RetryPolicy(max_attempts=2, initial_interval=60))
        .build()
    )
    id = start(versions.version_of(workflow), [order()])[0].id
    settle(done(claim(seat(), 1), Outcome.FAILED))
    assert claim(seat(), 1) == []
    assert 58 < (next_due(seat()) or 0) <= 60
    with clock.ahead(61):
        again = claim(seat(), 1)
        assert again[0].attempt == 2
        settle(done(again, Outcome.FAILED))
    assert status(id) == "failed"
    error = models.Execution.objects.get(pk=id).error
    assert error is not None
    assert error["node"] == "a"
    check_log(id)


def test_skips_travel_in_waves_and_a_stop_between_them_loses_nothing():
    builder = WorkflowBuilder("wide").add_node("root", nothing)
    for i in range(1200):
        builder.add_node(f"s{i}", nothing, depends_on=["root"], join="all_failed")
    builder.add_node("last", nothing, depends_on=[f"s{i}" for i in range(1200)], join="all_done")
    id = start(versions.version_of(builder.build()), [order()])[0].id
    report = settle(done(claim(seat(), 1)))
    assert report.unfinished == [id]
    assert list(nodes(id).values()).count("skipped") == 500
    # The process dies here; the sweep finds what it left.
    assert leases.unsettled() == [id]
    settle_waves(id)
    assert list(nodes(id).values()).count("skipped") == 1200
    assert run_to_end() == 1
    assert status(id) == "succeeded"
    check_log(id)


def test_more_urgent_executions_are_claimed_first_then_older_ones():
    version = versions.version_of(_chain("chain", 1))
    ids = [start(version, [order(priority=priority)])[0].id for priority in (3, 3, 1, 5, 2)]
    expected = [ids[n] for n in (2, 4, 0, 1, 3)]
    assert [one.execution_id for one in claim(seat(), 2)] == expected[:2]
    assert [one.execution_id for one in claim(seat(), 5)] == expected[2:]


def test_a_claim_serves_its_own_queue_and_lane_only():
    builder = WorkflowBuilder("queues").add_node("here", nothing).add_node("there", nothing, queue="gpu")
    start(versions.version_of(builder.build()), [order()])
    assert [one.key.node for one in claim(seat(), 5)] == ["here"]
    assert claim(seat("async"), 5) == []


def test_an_idempotency_key_gives_the_same_execution_and_refuses_another_input():
    version = versions.version_of(_chain("chain", 1))
    first = start(version, [order(idempotency_key="k", input='{"a": 1}')])[0]
    again = start(version, [order(idempotency_key="k", input='{"a":1}')])[0]
    assert (again.id, again.existed, first.existed) == (first.id, True, False)
    with pytest.raises(IdempotencyConflict):
        start(version, [order(idempotency_key="k", input='{"a": 2}')])
    run_to_end()
    with clock.ahead(25 * 3600):
        assert start(version, [order(idempotency_key="k", input='{"a": 2}')])[0].id != first.id


def test_a_closed_deadline_ends_the_execution_as_failed():
    builder = (
        WorkflowBuilder("slow", timeout="1m").add_node("a", nothing).add_node("b", nothing, depends_on=["a"])
    )
    id = start(versions.version_of(builder.build()), [order()])[0].id
    got = claim(seat(), 1)
    assert leases.overdue() == []
    with clock.ahead(61):
        assert leases.overdue() == [id]
        assert acts.expire(id)
        assert not acts.expire(id)
    assert status(id) == "cancelling"
    settle(done(got))
    assert status(id) == "failed"
    error = models.Execution.objects.get(pk=id).error
    assert error is not None
    assert "timeout of 1m" in error["message"]
    assert "b" not in nodes(id)
    check_log(id)


def test_pause_holds_what_is_ready_and_what_gets_ready_and_resume_lets_it_go():
    id = begin({"a": [], "b": [], "c": ["a"]})
    got = claim(seat(), 1)
    acts.pause(id, ABOUT)
    assert claim(seat(), 5) == []
    settle(done(got))
    assert claim(seat(), 5) == []
    assert status(id) == "paused"
    acts.resume(id, ABOUT)
    assert run_to_end() == 2
    assert status(id) == "succeeded"
    check_log(id)


def test_terminate_ends_at_once_and_refuses_what_still_comes():
    id = begin({"a": [], "b": ["a"]})
    got = claim(seat(), 1)
    acts.terminate(id, ABOUT)
    assert (status(id), nodes(id)) == ("terminated", {"a": "cancelled"})
    assert settle(done(got)).refused
    with pytest.raises(IllegalMove, match="terminated"):
        acts.cancel(id, ABOUT)
    check_log(id)


def test_retry_keeps_what_succeeded_and_runs_the_rest_again():
    id = begin({"a": [], "b": ["a"], "c": ["b"], "d": ["a"], "e": ["c", "d"]})
    mine = seat()
    settle(done(claim(mine, 1)))
    b, d = claim(mine, 5)
    settle_whole(done([b], Outcome.FAILED))
    settle_whole(done([d]))
    assert status(id) == "failed"
    assert nodes(id) == {
        "a": "succeeded", "b": "failed", "c": "upstream_failed", "d": "succeeded", "e": "upstream_failed"
    }  # fmt: skip
    again.retry(id, ABOUT)
    assert nodes(id) == {"a": "succeeded", "d": "succeeded", "b": "ready", "e": "pending"}
    assert run_to_end() == 3
    execution = models.Execution.objects.get(pk=id)
    assert (execution.status, execution.generation, execution.error) == ("succeeded", 2, None)
    check_log(id)
    with pytest.raises(IllegalMove):
        again.retry(id, ABOUT)


def test_retry_of_a_cancelled_execution_goes_on_where_it_was():
    id = begin({"a": [], "b": ["a"], "c": ["b"]})
    settle(done(claim(seat(), 1)))
    got = claim(seat(), 1)
    acts.cancel(id, ABOUT)
    settle(done(got))
    assert (status(id), nodes(id)) == ("cancelled", {"a": "succeeded", "b": "succeeded"})
    again.retry(id, ABOUT)
    assert nodes(id)["c"] == "ready"
    assert run_to_end() == 1
    assert status(id) == "succeeded"
    check_log(id)


def test_heartbeats_keep_leases_progress_and_lines_only_for_the_present_claim():
    id = begin({"a": []})
    old = claim(seat(lease=0.0), 1)[0]
    settle_whole(leases.expired())
    new = claim(seat(), 1)[0]
    assert leases.renew([old, new], 30) == {new.run_id}
    assert leases.look([old]) == {}
    assert leases.look([new]) == {new.run_id: "running"}
    leases.report_progress(old, {"fraction": 0.9})
    leases.report_progress(new, {"fraction": 0.1})
    line = leases.Line(1, clock.now(), 20, "hello \0 world")
    leases.write_lines(old, [line])
    leases.write_lines(new, [line])
    leases.write_lines(new, [line])
    assert models.NodeRun.objects.get(execution=id).progress == {"fraction": 0.1}
    assert list(models.LogLine.objects.values_list("fence", "message")) == [(new.fence, "hello \ufffd world")]
    assert leases.begun(new, 0.5, "w")
    assert not leases.begun(new, 0.5, "w")
    assert not leases.begun(old, 0.5, "w")
    check_log(id)


@st.composite
def graphs(draw):
    names = [f"n{i}" for i in range(draw(st.integers(1, 8)))]
    return [
        (
            name,
            draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [],
            draw(st.sampled_from(JOINS)),
        )
        for i, name in enumerate(names)
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs(), seed=st.integers(0, 2**16))
def test_whatever_happens_the_log_folds_to_the_rows_and_every_execution_ends(graph, seed):
    chance = random.Random(seed)
    builder = WorkflowBuilder(f"random-{uuid.uuid4()}")
    for name, parents, join in graph:
        policy = RetryPolicy(max_attempts=2, initial_interval=0) if chance.random() < 0.4 else None
        builder.add_node(name, nothing, depends_on=parents, join=join, retry=policy)
    id = start(versions.version_of(builder.build()), [order()])[0].id
    mine, rounds = seat(), 0
    while status(id) in ("running", "paused", "cancelling") and rounds < 200:
        rounds += 1
        _step(chance, id, mine)
        check_log(id)
    assert ExecutionStatus(status(id)).is_terminal
    assert not models.NodeRun.objects.filter(
        execution=id, status__in=["ready", "running", "pending"]
    ).exists()


def _step(chance, id, mine):
    act = chance.choice([acts.pause, acts.resume, acts.cancel]) if chance.random() < 0.08 else None
    try:
        if act is not None:
            act(id, ABOUT)
    except IllegalMove:
        return
    if status(id) == "paused" and not models.NodeRun.objects.filter(execution=id, status="running").exists():
        acts.resume(id, ABOUT)
    claims = claim(mine, chance.randint(1, 4))
    kinds = (
        [Outcome.SUCCEEDED] * 5 + [Outcome.FAILED] * 2 + [Outcome.LOST, Outcome.RELEASED, Outcome.TIMED_OUT]
    )
    for one in claims:
        settle_whole(done([one], chance.choice(kinds)))


def test_what_is_full_after_half_of_a_settle_claims_nothing_with_the_rest():
    """One execution is as it was known, the other is not and is settled under its lock; its children wake others."""
    for _ in range(2):
        begin({"a": [], "b": ["a"], "c": ["a"]})
    mine = seat()
    first, second = claim(mine, 2)
    assert leases.begun(second, 0.0, "somebody")
    report = settle(done([first, second]), mine, take=1)
    assert [one.key.node for one in report.claimed] == ["b"]
    assert (report.left, report.refused) == ([], [])
    assert {nodes(one.execution_id)["a"] for one in (first, second)} == {"succeeded"}
