"""Each promise can be broken, and its count then says so: else a table full of them would prove nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration import WorkflowBuilder
from orchestration.engine.states import Outcome
from orchestration.models import Execution, ExecutionEvent, NodeRun
from orchestration.store import clock, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle
from orchestration.store.start import start
from security import audit
from security.objects import Resource
from tests.cluster import ME
from tests.factories import nothing
from tests.ledger import Entry
from tests.orchestration.store_helpers import begin, done, nodes, order, run_to_end, seat

from . import promises
from .evidence import Evidence, Runnable
from .promises import PROMISES
from .table import Count, Report
from .workflows import ENDS, Ends

pytestmark = pytest.mark.django_db


@pytest.fixture
def evidence(monkeypatch) -> Evidence:
    """An execution of a, which fails once, then b; it has ended well. And what its bodies would have written."""
    versions.forget_versions()
    monkeypatch.setitem(ENDS, "w", Ends(delays={"a": [1.0]}, undos=frozenset({"a"})))
    id = begin({"a": [], "b": ["a"]}, retries={"a": 3})
    audit.record(ME, "workflow.run", Resource("orchestration.execution", str(id), "w"))
    settle(done(claim(seat(), 1), Outcome.FAILED))
    with clock.ahead(1.0):
        run_to_end()
    assert nodes(id) == {"a": "succeeded", "b": "succeeded"}
    found = Evidence({id: "succeeded"}, [], workers=[(2, 2)])
    found.collect()
    for number, run in found.runs.items():
        for attempt in range(1, run.attempt + 1):
            found.entries.append(_begun(run, attempt))
        seen = found.entries[-1].tick
        found.runnable.append(Runnable(number, run.fence - 1, run.node, 1, seen, seen, seen + 5.0))
        found.entries.append(dataclasses.replace(found.entries[-1], what="pay"))
        found.payments.append({"execution": str(id), "node": run.node, "for": ""})
    return found


def _begun(run: NodeRun, attempt: int) -> Entry:
    due = run.available_at
    about = {
        "run": run.pk,
        "generation": 1,
        "fence": attempt,
        "seen": ["running", attempt],
        "join": "all_success",
    }
    about |= {
        "began": time.monotonic(),
        "took": 0.0,
        "parents": {"a": "succeeded"} if run.node == "b" else {},
    }
    times = {
        "at": due + dt.timedelta(seconds=2),
        "due": due,
        "ready": due - dt.timedelta(seconds=attempt - 1),
    }
    undoes = "succeeded" if run.for_node else None
    about |= {
        "outside": True,
        "rescues": None,
        "undoes": undoes,
        "undos": {},
        **{name: at.isoformat() for name, at in times.items()},
    }
    return Entry("start", str(run.execution_id), run.node, attempt, 1, 0.0, time.monotonic(), about)


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


def _change_a_start(node="b", **about):
    """Change the node's last."""

    def change(evidence):
        place = _last(evidence, node)
        entry = evidence.entries[place]
        evidence.entries[place] = dataclasses.replace(entry, about=entry.about | about)

    return change


def _last(evidence, node):
    return max(n for n, each in enumerate(evidence.entries) if (each.what, each.node) == ("start", node))


def _start_late(evidence):
    place = _last(evidence, "b")
    last = evidence.entries[place]
    evidence.entries[place] = dataclasses.replace(last, tick=last.tick + 60.0)


def _repeat_a_start(node):
    return lambda evidence: evidence.entries.append(evidence.entries[_last(evidence, node)])


def _set_runs(evidence, **columns):
    for run in evidence.runs.values():
        for name, value in columns.items():
            setattr(run, name, value)


def _wait_shorter(evidence):
    event = next(e for log in evidence.logs.values() for e in log if e["type"] == "node.retrying")
    event["data"]["delay"] = 900


def _audit_twice(evidence):
    for records in evidence.audited.values():
        records += records


