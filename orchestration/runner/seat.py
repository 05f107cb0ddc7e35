"""The seat: what one worker process is, shared by its lanes and its heartbeat."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestration.engine.decide import ALONE_AFTER
from orchestration.engine.errors import NodeTimeout
from orchestration.engine.parking import Wait
from orchestration.store.claim import Claim
from orchestration.store.journal import Entry
from orchestration.store.leases import Line


@dataclass(slots=True)
class Held:
    """A claim in hand. Times are this process's monotonic seconds."""

    claim: Claim
    lane: str
    renewed_at: float = field(default_factory=time.monotonic)
    begun_at: float | None = None
    told: bool = False  # node.started is written
    cancelled: bool = False  # the execution is being cancelled
    gone: bool = False  # the claim is no longer ours: terminated, or taken over
    released: bool = False  # stopped by us, to be handed back
    interrupt: Callable[[], None] | None = None  # make the body stop now
    late: NodeTimeout | None = None  # its deadline is over, or it has said nothing for too long
    deadline: float | None = None  # when all its attempts must be over
    silence: float | None = None  # seconds that it may say nothing
    said_at: float = 0.0  # when it last said something
    kill_at: float | None = None  # when a body that ignores its timeout takes the process down
    lines: list[Line] = field(default_factory=list)
    count: int = 0
    progress: dict[str, object] | None = None  # to be written
    said: dict[str, object] = field(default_factory=dict)
    journal: dict[str, Entry] | None = None  # what its body's durable calls gave before, once it is read
    waits: tuple[Wait, ...] = ()  # the body has asked to wait for these: nothing else counts that it says
    more: dict[str, Any] | None = None  # what else its last event is to say
    item: str | None = None  # of a map, as JSON text
    secrets: dict[str, str] = field(default_factory=dict, repr=False)  # that its body has read
    edited: str | None = None  # what a person has put in the place of its input, for all its items

    @property
    def is_in_body(self) -> bool:
        """Say whether the body runs now: whoever runs it can be interrupted."""
        return self.begun_at is not None and self.interrupt is not None


@dataclass(slots=True)
class Seat:
    """One worker process: who it is, what it serves, and every claim that it holds."""

    worker: uuid.UUID
    name: str
    queues: tuple[str, ...]
    lease: float
    stopping: threading.Event = field(default_factory=threading.Event)
    busy: threading.Event = field(default_factory=threading.Event)
    pid: int = field(default_factory=os.getpid)
    _held: dict[int, Held] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # Who claims: one lane at a time, so that a row lost repeatedly can be claimed alone.
    claiming: threading.RLock = field(default_factory=threading.RLock)
    solo: bool = False
    writing: bool = False  # a body is in a transaction that keeps everybody else from writing, as on SQLite

    @property
    def label(self) -> str:
        """What events call this process."""
        return f"{self.name}/{self.pid}"

    def take(self, claims: list[Claim], lane: str, asked: float) -> list[Held]:
        """Note claims as held and return them; `asked` is when they were asked for, before which no lease began."""
        taken = [Held(claim, lane, renewed_at=asked, deadline=_deadline(claim, asked)) for claim in claims]
        with self._lock:
            self._held.update({held.claim.run_id: held for held in taken})
            self.solo = self.solo or any(claim.losses >= ALONE_AFTER for claim in claims)
        if taken:
            self.busy.set()
        return taken

    def drop(self, held: Held) -> None:
        """Forget a claim that has been settled or is ours no longer."""
        with self._lock:
            if self._held.get(held.claim.run_id) is held:
                del self._held[held.claim.run_id]
            if self.solo:
                self.solo = any(other.claim.losses >= ALONE_AFTER for other in self._held.values())
            if not self._held:
                self.busy.clear()

    def held(self) -> list[Held]:
        with self._lock:
            return list(self._held.values())

    @property
    def empty(self) -> bool:
        return not self._held


def _deadline(claim: Claim, asked: float) -> float | None:
    return asked + claim.left if claim.left is not None else None
