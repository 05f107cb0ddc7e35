"""Two at once about one body that waits, with two real connections."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from functools import partial
from unittest import mock

import pytest

from orchestration import WorkflowBuilder
from orchestration.engine.errors import IllegalMove
from orchestration.engine.parking import Wait
from orchestration.engine.states import Outcome
from orchestration.engine.view import Key
from orchestration.models import JournalEntry, NodeRun
from orchestration.models import Wait as WaitRow
from orchestration.store import approvals, limits, locked, signals, sql, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle
from orchestration.store.start import start

from .store_helpers import check_log, done, order, seat, together

pytestmark = pytest.mark.django_db(transaction=True)


def parked(kind: str, name: str) -> uuid.UUID:
    """Return an execution whose only body waits, and may do so for no time at all."""
    versions.forget_versions()
    built = WorkflowBuilder("w").add_node("a", lambda ctx: None, deadline=0).build()
    id = start(versions.version_of(built), [order()])[0].id
    settle(done(claim(seat(), 1), Outcome.SUSPENDED, waits=(Wait(f"{name}#1", kind, name),)))
    return id


def decide_at_once(id: uuid.UUID) -> list[object]:
    """Let two people have read what asks before either has decided, where nothing keeps the second one out."""
    meeting = threading.Barrier(2)

    def read_then_meet(*args):
        items = locked.read_locked(*args)
        with contextlib.suppress(threading.BrokenBarrierError):  # the guard keeps the other one out
            meeting.wait(0.5)
        return items

    wait = WaitRow.objects.get(execution=id)
    acts = [
        partial(approvals.decide, id, wait.pk, "a", yes, {"by": by, "comment": "", "form": None}, list)
        for yes, by in ((True, "uma"), (False, "rita"))
    ]
    with mock.patch.object(approvals, "read_locked", read_then_meet):
        return together(*acts)


def one_was_heard(said: list[object]) -> bool:
    return sorted(isinstance(each, IllegalMove) for each in said) == [False, True] and None in said


@pytest.mark.postgres
def test_without_the_row_lock_two_decisions_at_once_are_not_told_apart():
    id = parked("approval", "go")
    with mock.patch.object(sql, "for_update", return_value=""):
        said = decide_at_once(id)
    assert not one_was_heard(said), "the race did not happen: this test proves nothing any more"


def test_of_two_decisions_at_once_one_is_heard_and_the_other_told_so():
    id = parked("approval", "go")
    assert one_was_heard(decide_at_once(id))
    [entry] = JournalEntry.objects.filter(node_run__execution=id, kind="approval")
    assert entry.value["by"] == ("uma" if entry.came == "value" else "rita")
    check_log(id)


def test_a_signal_against_the_end_of_its_time_has_one_legal_end():
    for number in range(5):
        id = parked("signal", "go")
        message = signals.Message(id, "go", json.dumps(number))
        expired, _ = together(partial(limits.expire, id, Key("a")), partial(signals.send, [message]))
        assert expired in (True, False)
        status = NodeRun.objects.get(execution=id).status
        assert status == ("failed" if expired else "ready")
        check_log(id)
