"""That the drills' races do happen: without the lock, two people's acts on one execution break it."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from unittest import mock

import pytest

from orchestration import WorkflowBuilder, executor
from orchestration.engine.errors import IllegalMove
from orchestration.engine.states import Outcome
from orchestration.models import ExecutionEvent
from orchestration.store import again, sql, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle
from orchestration.store.start import start
from security.principals import Principal
from tests.factories import nothing
from tests.orchestration.store_helpers import check_log, done, order, seat, together

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
ALICE, BOB = Principal.system("alice"), Principal.system("bob")


@pytest.fixture(params=["retry", "attend"])
def both(request):
    """Two people's acts on one execution, and what the log has of the one that won."""
    versions.forget_versions()
    exhausted = "pause" if request.param == "attend" else "fail"
    built = WorkflowBuilder("w").add_node("a", nothing, on_exhausted=exhausted).build()
    id = start(versions.version_of(built), [order()])[0].id
    settle(done(claim(seat(), 1), Outcome.FAILED))
    if request.param == "retry":
        return id, [partial(executor.retry, id, principal=who) for who in (ALICE, BOB)], "execution.reopened"
    decide = partial(executor.attend, id, "a", "supply")
    return id, [partial(decide, result=who.name, principal=who) for who in (ALICE, BOB)], "node.recovered"


def _at_once(acts_of_both):
    """Let both read the execution before either writes, where nothing keeps the second one out."""
    meeting, lock = threading.Barrier(2), again.lock_one  # type: ignore[attr-defined]

    def lock_then_meet(*args):
        item = lock(*args)
        with contextlib.suppress(threading.BrokenBarrierError):  # the guard keeps the other one out
            meeting.wait(0.5)
        return item

    with mock.patch.object(again, "lock_one", lock_then_meet):
        return together(*acts_of_both)


@pytest.mark.postgres
def test_without_the_row_lock_two_acts_at_once_break_the_execution(both):
    _, acts_of_both, _ = both
    with mock.patch.object(sql, "for_update", return_value=""):
        said = _at_once(acts_of_both)
    assert not _one_won(said), "the race did not happen: the drill proves nothing"


def test_with_the_row_lock_one_wins_and_the_other_is_told(both):
    id, acts_of_both, type = both
    said = _at_once(acts_of_both)
    assert _one_won(said), said
    assert ExecutionEvent.objects.filter(execution=id, type=type).count() == 1
    check_log(id)


def _one_won(said):
    return sorted(isinstance(each, IllegalMove) for each in said) == [False, True] and None in said
