"""Two people decide at once, with two real connections: the race is shown first, with the guard off."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import Any
from unittest import mock

import pytest

from orchestration import executor
from orchestration.engine.errors import IllegalMove
from orchestration.models import JournalEntry, Wait
from orchestration.store import approvals, deliver, sql, versions
from security.models import AuditRecord
from security.principals import Principal
from tests import factories

from .store_helpers import check_log, nodes, together
from .test_web_approvals import asking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_versions() -> None:
    versions.forget_versions()


def _decide_both_at_once(wait: Wait) -> list[Any]:
    """Let one approve and one reject, both of whom have seen the question, and have read it where they can."""
    people = [Principal.for_user(factories.person(name, staff=False)) for name in ("uma", "vera")]
    both_asked, both_read = threading.Barrier(2), threading.Barrier(2)
    decide, read = approvals.decide, deliver.read

    def meet_then_decide(*args: Any) -> None:
        both_asked.wait(5)
        decide(*args)

    def read_then_meet(*args: Any) -> Any:
        found = read(*args)
        with contextlib.suppress(threading.BrokenBarrierError):  # the guard keeps the other one out
            both_read.wait(1.0)
        return found

    node = (wait.execution_id, "ask")
    with (
        mock.patch.object(approvals, "decide", meet_then_decide),
        mock.patch.object(deliver, "read", read_then_meet),
    ):
        return together(
            partial(executor.approve, *node, principal=people[0], wait=wait.pk),
            partial(executor.reject, *node, principal=people[1], wait=wait.pk),
        )


@pytest.mark.postgres
def test_without_the_row_lock_two_decisions_get_in_each_others_way() -> None:
    wait = asking(users=["uma", "vera"])
    with mock.patch.object(sql, "for_update", return_value=""):
        results = _decide_both_at_once(wait)
    clean = sorted(type(each).__name__ for each in results) == ["IllegalMove", "NoneType"]
    assert not clean, "the race did not happen: this test proves nothing any more"


def test_of_two_who_decide_at_once_one_is_heard_and_the_other_told_who() -> None:
    wait = asking(users=["uma", "vera"])
    results = _decide_both_at_once(wait)
    [refused] = [each for each in results if each is not None]
    assert isinstance(refused, IllegalMove), refused
    entry = JournalEntry.objects.get(kind="approval")
    came, by = {"value": ("approved", "uma"), "refused": ("rejected", "vera")}[entry.came]
    assert f"{by} has {came} it." in str(refused)
    assert entry.value is not None
    assert entry.value["by"] == by
    assert AuditRecord.objects.filter(action="execution.approve", outcome="allowed").count() == 1
    assert nodes(wait.execution_id)["ask"] == "ready"
    check_log(wait.execution_id)