def _audit_elsewhere(evidence):
    for records in evidence.audited.values():
        records[0] = (records[0][0], -1)


BREAKS = {
    "ends, for one that is open": ("ends", lambda e: e.expected.update(dict.fromkeys(e.expected, "failed"))),
    "ends, for one that is gone": ("ends", lambda e: Execution.objects.filter(pk__in=e.expected).delete()),
    "nodes, for one that failed": ("nodes", lambda e: _set_runs(e, status="failed")),
    "once, for two starts by one claim": ("once", _repeat_a_start("b")),
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
    "order, for a rescuer before the failure": ("order", _change_a_start(rescues="running")),
    "order, for one that too few let run": ("order", _change_a_start(join=2)),
    "timers, for a start that is early": ("timers", _change_a_start("a", at="2001-01-01T00:00:00+00:00")),
    "timers, for a timer that fires twice": ("timers", _repeat_a_start("a")),
    "timers, for a delay that is none of the policy's": ("timers", _wait_shorter),
    "effects, for two": ("effects", lambda e: e.payments.extend(e.payments)),
    "effects, for none": ("effects", lambda e: e.payments.clear()),
    "audit, for a start without a record": (
        "audit",
        lambda e: e.audited.update({key: [] for key in e.audited}),
    ),
    "audit, for a second record": ("audit", _audit_twice),
    "audit, for a record of another commit": ("audit", _audit_elsewhere),
    "workers, for one that is missing": ("workers", lambda e: e.workers.append((1, 2))),
}


@pytest.mark.parametrize(("name", "spoil"), BREAKS.values(), ids=BREAKS)
def test_what_breaks_a_promise_is_counted(name, spoil, evidence):
    spoil(evidence)
    count = _count(name, evidence)
    assert count.held < count.checked
    assert len(count.broken) == count.checked - count.held


@pytest.fixture
def undone(monkeypatch) -> Evidence:
    """An execution of a, b and c, of which the last has failed; b and a are undone."""
    versions.forget_versions()
    monkeypatch.setitem(ENDS, "w", Ends("failed", {"c": "failed"}, undos=frozenset({"a", "b"})))
    builder = WorkflowBuilder("w").add_node("a", nothing, compensate=nothing)
    builder.add_node("b", nothing, depends_on=["a"], compensate=nothing)
    builder.add_node("c", nothing, depends_on=["b"])
    id = start(versions.version_of(builder.build()), [order()])[0].id
    while claims := claim(seat(), 1):
        settle(done(claims, Outcome.FAILED if claims[0].key.node == "c" else Outcome.SUCCEEDED))
    assert nodes(id) == {**dict.fromkeys(["a", "b", "undo:a", "undo:b"], "succeeded"), "c": "failed"}
    found = Evidence({id: "failed"}, []).collect()
    for run in sorted(found.runs.values(), key=lambda run: str(run.started_at)):
        begun = _begun(run, 1)
        if run.node.startswith("undo:"):
            begun.about["undos"] = {
                "undo:a": "pending" if run.node == "undo:b" else "running",
                "undo:b": "running",
            }
            begun.about["undos"] |= {"undo:b": "succeeded"} if run.node == "undo:a" else {}
        found.entries += [begun, dataclasses.replace(begun, what="end", tick=time.monotonic())]
    return found


def test_undos_one_after_the_other_keep_every_promise(undone):
    for name in ("ends", "nodes", "order", "undone", "fold"):
        count = _count(name, undone)
        assert count.held == count.checked > 0, count.broken


def _swap_the_undos(evidence):
    first, second = (_last(evidence, node) for node in ("undo:b", "undo:a"))
    ticks = [evidence.entries[place].tick for place in (second, first)]
    for place, tick in zip((first, second), ticks, strict=True):
        evidence.entries[place] = dataclasses.replace(evidence.entries[place], tick=tick)


