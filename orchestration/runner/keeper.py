"""The keeper: a thread in the cluster's parent that sweeps, runs periodic jobs and keeps the node's row alive."""

from __future__ import annotations

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError, connection

from orchestration import registry
from orchestration.store import halted, timers, versions, workers
from orchestration.version import VERSION

from . import periodic, sweep
from .cluster import About

log = logging.getLogger(__name__)

EVERY = 1.0
AT_LEAST = 0.02
HEARTBEAT = 5.0


class Keeper(threading.Thread):
    """Runs until `end()`; started after the fork, so that no worker inherits its connection's thread."""

    def __init__(self, about: About) -> None:
        super().__init__(name="igon7-keeper", daemon=True)
        self.about = about
        self._ended = threading.Event()
        self._beat_at = 0.0
        self._synced = False
        self._pause = EVERY  # seconds until the next round

    def run(self) -> None:
        while not self._ended.is_set():
            self._attempt()
            self._ended.wait(self._pause)
        connection.close()

    def end(self) -> None:
        """Stop and note the worker node as stopped."""
        self._ended.set()
        self.join(3.0)
        try:
            workers.stopped(self.about.worker)
        except (DatabaseError, InterfaceError) as error:
            log.warning("The worker node could not be noted as stopped: %s", str(error).strip())

    def _attempt(self) -> None:
        try:
            # First of all: what follows may wait for the locks of who is halted.
            halted.wait_briefly()
            if ended := halted.end_halted():
                log.warning("Sessions of processes that fell silent in mid-sentence were ended: %d.", ended)
            self._beat()
            for pid in self.about.dead():
                sweep.take_over(self.about.worker, pid)
            sweep.sweep()
            periodic.run_due()
            due = timers.next_due()
            self._pause = min(EVERY, max(due, AT_LEAST)) if due is not None else EVERY
        except (DatabaseError, InterfaceError) as error:
            self._pause = EVERY
            log.warning("The keeper's round was cut short by the database: %s", str(error).strip())
            connection.close()
        except Exception:
            log.exception("The keeper's round failed; the next one tries again.")

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beat_at < HEARTBEAT:
            return
        # The beat first: the row may be there though the answer to its insert never came.
        if not workers.beat(self.about.worker):
            about = self.about
            workers.register(about.worker, about.name, about.queues, about.slots, VERSION, registry.broken())
        if not self._synced:
            versions.sync()
            self._synced = True
        self._beat_at = now
