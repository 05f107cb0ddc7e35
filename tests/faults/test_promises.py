"""Each promise can be broken, and its count then says so: else a table full of them would prove nothing."""

from __future__ import annotations

import dataclasses
import time

import pytest

from orchestration.models import Execution, ExecutionEvent, NodeRun
from orchestration.store import versions
from tests.ledger import Entry
from tests.orchestration.store_helpers import begin, nodes, run_to_end

from .promises import PROMISES, Evidence, Runnable
from .table import Count, Report

pytestmark = pytest.mark.django_db


@pytest.fixture
def evidence() -> Evidence:
    """An execution of a then b that has ended well, and what its bodies would have written."""
    versions.forget_versions()
    id = begin({"a": [], "b": ["a"]})
    run_to_end()
    assert nodes(id) == {"a": "succeeded", "b": "succeeded"}
    found = Evidence({id: "succeeded"}, [], workers=[(2, 2)])
    found.collect()
    for number, run in found.runs.items():
        seen = time.monotonic()
        parents = {"a": "succeeded"} if run.node == "b" else {}
        about = {"run": number, "generation": 1, "fence": run.fence, "seen": ["running", run.fence]}
        about |= {"began": seen, "parents": parents, "outside": True}
        found.entries.append(Entry("start", str(id), run.node, 1, 1, 0.0, time.monotonic(), about))
        found.runnable.append(Runnable(number, run.fence - 1, run.node, 1, seen, seen, seen + 5.0))
    return found


def _count(name: str, evidence: Evidence) -> Count:
    count = Count()
    PROMISES[name](evidence, count)
    return count


@pytest.mark.parametrize("name", PROMISES)
def test_a_sound_run_keeps_every_promise(name, evidence):
    count = _count(name, evidence)
    assert count.held == count.checked > 0, count.broken


def _cut_the_log(evidence):
    ExecutionEvent.objects.filter(seq=3).delete()
    evidence.collect()


def _change_a_start(**about):
    def change(evidence):
        last = evidence.entries[-1]
        evidence.entries[-1] = dataclasses.replace(last, about=last.about | about)

    return change


def _start_late(evidence):
    last = evidence.entries[-1]
    evidence.entries[-1] = dataclasses.replace(last, tick=last.tick + 60.0)


BREAKS = {
    "ends, for one that is open": ("ends", lambda e: e.expected.update(dict.fromkeys(e.expected, "failed"))),
    "ends, for one that is gone": ("ends", lambda e: Execution.objects.filter(pk__in=e.expected).delete()),
    "once, for a start after the end": ("once", _change_a_start(seen=["succeeded", 1])),
    "once, for another's claim": ("once", _change_a_start(seen=["running", 9])),
    "once, for two completions": ("once", lambda e: [log.append(log[-2]) for log in e.logs.values()]),
    "attempts, for a start that no line tells of": ("attempts", lambda e: e.entries.extend(e.entries)),
    "order, for a parent that runs": ("order", _change_a_start(parents={"a": "running"})),
    "order, for a parent without a row": ("order", _change_a_start(parents={"a": ""})),
    "order, for a look inside a transaction": ("order", _change_a_start(outside=False)),
    "log, for a line that is missing": ("log", _cut_the_log),
    "fold, for a line that is missing": ("fold", _cut_the_log),
    "fold, for a row that the log does not tell of": (
        "fold",
        lambda e: NodeRun.objects.filter(node="b").delete(),
    ),
    "again, for a start that is late": ("again", _start_late),
    "again, for none": ("again", lambda e: e.entries.clear()),
    "workers, for one that is missing": ("workers", lambda e: e.workers.append((1, 2))),
}


@pytest.mark.parametrize(("name", "spoil"), BREAKS.values(), ids=BREAKS)
def test_what_breaks_a_promise_is_counted(name, spoil, evidence):
    spoil(evidence)
    count = _count(name, evidence)
    assert count.held < count.checked
    assert len(count.broken) == count.checked - count.held


def test_a_next_fault_takes_over_what_the_one_before_had_to_wait_for(evidence):
    evidence.entries.clear()
    evidence.faults = [one.seen + 1.0 for one in evidence.runnable]
    assert _count("again", evidence).checked == 0


def test_rounds_add_up_in_one_report():
    report, more = (
        Report("sqlite", "d", "a fault", seed, counts={"ends": Count(1, 2, ["x"])}) for seed in (1, 2)
    )
    report.add(more)
    assert (report.counts["ends"].held, report.counts["ends"].checked) == (2, 4)
    assert Report.from_json(report.to_json()).broken == ["ends: x", "ends: x"]
