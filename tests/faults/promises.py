"""What must hold after any fault. Each promise is checked by counting, over the ledger and the database.

The ledger is what the bodies themselves wrote down; the log and the rows are what igon7 says. `runs` are node runs by
their id, one for each node and generation.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestration.engine.decide import MAX_LOST
from orchestration.engine.fold import BrokenLog
from orchestration.engine.states import NODE_TERMINAL
from orchestration.models import Execution, NodeRun
from tests.cluster import check_log, events
from tests.ledger import Entry

from .table import Count

EARLY = 0.05  # seconds by which two clocks that measure one moment may differ
_OUTCOMES = {"node.completed", "node.failed", "node.retrying", "node.lost", "node.released", "node.cancelled"}
_WITHOUT_A_START = {"failed", "cancelled"}  # poison, or cancelled before its turn


@dataclass(frozen=True, slots=True)
class Runnable:
    """A node run that could run when a fault ended, with its fence then; times are ticks of the monotonic clock."""

    run: int
    fence: int
    name: str
    fault: int
    seen: float
    due: float
    until: float


@dataclass(slots=True)
class Evidence:
    """What a drill leaves behind, to be judged."""

    expected: dict[uuid.UUID, str]  # accepted starts, and how each must end
    entries: list[Entry]
    runnable: list[Runnable] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)  # when each began
    workers: list[tuple[int, int]] = field(default_factory=list)  # of each cluster: there, wanted
    woken: list[tuple[int, float]] = field(
        default_factory=list
    )  # processes that slept, and when they were woken
    logs: dict[uuid.UUID, list[dict[str, Any]]] = field(default_factory=dict)
    runs: dict[int, NodeRun] = field(default_factory=dict)

    def collect(self) -> Evidence:
        """Read the logs and rows of all that was started."""
        self.logs = {id: events(id) for id in self.expected}
        self.runs = {run.pk: run for run in NodeRun.objects.filter(execution__in=list(self.expected))}
        return self

    def starts(self) -> dict[int, list[Entry]]:
        """Return the bodies' begins by node run."""
        found: dict[int, list[Entry]] = {run: [] for run in self.runs}
        for entry in self.entries:
            if entry.what == "start" and entry.about["run"] in found:
                found[entry.about["run"]].append(entry)
        return found


def ends(evidence: Evidence, count: Count) -> None:
    """Every accepted start ends, as its workflow says; where a node is given up as poison, its log shows why."""
    found = Execution.objects.in_bulk(list(evidence.expected))
    for id, wanted in evidence.expected.items():
        status = found[id].status if id in found else "missing"
        count.check(
            status == wanted or _is_poison(evidence, found.get(id)), f"{id} is {status}, not {wanted}"
        )


def _is_poison(evidence: Evidence, execution: Execution | None) -> bool:
    if (
        execution is None
        or execution.status != "failed"
        or (execution.error or {}).get("code") != "node_poison"
    ):
        return False
    node = (execution.error or {})["node"]
    lost = [
        event
        for event in evidence.logs[execution.pk]
        if event["type"] == "node.lost" and event["node"] == node
    ]
    return len(lost) > MAX_LOST


def never_again(evidence: Evidence, count: Count) -> None:
    """A completed node never runs again, nor does any claim begin that is not the row's present one."""
    completed: Counter[tuple[uuid.UUID, str, int]] = Counter()
    for id, event, generation in _in_generations(evidence):
        completed[id, event["node"], generation] += event["type"] == "node.completed"
    for number, starts in evidence.starts().items():
        run = evidence.runs[number]
        for start in starts:
            if _slept(evidence, start):
                continue
            mine = (
                start.about["seen"] == ["running", start.about["fence"]] and start.about["fence"] <= run.fence
            )
            count.check(mine, f"{_name(run)} began as {start.about}, and has fence {run.fence}")
        if run.status == "succeeded":
            times = completed[run.execution_id, run.node, run.generation]
            count.check(times == 1, f"{_name(run)} was completed {times} times")


