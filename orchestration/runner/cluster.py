"""A django-q2 cluster whose workers hold seats: it stops them at once, dies as a whole, and says which have died."""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django_q import cluster as django_q
from django_q.conf import Conf

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class About:
    """What every process of one cluster knows of it; made before the first fork."""

    worker: uuid.UUID
    name: str
    queues: tuple[str, ...]
    lease: float
    grace: float
    slots: int
    stop_fd: int
    stop_write: int
    dead_read: int
    dead_write: int
    taken: Any = field(repr=False)  # seats taken so far, shared between the processes

    def is_stopping(self) -> bool:
        return bool(select.select([self.stop_fd], [], [], 0)[0])

    def wait_for_stop(self) -> None:
        select.select([self.stop_fd], [], [])

    def say_stop(self) -> None:
        """Make the stop known to every process: the byte stays in the pipe, for all to see."""
        os.write(self.stop_write, b".")

    def dead(self) -> list[int]:
        """Return the pids of workers that have died since the last look."""
        data = b""
        while select.select([self.dead_read], [], [], 0)[0]:
            data += os.read(self.dead_read, 4096)
        return [int(pid) for pid in data.split()]


class StopEvent:
    """The cluster's stop as django-q2 sees it: the byte in the pipe.

    An event of multiprocessing waits, when it is set, for each waiting process to wake up. One that was killed never
    does, as when a signal goes to the whole group, and whoever set it would hang for good.
    """

    def __init__(self, about: About) -> None:
        self._about = about

    def is_set(self) -> bool:
        return self._about.is_stopping()

    def set(self) -> None:
        self._about.say_stop()

    def wait(self, timeout: float | None = None) -> bool:
        return bool(select.select([self._about.stop_fd], [], [], timeout)[0])


_current: About | None = None


def current() -> About | None:
    """Return the cluster this process belongs to, or None outside of one."""
    return _current


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however that happens (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _leave_to_the_parent(*_: object) -> None:
    """Do nothing: a signal to the whole group reaches the parent, too, and its stop is the one that counts."""


class Sentinel(django_q.Sentinel):
    """Guards the pool; tells drains to stop before it waits for them, and the keeper who has died."""

    def start(self) -> None:
        # For this process and, by inheritance, for those it starts. Not ignored: what bodies start would inherit that.
        signal.signal(signal.SIGTERM, _leave_to_the_parent)
        super().start()

    def reincarnate(self, process: Any) -> None:
        pid, about = process.pid, _current
        was_worker = process in self.pool
        super().reincarnate(process)
        if was_worker and about is not None:
            os.write(about.dead_write, f"{pid}\n".encode())

    def stop(self) -> None:
        if _current is not None:
            _current.say_stop()
        super().stop()


class Cluster(django_q.Cluster):
    """Start and stop one cluster; `about` says who it is."""

    def __init__(
        self, *, workers: int, queues: tuple[str, ...], name: str | None = None, grace: float = 25.0
    ) -> None:
        super().__init__()
        stop_fd, stop_write = os.pipe()
        dead_read, dead_write = os.pipe()
        self.about = About(
            worker=self.cluster_id,
            name=name or socket.gethostname(),
            queues=queues,
            lease=float(settings.IGON7_LEASE_SECONDS),
            grace=grace,
            slots=workers,
            stop_fd=stop_fd,
            stop_write=stop_write,
            dead_read=dead_read,
            dead_write=dead_write,
            taken=_context().Value("Q", 0),
        )
        self.stopped_on_purpose = False

    def start(self) -> int:
        """Fork the sentinel, which forks the workers. Raises RuntimeError when it does not come up."""
        global _current
        _current = self.about
        Conf.WORKERS = self.about.slots
        os.register_at_fork(after_in_child=_die_with_parent)
        freeze()
        context = _context()
        self.stop_event, self.start_event = StopEvent(self.about), context.Event()
        if self.stopped_on_purpose:  # a signal that came before there was an event to set
            self.stop_event.set()
        arguments = (self.stop_event, self.start_event, self.cluster_id, None, -1)
        self.sentinel = context.Process(target=Sentinel, name="igon7-sentinel", args=arguments)
        self.sentinel.start()
        deadline = time.monotonic() + 30
        while not self.start_event.wait(0.05):
            if not self.sentinel.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"The worker cluster did not start (exit code {self.sentinel.exitcode}).")
        return int(self.pid)

    def stop(self) -> bool:
        self.stopped_on_purpose = True
        if self.sentinel is None or not self.sentinel.is_alive():
            return False
        self.stop_event.set()
        self.sentinel.join()
        return True

    def sig_handler(self, signum: int, frame: object) -> None:
        # Only ask: joining inside a signal handler would deadlock with a main thread that joins already.
        self.stopped_on_purpose = True
        if self.stop_event is not None:
            with suppress(Exception):
                self.stop_event.set()


def freeze() -> None:
    """Let the garbage collector leave alone what is here for good, as modules are.

    A full collection would go through all of it, which takes as long as a hundred nodes, again and again; and it would
    copy the pages that workers share with their parent.
    """
    gc.collect()
    gc.freeze()


def _context() -> Any:
    # Fork: workers share what the parent has imported, and the pipes.
    return django_q.get_mp_context()
