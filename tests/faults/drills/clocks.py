"""Clocks that are wrong: on PostgreSQL due times, leases and deadlines keep to the database's clock.

On SQLite the database's clock *is* that of the machine it lies on, so there is nothing that could differ.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from pathlib import Path

from orchestration.models import Execution, ExecutionEvent
from tests.cluster import events, wait_until
from tests.faults import workflows
from tests.faults.crew import Trial

from . import drill

HOUR = 3600
SOURCE = Path(__file__).with_name("shifted_clock.c")


@drill(
    "two clusters whose clocks are an hour ahead and an hour behind, and a kill in each",
    times=10,
    short=1,
    fed=False,
    needs=("postgres", "cc"),
)
def wrong_clock(trial: Trial) -> None:
    _start_two(trial)
    before = _losses(trial)
    with trial.feeding():
        late = trial.begin(workflows.overdue)
        delayed = [trial.begin(workflows.delayed) for _ in range(4)]
        wait_until(
            lambda: all(events(id, "node.retrying") for id in delayed), what="first attempts have failed"
        )
        lost = _losses(trial) - before
        trial.check(lost == 0, f"{lost} leases were ended before their time")
        # The retries that wait are in this fault's count: they must begin neither early nor an hour late.
        for cluster in trial.crew.clusters:
            with trial.fault():
                trial.kill(trial.chance.choice(cluster.workers()))
        wait_until(lambda: all(len(trial.starts(id)) >= 3 for id in delayed), what="the delayed ones go on")
    trial.await_idle()
    _check(trial, late)


def _losses(trial: Trial) -> int:
    return ExecutionEvent.objects.filter(execution__in=list(trial.expected), type="node.lost").count()


def _start_two(trial: Trial) -> None:
    library = trial.crew.folder / "shifted_clock.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    for cluster in [*trial.crew.clusters]:
        trial.crew.dismiss(cluster)
    for shift in (HOUR, -HOUR):
        trial.crew.start(LD_PRELOAD=str(library), SHIFTED_CLOCK=str(shift))


def _check(trial: Trial, late: uuid.UUID) -> None:
    """Check that the clocks were wrong, and that a deadline of a second was one all the same."""
    right = time.time() - time.monotonic()
    for start in trial.starts():
        shift = start.at - start.tick - right
        trial.check(abs(abs(shift) - HOUR) < 5.0, f"a worker's clock was off by {shift:.1f} s")
    execution = Execution.objects.get(pk=late)
    assert execution.finished_at is not None
    assert execution.started_at is not None
    took = (execution.finished_at - execution.started_at).total_seconds()
    trial.check(1.0 <= took < 5.0, f"a deadline of 1 s came after {took:.1f} s")