def _let_undos_overlap(evidence):
    place = max(n for n, each in enumerate(evidence.entries) if (each.what, each.node) == ("end", "undo:b"))
    evidence.entries[place] = dataclasses.replace(evidence.entries[place], tick=time.monotonic() + 60.0)


def _complete_an_undo_twice(evidence):
    for log in evidence.logs.values():
        log.append(next(e for e in log if (e["type"], e["node"]) == ("node.completed", "undo:b")))


def _fail_an_undo(evidence):
    next(run for run in evidence.runs.values() if run.node == "undo:a").status = "failed"


def _end_otherwise(status):
    def change(evidence):
        for run in evidence.runs.values():
            run.execution.status = status

    return change


UNDONE_BREAKS = {
    "order": lambda e: _set_starts_late(e, "a"),
    "turns": _swap_the_undos,
    "two at once, by the ledger": _let_undos_overlap,
    "two at once, by what one saw": _change_a_start("undo:a", undos={"undo:b": "running"}),
    "one too early, by what it saw": _change_a_start("undo:b", undos={"undo:a": "succeeded"}),
    "one that is missing": lambda e: e.runs.pop(next(n for n, r in e.runs.items() if r.node == "undo:a")),
    "one that failed": _fail_an_undo,
    "one that is done twice": _complete_an_undo_twice,
    "one of an execution that succeeded": _end_otherwise("succeeded"),
    "one of a cancel without rollback": _end_otherwise("cancelled"),
}


def _set_starts_late(evidence, node):
    for run in (run for run in evidence.runs.values() if run.node == node):
        run.started_at += dt.timedelta(hours=1)


@pytest.mark.parametrize("spoil", UNDONE_BREAKS.values(), ids=UNDONE_BREAKS)
def test_what_breaks_undone_is_counted(spoil, undone):
    spoil(undone)
    count = _count("undone", undone)
    assert count.held < count.checked


def test_an_undo_of_what_has_not_succeeded_breaks_the_order(undone):
    _change_a_start("undo:b", undoes="running")(undone)
    count = _count("order", undone)
    assert count.held < count.checked


@pytest.mark.parametrize(("losses", "held"), [(4, 1), (3, 0)])
def test_poison_excuses_an_execution_whose_log_shows_the_losses(losses, held, evidence):
    Execution.objects.filter(pk__in=evidence.expected).update(status="failed")
    for log in evidence.logs.values():
        lost = {"type": "node.lost", "node": "rescuer", "attempt": 1, "data": {"for": "a"}}
        given_up = {**lost, "type": "node.failed", "data": {"for": "a", "error": {"type": "NodeLost"}}}
        log += [lost] * losses + [given_up]
    count = _count("ends", evidence)
    assert (count.held, count.checked) == (held, 1)


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


def _slept(*lines):
    """Count over a log of (seconds, what is waited for, or None where the sleep is said to be over)."""
    name, told = (uuid.uuid4(), "a", "", 1), []
    for seconds, waits in lines:
        at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
        data = {"reason": "it has slept"} if waits is None else {"waits": waits}
        told.append(
            (
                name,
                {
                    "type": "node.ready" if waits is None else "node.waiting",
                    "at": at.isoformat(),
                    "data": data,
                },
            )
        )
    count = Count()
    evidence: Any = SimpleNamespace(in_runs=lambda: iter(told))
    promises._check_sleeps(evidence, count)
    return count.held, count.checked


def test_a_sleep_counts_from_its_first_parking_and_must_not_be_short():
    sleep, signal = {"kind": "sleep", "timeout": 1.0}, {"kind": "signal", "name": "go"}
    assert _slept((0, [sleep, signal]), (0.8, [sleep]), (1, None)) == (1, 1)
    assert _slept((0, [sleep, signal]), (0.8, [sleep]), (0.9, None)) == (0, 1)
    assert _slept((0, [sleep]), (1, None), (1, [sleep]), (1.5, None)) == (1, 2)
    assert _slept((0, [signal]), (1, None)) == (0, 1), "a sleep that nobody began"