def _slept(evidence: Evidence, start: Entry) -> bool:
    """Say whether the process was stopped between the body's begin and its look, which came too late to tell."""
    return any(start.pid == pid and start.about["began"] < at < start.tick for pid, at in evidence.woken)


def attempts(evidence: Evidence, count: Count) -> None:
    """A body begins no more often than its log has outcomes of it: attempts, losses and hand-backs."""
    told: Counter[tuple[uuid.UUID, str, int]] = Counter()
    for id, event, generation in _in_generations(evidence):
        told[id, event["node"], generation] += event["type"] in _OUTCOMES
    for number, starts in evidence.starts().items():
        run = evidence.runs[number]
        known = told[run.execution_id, run.node, run.generation] + (run.status not in NODE_TERMINAL)
        count.check(len(starts) <= known, f"{_name(run)} began {len(starts)} times, its log knows of {known}")


def _in_generations(evidence: Evidence) -> Iterator[tuple[uuid.UUID, dict[str, Any], int]]:
    for id, log in evidence.logs.items():
        generation = 1
        for event in log:
            if event["type"] == "execution.reopened":
                generation = event["data"]["generation"]
            yield id, event, generation


def order(evidence: Evidence, count: Count) -> None:
    """No node begins before its predecessors' ends are committed: each body has looked."""
    for number, starts in evidence.starts().items():
        for start in starts:
            ended = all(status in NODE_TERMINAL for status in start.about["parents"].values())
            count.check(ended and start.about["outside"], f"{_name(evidence.runs[number])} saw {start.about}")


def whole(evidence: Evidence, count: Count) -> None:
    """No log has a gap: its lines are numbered 1, 2, 3 … to the execution's last."""
    last = dict(Execution.objects.filter(pk__in=list(evidence.expected)).values_list("pk", "seq"))
    for id, log in evidence.logs.items():
        numbers = [event["seq"] for event in log]
        count.check(numbers == list(range(1, last.get(id, 0) + 1)) != [], f"the log of {id} is {numbers}")


def folds(evidence: Evidence, count: Count) -> None:
    """Folded, each log gives the rows."""
    for id in evidence.expected:
        try:
            check_log(id)
        except (AssertionError, BrokenLog) as error:
            count.check(False, f"the log of {id} does not give its rows: {error}")
        else:
            count.check(True, "")


def again(evidence: Evidence, count: Count) -> None:
    """What could run when a fault ended has begun in time, and not before it was due."""
    starts = evidence.starts()
    for one in evidence.runnable:
        # By its fence, not by the time: it may have begun, failed and waited again between the time and the row's read.
        later = (start.tick for start in starts.get(one.run, []) if start.about["fence"] > one.fence)
        first = min(later, default=None)
        horizon = one.until if first is None else min(first, one.until)
        if any(one.seen < at < horizon for at in evidence.faults):
            continue  # the next fault came first; what could run then is in its count
        if first is None and evidence.runs[one.run].status in _WITHOUT_A_START:
            continue
        late = f"{one.name}, after fault {one.fault}: " + (
            "never" if first is None else f"{first - one.due:+.2f} s"
        )
        count.check(first is not None and one.due - EARLY <= first <= one.until, late)


def workers(evidence: Evidence, count: Count) -> None:
    """Every cluster has as many workers as before."""
    for there, wanted in evidence.workers:
        count.check(there == wanted, f"{there} workers of {wanted} are there")


def _name(run: NodeRun) -> str:
    return f"{run.node} of {run.execution_id} (generation {run.generation})"


PROMISES: dict[str, Callable[[Evidence, Count], None]] = {
    "ends": ends,
    "once": never_again,
    "attempts": attempts,
    "order": order,
    "log": whole,
    "fold": folds,
    "again": again,
    "workers": workers,
}
