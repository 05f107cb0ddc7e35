"""Wake-ups that never come, and wake-ups for nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Iterator
from unittest import mock

import psycopg
from django.db import connection

from orchestration.engine.graph import LANES
from orchestration.runner.lanes import IDLE
from orchestration.store.wakeups import channel
from tests.faults import traps, workflows
from tests.faults.crew import Trial

from . import drill

LATE = 2.0  # seconds past the idle look for the look itself, and for what is in hand then


def _deafen(trial: Trial) -> None:
    trial.await_idle()
    trial.crew.dismiss(trial.crew.cluster)
    trial.crew.start(**{traps.MUTE: "1"})


@drill("every wake-up lost, and a worker killed", times=5, short=1, fed=False, prepare=_deafen)
def lost_wakeups(trial: Trial) -> None:
    """The idle look that finds the work is all that is left: it bounds how late anything begins."""
    with _listening(trial) as heard, mock.patch("orchestration.store.wakeups.statements", return_value=[]):
        with trial.fault(within=IDLE + LATE):
            for workflow in workflows.LOAD:
                trial.begin(workflow)
        trial.await_idle()
        notices = list(heard.notifies(timeout=0)) if heard else []
        trial.check(not notices, f"{len(notices)} notifications were sent after all")
        for start in trial.starts():
            due, at = (dt.datetime.fromisoformat(start.about[name]) for name in ("due", "at"))
            late = (at - due).total_seconds()
            trial.check(late < IDLE + LATE, f"{start.node} of {start.execution} began {late:.2f} s late")
        with trial.fault(within=IDLE + LATE):
            trial.begin(trial.chance.choice(workflows.LOAD))
            trial.kill(trial.chance.choice(trial.crew.cluster.workers()))


@contextlib.contextmanager
def _listening(trial: Trial) -> Iterator[psycopg.Connection | None]:
    if trial.crew.server is None:
        yield None
        return
    with contextlib.closing(psycopg.connect(trial.crew.server.url, autocommit=True)) as heard:
        for lane in LANES:
            heard.execute(f"LISTEN {channel(lane)}")
        yield heard


@drill("wake-ups for nothing, hundreds a second", times=10, short=1)
def doubled_wakeups(trial: Trial) -> None:
    """On SQLite each commit wakes everybody; this makes commits that change nothing that a worker may claim."""
    with trial.fault(), _waking(trial) as sent:
        trial.await_starts(40)
    trial.check(sent[0] > 20, f"{sent[0]} wake-ups were sent")


@contextlib.contextmanager
def _waking(trial: Trial) -> Iterator[list[int]]:
    done, sent, chance = threading.Event(), [0], trial.chance.random

    def wake() -> None:
        with contextlib.closing(connection):
            while not done.is_set():
                with connection.cursor() as cursor:
                    for text in _nothing(trial):
                        cursor.execute(text)
                sent[0] += 1
                time.sleep(chance() * 0.01)

    thread = threading.Thread(target=wake, name="waker")
    thread.start()
    try:
        yield sent
    finally:
        done.set()
        thread.join()


def _nothing(trial: Trial) -> list[str]:
    if trial.crew.server is None:
        return ["UPDATE django_content_type SET model = model"]
    return [f"NOTIFY {channel(lane)}" for lane in LANES]
