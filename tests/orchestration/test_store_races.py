"""Races, with two real connections. Where it can be shown, the race is shown first, with the guard off."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from unittest import mock

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from orchestration import models
from orchestration.engine.errors import IllegalMove
from orchestration.engine.states import Outcome
from orchestration.store import acts, again, sql, versions
from orchestration.store import settle as settle_module
from orchestration.store.claim import claim
from orchestration.store.locked import lock
from orchestration.store.settle import settle
from orchestration.store.start import start
from orchestration.store.transaction import transaction as store_transaction
from tests.factories import make_workflow

from .store_helpers import ABOUT, begin, check_log, done, nodes, order, run_to_end, seat, status, together

pytestmark = pytest.mark.django_db(transaction=True)
DIAMOND = {"a": [], "b": [], "end": ["a", "b"]}


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def _settle_both_at_once(id):
    """Settle the two predecessors of a join in two transactions that have both read before either writes."""
    a, b = claim(seat(), 1), claim(seat(), 1)
    meeting = threading.Barrier(2)
    load = settle_module._lock_and_load

    def load_then_meet(*args):
        items = load(*args)
        with contextlib.suppress(threading.BrokenBarrierError):  # the guard keeps the other one out
            meeting.wait(1.0)
        return items

    with mock.patch.object(settle_module, "_lock_and_load", load_then_meet):
        return together(lambda: settle(done(a)), lambda: settle(done(b)))


@pytest.mark.postgres
def test_without_the_row_lock_two_settles_of_one_join_break_it():
    id = begin(DIAMOND)
    with mock.patch.object(sql, "for_update", return_value=""):
        results = _settle_both_at_once(id)
    run_to_end()
    broken = any(isinstance(result, Exception) for result in results) or status(id) != "succeeded"
    assert broken, "the race did not happen: this test proves nothing any more"


def test_with_the_row_lock_two_settles_of_one_join_release_it_once():
    id = begin(DIAMOND)
    results = _settle_both_at_once(id)
    assert not any(isinstance(result, Exception) for result in results), results
    assert nodes(id)["end"] == "ready"
    assert run_to_end() == 1
    assert status(id) == "succeeded"
    check_log(id)


def test_two_claimers_never_get_the_same_row():
    begin({f"n{i}": [] for i in range(120)})

    def greedy():
        mine, got = seat(), []
        while claims := claim(mine, 7):
            got += [one.run_id for one in claims]
        return got

    first, second = together(greedy, greedy)
    assert len(first) + len(second) == 120
    assert not set(first) & set(second)


def test_settles_of_overlapping_batches_in_opposite_order_do_not_deadlock():
    version = versions.version_of(make_workflow("pair", {"a": [], "b": []}))
    ids = [one.id for one in start(version, [order() for _ in range(20)])]
    claims = claim(seat(), 40)
    ours = [one for one in claims if one.key.node == "a"]
    theirs = [one for one in reversed(claims) if one.key.node == "b"]

    def settle_all(mine):
        left = done(mine)
        while left:
            left = settle(left).left

    assert together(lambda: settle_all(ours), lambda: settle_all(theirs)) == [None, None]
    assert {status(id) for id in ids} == {"succeeded"}
    for id in ids:
        check_log(id)


def test_a_cancel_against_a_completion_has_one_legal_end_every_time():
    ends = set()
    for _ in range(60):
        id = begin({"a": []})
        got = claim(seat(), 1)
        cancelled, settled = together(partial(acts.cancel, id, ABOUT), partial(settle, done(got)))
        assert cancelled is None or isinstance(cancelled, IllegalMove), cancelled
        assert not isinstance(settled, Exception), settled
        end = status(id)
        assert end == ("cancelled" if cancelled is None else "succeeded")
        ends.add(end)
        check_log(id)
    assert ends <= {"cancelled", "succeeded"}


def test_two_starts_with_one_idempotency_key_make_one_execution():
    version = versions.version_of(make_workflow("keyed", {"a": []}))
    for number in range(10):
        keyed = order(idempotency_key=f"k{number}")
        one, two = together(partial(start, version, [keyed]), partial(start, version, [keyed]))
        assert one[0].id == two[0].id
        assert {one[0].existed, two[0].existed} == {True, False}
    assert models.Execution.objects.count() == 10


def test_two_processes_that_find_the_same_change_make_one_version():
    workflow = make_workflow("changed", {"a": [], "b": ["a"]})

    def find():
        return versions._find_or_make(workflow, workflow.checksum()).number

    assert together(find, find) == [1, 1]
    assert models.WorkflowVersion.objects.count() == 1


def test_two_people_who_retry_at_once_reopen_it_once():
    for _ in range(15):
        id = begin({"a": []})
        settle(done(claim(seat(), 1), Outcome.FAILED))
        results = together(partial(again.retry, id, ABOUT), partial(again.retry, id, ABOUT))
        assert sorted(type(result).__name__ for result in results) == ["IllegalMove", "NoneType"]
        assert models.Execution.objects.get(pk=id).generation == 2
        run_to_end()
        check_log(id)


@contextlib.contextmanager
def _in_an_act(id):
    with transaction.atomic():
        lock(connection, [id], versions.graph_of)
        yield


@contextlib.contextmanager
def _in_a_settle(id):
    with store_transaction(connection) as turn:
        settle_module._lock_and_load(turn, done(claim(seat(), 1)))
        yield


@pytest.mark.postgres
@pytest.mark.parametrize("holding", [_in_an_act, _in_a_settle])
@override_settings(IGON7_LEASE_SECONDS=0.6)
def test_what_stops_in_a_transaction_holds_its_locks_for_half_a_lease_at_most(holding):
    """A stopped process, or a machine that is gone, would else hold up all who need them, the sweep among them."""
    id = begin({"a": []})
    inside, over = threading.Event(), threading.Event()

    def stopped():
        with holding(id):
            inside.set()
            over.wait(5)

    def other():
        inside.wait(5)
        acts.terminate(id, ABOUT)
        over.set()

    broken, done_by_other = together(stopped, other)
    assert isinstance(broken, DatabaseError), "it was waited for"
    assert done_by_other is None
    assert status(id) == "terminated"


def test_a_lost_connection_leaves_nothing_half_made():
    id = begin({"a": [], "b": ["a"]})
    got = claim(seat(), 1)
    with (
        mock.patch("orchestration.store.along.wakeups.statements", side_effect=RuntimeError("cut")),
        pytest.raises(RuntimeError),
    ):
        settle(done(got))
    assert nodes(id) == {"a": "running"}
    check_log(id)
    assert connection.in_atomic_block is False
    assert not settle(done(got)).refused
    assert nodes(id) == {"a": "succeeded", "b": "ready"}
