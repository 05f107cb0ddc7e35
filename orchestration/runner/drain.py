"""`drain`: the one task that django-q2 carries. A worker keeps it until stop: claims, runs, settles and waits."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from django.db import connections

from orchestration import registry
from orchestration.store import clock  # noqa: F401 - teaches SQLite connections the clock

from . import cluster
from .async_lane import AsyncLane
from .heartbeat import Heartbeat
from .seat import Seat
from .sync_lane import SyncLane

log = logging.getLogger(__name__)


def drain() -> str:
    """Work until the cluster stops. Never raises: django-q2 would keep what it raised.

    A fault of ours ends the process: the cluster starts another, and what this one held is taken over at once.
    """
    about = cluster.current()
    if about is None:
        return "not a worker of an igon7 cluster"
    with about.taken.get_lock():
        about.taken.value += 1
    try:
        _work(about)
    except Exception:
        log.exception("A worker process failed and ends; the cluster starts another.")
        time.sleep(1.0)  # a fault that is there from the start must not become a storm of forks
        os.kill(os.getpid(), signal.SIGKILL)
    finally:
        connections.close_all()
    return "stopped"


def _work(about: cluster.About) -> None:
    if about.is_stopping():
        return
    registry.discover()
    seat = Seat(about.worker, about.name, about.queues, about.lease)
    sync = SyncLane(seat, [about.stop_fd], about.grace)
    other = AsyncLane(seat, [about.stop_fd], about.grace)
    heartbeat = Heartbeat(seat, sync.relieve, about.grace)
    stopper = threading.Thread(target=_watch, args=(about, seat, sync, other), name="igon7-stop", daemon=True)
    second = threading.Thread(target=other.loop, name="igon7-async", daemon=True)
    cluster.freeze()
    for thread in (stopper, heartbeat, second):
        thread.start()
    try:
        sync.loop()
        second.join()
    finally:
        seat.stopping.set()
        heartbeat.ended.set()
        seat.busy.set()  # wakes a heartbeat that sleeps because nothing is held
        heartbeat.join(2.0)


def _watch(about: cluster.About, seat: Seat, *lanes: SyncLane | AsyncLane) -> None:
    """Pass the cluster's stop on to the lanes, at once."""
    about.wait_for_stop()
    seat.stopping.set()
    for lane in lanes:
        lane.waiter.wake()
    log.debug("process %d stops", os.getpid())
