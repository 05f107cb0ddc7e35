"""The broker: what django-q2 carries here is a *seat*, never a node.

Each worker is handed one task, `drain`, and keeps it until it stops; spare seats lie ready for workers that take the
place of dead ones. (A worker killed while it is blocked in django-q2's own queue would hold that queue's lock for
ever: with a seat always there, none is.) Nothing is ever read from the database or a socket here, so nothing foreign
is unpickled: the signed package is built inside the process that reads it.
"""

from __future__ import annotations

import select
import time
import uuid

from django.utils import timezone
from django_q.brokers import Broker
from django_q.signing import SignedPackage

from . import cluster

POLL = 0.2


class SeatBroker(Broker):
    """Hands out seats and refuses everything else."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        about = cluster.current()
        self._pushed = about.taken.value if about is not None else 0

    @staticmethod
    def get_connection(list_key: str | None = None) -> None:
        return None

    def __getstate__(self) -> tuple[object, object]:
        return self.list_key, self._info

    def __setstate__(self, state: tuple[object, object]) -> None:
        self.list_key, self._info = state
        self.connection, self.cache, self._pushed = None, None, 0

    def enqueue(self, task: str) -> str:
        raise RuntimeError(
            "igon7's django-q2 cluster carries seats only; start a workflow instead of an async_task."
        )

    def dequeue(self) -> list[tuple[str, str]] | None:
        """Return one seat while fewer than one a worker lie ready; else wait a little and return None."""
        about = cluster.current()
        if about is None or self._pushed - about.taken.value >= about.slots:
            if about is None:
                time.sleep(POLL)
            else:
                select.select([about.stop_fd], [], [], POLL)  # the end of the cluster waits for this process
            return None
        self._pushed += 1
        id = uuid.uuid4().hex
        task = {
            "id": id,
            "name": "seat",
            "func": "orchestration.runner.drain.drain",
            "args": (),
            "kwargs": {},
            "started": timezone.now(),
            "timeout": -1,
            "save": False,
        }
        return [(id, SignedPackage.dumps(task))]

    def queue_size(self) -> int:
        return 0

    def lock_size(self) -> int:
        return 0

    def ping(self) -> bool:
        return True

    def info(self) -> str:
        return "igon7 seats"

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Keep nothing: worker nodes report to the database themselves."""

    def get_stat(self, key: str) -> None:
        return None

    def get_stats(self, pattern: str) -> list[object]:
        return []
