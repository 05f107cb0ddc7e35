"""Children and deliveries in the store: what races with what, and what it costs."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from orchestration import models
from orchestration.engine.decide import Result
from orchestration.engine.parking import Wait
from orchestration.engine.states import Outcome
from orchestration.store import acts, children, deliveries, owed, parking, versions
from orchestration.store.children import Call, Place
from orchestration.store.claim import Claim, claim
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle
from tests.factories import make_workflow

from .store_helpers import ABOUT, begin, check_log, done, nodes, order, run_to_end, seat, status, together

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "child#1"


@pytest.fixture(autouse=True)
def _fresh_versions() -> None:
    versions.forget_versions()


def family(count: int = 1, kind: str = "child", on_close: str = "cancel") -> tuple[Claim, list[uuid.UUID]]:
    """Start a parent whose body runs, and has started so many children."""
    begin({"work": []}, "parent")
    [parent] = claim(seat(), 1)
    version = versions.version_of(make_workflow("child", {"work": []}))
    call = Call(parent, KEY, kind, "child", on_close, 1)
    said = children.start(call, [Place(n, version, order()) for n in range(count)], also=lambda _: [])
    assert said is not None
    return parent, list(said[0].values())


def park(parent: Claim, count: int = 1) -> Settled:
    waits = (Wait(KEY, "child", "child", count=count),)
    return Settled(parent, Result(parent.key, Outcome.SUSPENDED, waits=waits, duration=1.0))


def end(claims: list[Claim], outcome: Outcome = Outcome.SUCCEEDED) -> None:
    settle(done(claims, outcome))


def entries() -> list[tuple[str, str]]:
    return list(models.JournalEntry.objects.filter(kind="child").values_list("key", "came"))


def test_without_its_look_a_parent_that_parks_after_its_childs_end_waits_for_ever() -> None:
    parent, _ = family()
    end(claim(seat(), 1))
    with mock.patch.object(parking, "read_over", return_value={}):
        settle([park(parent)])
    deliveries.bring_left_over()
    assert nodes(parent.execution_id) == {"work": "waiting"}


def test_a_parent_that_parks_after_its_childs_end_goes_on_at_once() -> None:
    parent, _ = family()
    end(claim(seat(), 1))
    settle([park(parent)])
    assert (nodes(parent.execution_id), entries()) == ({"work": "ready"}, [(KEY, "value")])
    assert not models.Wait.objects.exists()


def test_the_end_of_a_child_against_the_parking_of_its_parent_is_never_lost() -> None:
    for _ in range(15):
        parent, _ = family(2)
        one, two = claim(seat(), 1), claim(seat(), 1)
        results = together(partial(end, one), partial(end, two), partial(settle, [park(parent, 2)]))
        assert not any(isinstance(each, Exception) for each in results), results
        deliveries.bring_left_over()
        assert nodes(parent.execution_id) == {"work": "ready"}
        assert not models.Delivery.objects.exists()
        check_log(parent.execution_id)
        run_to_end()


def test_only_the_last_end_wakes_the_parent_and_what_failed_is_told() -> None:
    parent, _ = family(3)
    settle([park(parent, 3)])
    one, two, three = claim(seat(), 3)
    end([one])
    end([two], Outcome.FAILED)
    assert nodes(parent.execution_id) == {"work": "waiting"}
    before = models.Execution.objects.get(pk=parent.execution_id).seq
    end([three])
    assert (nodes(parent.execution_id), entries()) == ({"work": "ready"}, [(KEY, "refused")])
    assert models.Execution.objects.get(pk=parent.execution_id).seq == before + 1


def test_what_a_process_owed_when_it_died_the_sweep_brings_once() -> None:
    parent, _ = family()
    settle([park(parent)])
    with mock.patch.object(owed, "soon"):
        end(claim(seat(), 1))
    assert (models.Delivery.objects.count(), nodes(parent.execution_id)) == (1, {"work": "waiting"})
    assert (
        together(deliveries.bring_left_over, deliveries.bring_left_over, deliveries.bring_some) == [None] * 3
    )
    assert (models.Delivery.objects.count(), nodes(parent.execution_id)) == (0, {"work": "ready"})
    check_log(parent.execution_id)


def test_what_cannot_be_brought_at_once_is_logged_and_left_to_the_sweep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parent, _ = family()
    settle([park(parent)])
    with mock.patch.object(deliveries, "bring_some", side_effect=OperationalError("away")):
        end(claim(seat(), 1))  # its settle stands, and says nothing of it
    assert "bring_what_is_owed" in caplog.text
    deliveries.bring_left_over()
    assert nodes(parent.execution_id) == {"work": "ready"}


def test_the_start_of_a_child_against_the_end_of_its_parent_leaves_no_orphan() -> None:
    version = versions.version_of(make_workflow("child", {"work": []}))
    for number in range(12):
        id = begin({"work": []}, "parent")
        [parent] = claim(seat(), 1)
        call = Call(parent, KEY, "child", "child", "cancel", 1)
        start = partial(children.start, call, [Place(0, version, order())], also=lambda _: [])
        verb = acts.terminate if number % 2 else acts.cancel
        results = together(start, partial(verb, id, ABOUT))
        assert not any(isinstance(each, Exception) for each in results), results
        deliveries.bring_left_over()
        left = models.Execution.objects.filter(parent=id, finished_at=None)
        assert not left.exists() or (
            status(id) == "cancelling" and not left.exclude(status="cancelling").exists()
        )


def test_a_late_body_starts_no_child() -> None:
    id = begin({"work": []}, "parent")
    [parent] = claim(seat(), 1)
    acts.terminate(id, ABOUT)
    version = versions.version_of(make_workflow("child", {"work": []}))
    call = Call(parent, KEY, "child", "child", "cancel", 1)
    assert children.start(call, [Place(0, version, order())], also=lambda _: []) is None
    assert not models.Execution.objects.filter(parent=id).exists()


def test_a_call_that_is_come_to_twice_fills_each_place_once() -> None:
    begin({"work": []}, "parent")
    [parent] = claim(seat(), 1)
    version = versions.version_of(make_workflow("child", {"work": []}))
    call = Call(parent, KEY, "child", "child", "cancel", 1)
    start = partial(children.start, call, [Place(n, version, order()) for n in range(5)], also=lambda _: [])
    one, two = together(start, start)
    assert one == two
    assert models.Execution.objects.exclude(parent=None).count() == 5


def _statements(count: int) -> tuple[int, int]:
    """Return how many statements it takes to start so many children, and to end them all at once."""
    begin({"work": []}, "parent")
    [parent] = claim(seat(), 1)
    version = versions.version_of(make_workflow("child", {"work": []}))
    call = Call(parent, KEY, "child", "child", "cancel", 1)
    places = [Place(n, version, order()) for n in range(count)]
    with CaptureQueriesContext(
        connection,
    ) as starting:
        children.start(call, places, also=lambda _: [])
    settle([park(parent, count)])
    claims = claim(seat(), count)
    with CaptureQueriesContext(connection) as ending:
        end(claims)
    run_to_end()
    return len(starting), len(ending)


def test_children_are_started_and_ended_in_sets() -> None:
    _statements(1)  # the first one reads graphs
    assert _statements(2) == _statements(50)


def test_executions_without_children_pay_nothing_for_them() -> None:
    begin({"work": []})
    with CaptureQueriesContext(connection) as told:
        end(claim(seat(), 1))
    assert not any("child" in str(each["sql"]).replace("children", "") for each in told)
    assert not any("orchestration_delivery" in str(each["sql"]) for each in told)


def test_a_thousand_children_of_one_parent_wake_it_once() -> None:
    parent, ids = family(1000)
    settle([park(parent, 1000)])
    run_to_end(batch=200)
    assert status(parent.execution_id) == "succeeded"
    told = models.ExecutionEvent.objects.filter(execution=parent.execution_id)
    assert told.filter(type="node.ready").count() == 2
    assert {len(ids), models.Child.objects.filter(open=False).count()} == {1000}
    check_log(parent.execution_id)


def test_whoever_ends_a_parent_asks_each_child_once() -> None:
    parent, ids = family(3)
    with mock.patch.object(owed, "soon"):
        acts.cancel(parent.execution_id, ABOUT, rollback=True)
        settle(done([parent], Outcome.CANCELLED))
    found: list[Any] = list(
        models.Delivery.objects.order_by("pk").values_list("target", "kind", "about__rollback")
    )
    assert sorted(found) == [(id, "cancel", True) for id in sorted(ids)]
    deliveries.bring_left_over()
    assert {status(id) for id in ids} == {"cancelled"}
