"""An event against the wait for it, with two real connections: first with the guard off, to show that it happens."""

from __future__ import annotations

import json
import threading
from unittest import mock

import pytest

from orchestration import executor
from orchestration.engine.parking import Wait
from orchestration.engine.states import Outcome
from orchestration.models import Event, JournalEntry, NodeRun, Receipt
from orchestration.store import event_waits, events, sql, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle
from orchestration.store.start import start
from security.principals import Principal
from tests.factories import make_workflow

from .store_helpers import begin, done, nodes, order, seat, together

pytestmark = pytest.mark.django_db(transaction=True)
ME = Principal.system("test")
WAIT = Wait("paid#1", "event", "paid")


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def _park_and_emit_at_once(id):
    """Park a body that has not seen the event; let the event be given to all before the parking commits."""
    claims = claim(seat(), 1)
    has_looked, given = threading.Event(), threading.Event()
    look = event_waits.look_back

    def look_then_meet(*args):
        found = look(*args)
        has_looked.set()
        given.wait(0.5)  # the guard keeps the other one waiting
        return found

    def emit():
        has_looked.wait(5)
        executor.emit_event("paid", 1, principal=ME)
        given.set()

    with mock.patch.object(event_waits, "look_back", look_then_meet):
        results = together(lambda: settle(done(claims, Outcome.SUSPENDED, waits=(WAIT,))), emit)
    assert not any(isinstance(result, Exception) for result in results), results
    return nodes(id)["a"]


@pytest.mark.postgres
def test_without_the_gate_an_event_and_the_wait_for_it_miss_each_other():
    id = begin({"a": []})
    with mock.patch.object(events, "pass_through"):
        assert _park_and_emit_at_once(id) == "waiting", (
            "the race did not happen: this test proves nothing any more"
        )
    assert not Event.objects.filter(delivered_at=None).exists()


def test_with_the_gate_an_event_always_meets_the_wait_for_it():
    id = begin({"a": []})
    assert _park_and_emit_at_once(id) == "ready"
    [entry] = JournalEntry.objects.filter(node_run__execution=id, kind="event")
    assert (entry.key, entry.value["data"]) == ("paid#1", 1)


def test_an_event_that_two_deliver_is_given_once_to_each_of_many_who_wait():
    version = versions.version_of(make_workflow("listeners", {"a": []}))
    ids = [one.id for one in start(version, [order() for _ in range(60)])]
    settle_parked(claim(seat(), 60))
    with (
        mock.patch.object(executor.delivering, "deliver_soon"),
        mock.patch.object(executor.events, "deliver_soon"),
    ):
        executor.emit_event("paid", 1, principal=ME)
    results = together(executor.deliver_events, executor.deliver_events, executor.deliver_events)
    assert results == [None] * 3
    executor.deliver_events()
    entries = JournalEntry.objects.filter(node_run__execution__in=ids, kind="event")
    assert (Receipt.objects.filter(execution__in=ids).count(), entries.count()) == (60, 60)
    assert set(NodeRun.objects.filter(execution__in=ids).values_list("status", flat=True)) == {"ready"}
    assert not Event.objects.filter(delivered_at=None).exists()


def test_an_event_looks_at_those_alone_who_wait_for_its_values():
    version = versions.version_of(make_workflow("listeners", {"a": []}))
    start(version, [order() for _ in range(40)])
    for number, one in enumerate(claim(seat(), 40)):
        match = {"order": number} if number % 2 else f"order == {number} and amount > 3"
        settle_parked([one], Wait("paid#1", "event", "paid", about=json.dumps({"match": match})))
    with mock.patch.object(event_waits, "sought", wraps=event_waits.sought) as looked:
        data = [{"order": number, "amount": 4} for number in (7, 8)]
        sent = [executor.emit_event("paid", each, principal=ME).id for each in data]
    assert Receipt.objects.filter(event__in=sent).count() == 2
    assert looked.call_count <= 8


def settle_parked(claims, wait=WAIT):
    report = settle(done(claims, Outcome.SUSPENDED, waits=(wait,)))
    while report.left:
        report = settle(report.left)


def test_a_settle_that_waits_for_no_event_asks_for_none():
    begin({"a": []})
    wait = Wait("go#1", "signal", "go")
    with mock.patch.object(sql, "run", wraps=sql.run) as asked:
        settle(done(claim(seat(), 1), Outcome.SUSPENDED, waits=(wait,)))
    texts = " ".join(text for call in asked.call_args_list for text, _ in call.args[1])
    assert "orchestration_event " not in texts
    assert "advisory" not in texts
