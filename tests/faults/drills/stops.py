"""SIGSTOP and SIGCONT, SIGTERM, and two clusters of which one goes."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
import uuid

from django.db import connection

from orchestration.models import ExecutionEvent, NodeRun
from tests.cluster import LEASE, events, wait_until
from tests.faults.crew import Trial, steadfast
from tests.ledger import Entry

from . import drill


@drill("SIGSTOP in a body past the lease, then SIGCONT: the late result is refused", times=10, short=1)
def stop_in_body(trial: Trial) -> None:
    _sleep_through(trial, "during")


@drill("SIGSTOP between a body and its settle past the lease, then SIGCONT", times=10, short=1)
def stop_after_body(trial: Trial) -> None:
    _sleep_through(trial, "after")


@drill(
    "SIGSTOP in the transaction of a settle, its locks held, past the lease, then SIGCONT",
    times=10,
    short=1,
    needs=("postgres",),
)
def stop_in_settle(trial: Trial) -> None:
    """On SQLite, where there is one lock, a writer that sleeps stops everybody until it wakes."""
    with trial.fault():
        asleep = trial.spring("locked", signal.SIGSTOP)
        trial.sleeps(asleep.pid)
    _let_sleep(trial)


@drill(
    "SIGSTOP in mid-sentence: a settle has told PostgreSQL a part of what it writes; past the lease, then SIGCONT",
    times=10,
    short=1,
    needs=("postgres",),
)
def stop_in_sentence(trial: Trial) -> None:
    with trial.fault():
        asleep = trial.spring("speaking", signal.SIGSTOP)
        trial.sleeps(asleep.pid)
    _let_sleep(trial)


def _sleep_through(trial: Trial, moment: str) -> None:
    before = trial.crew.cluster.log
    # Who can run again is judged from the stop on: the one that sleeps must not be waited for.
    with trial.fault():
        asleep = _stop(trial, moment)
        trial.sleeps(asleep.pid)
    _let_sleep(trial)
    trial.check(_taken_over(trial, asleep), f"nobody took {asleep} over")
    late = re.compile(rf'A late result of node "{asleep.node}(\[\d+\])?" of execution {asleep.execution}')
    wait_until(lambda: late.search(trial.crew.cluster.log[len(before) :]), what="the late result is refused")


def _let_sleep(trial: Trial) -> None:
    """Wake who sleeps when all that it held has been another's for a while."""
    waking = time.monotonic() + LEASE + 2.0
    try:
        wait_until(lambda: time.monotonic() > waking)
    finally:
        trial.wake()


def _stop(trial: Trial, moment: str) -> Entry:
    """Stop a worker there; on SQLite, one that does not hold the write lock, without which nobody could go on."""
    while True:
        asleep = trial.spring(moment, signal.SIGSTOP)
        if not _is_locked():
            return asleep
        os.kill(asleep.pid, signal.SIGCONT)


def _is_locked() -> bool:
    if connection.vendor != "sqlite":
        return False
    probe = sqlite3.connect(connection.settings_dict["NAME"], timeout=0.5, isolation_level=None)
    try:
        probe.execute("BEGIN IMMEDIATE").execute("ROLLBACK")
    except sqlite3.OperationalError:
        return True
    finally:
        probe.close()
    return False


def _taken_over(trial: Trial, asleep: Entry) -> bool:
    """Say whether the node has begun for a later claim than that of the process that sleeps, or was cancelled."""
    if events(uuid.UUID(asleep.execution), "node.cancelled", node=asleep.node):
        return True  # its execution fails fast
    later = (start for start in trial.starts() if start.about["fence"] > asleep.about["fence"])
    return any((start.execution, start.node) == (asleep.execution, asleep.node) for start in later)


@drill("SIGTERM: the cluster drains; and its restart", times=20, short=2)
def drain(trial: Trial) -> None:
    cluster = trial.crew.cluster
    lost = steadfast(_losses)
    with trial.fault():
        took = cluster.stop()
        left = NodeRun.objects.filter(status="running").count()
        trial.check(
            left == 0 and _losses() == lost, f"{left} nodes were left running, {_losses() - lost} lost"
        )
        trial.check(took < 5.0, f"the stop took {took:.1f} s")
        trial.crew.restart(cluster)


def _losses() -> int:
    return ExecutionEvent.objects.filter(type="node.lost").count()


@drill("kill -9 of a parent, and with it the keeper, of one of two clusters", times=10, short=1)
def kill_keeper(trial: Trial) -> None:
    first, second = trial.crew.cluster, trial.crew.start()
    _await_both(trial)
    with trial.fault():
        trial.kill(first.pid)
        wait_until(lambda: not first.processes(), 2.0, "its processes are gone")
    trial.crew.dismiss(first)
    trial.await_starts(20)
    assert trial.crew.clusters == [second]


@drill("SIGSTOP of one of two clusters, keeper and all, past the lease, then SIGCONT", times=10, short=1)
def stop_cluster(trial: Trial) -> None:
    first, second = trial.crew.cluster, trial.crew.start()
    _await_both(trial)
    with trial.fault():
        os.killpg(first.pid, signal.SIGSTOP)
        while _is_locked():
            os.killpg(first.pid, signal.SIGCONT)
            time.sleep(0.05)
            os.killpg(first.pid, signal.SIGSTOP)
        trial.sleeps(*first.processes())
    _let_sleep(trial)
    _await_both(trial)
    trial.crew.dismiss(second)


def _await_both(trial: Trial) -> None:
    """Return when workers of both clusters have begun bodies."""
    since = time.monotonic()

    def both() -> bool:
        recent = {start.pid for start in trial.starts() if start.tick > since}
        return all(recent.intersection(cluster.processes()) for cluster in trial.crew.clusters)

    wait_until(both, what="both clusters work")
