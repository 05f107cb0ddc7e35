"""The worker of a test: the runner's own lanes in the test's thread, which run what is due and never wait."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction

from orchestration import registry
from orchestration.engine.graph import Graph, NodeSpec
from orchestration.engine.states import Outcome
from orchestration.runner.async_lane import AsyncLane
from orchestration.runner.family import make_task
from orchestration.runner.heartbeat import Heartbeat
from orchestration.runner.lanes import Lane
from orchestration.runner.maps import finding
from orchestration.runner.seat import Held, Seat
from orchestration.runner.sync_lane import SyncLane
from orchestration.store import sql
from orchestration.store.versions import graph_of

from .loop import Loop

Body = Callable[..., Any]
Bodies = Mapping[tuple[str, str], Body]  # (workflow, node) -> what stands in for its body
WATCH = 0.02  # seconds between two looks at a body that must not be silent


class _StandIns(Lane):
    """Runs other bodies in the place of some."""

    bodies: Bodies = {}

    def prepare(self, held: Held) -> tuple[Graph, NodeSpec, Body] | None:
        found = super().prepare(held)
        if found is None or (body := self.bodies.get((found[0].name, found[1].id))) is None:
            return found
        graph, spec, _ = found
        stand_in = _as_async(body) if spec.lane == "async" else body
        own = finding if held.claim.key.index < 0 else None
        return graph, *registry.body_of(graph, spec.id, instead=stand_in, finding=own)


def _as_async(body: Body) -> Body:
    async def run(ctx: Any) -> Any:
        value = body(ctx)
        return await value if inspect.isawaitable(value) else value

    return run


class Sync(_StandIns, SyncLane):
    """One sync body after the other; each is settled before the next begins."""

    along = True  # claim the next together with a settle

    def __init__(self, seat: Seat, beat: Beat) -> None:
        super().__init__(seat, (), 0.0)
        self._beat = beat
        self._streak_began = float(
            "inf"
        )  # children are always kept along: not as fast as the machine is today

    def room(self) -> int:
        return max(0, 1 - len(self.pending))

    def work(self) -> bool:
        """Run and settle one body; say whether there was one."""
        if not self.pending and not self.claim_more():
            return False
        self.turn()
        return True

    def settle_finished(self, *, more: bool = True) -> None:
        """Settle what has finished."""
        super().settle_finished(more=more and self.along)

    def tidy(self, outcome: Outcome) -> None:
        """Leave the test's own transaction open."""
        if not connection.in_atomic_block:
            super().tidy(outcome)

    def _run(self, held: Held) -> None:
        with _apart(), self._listened_to(held):
            super()._run(held)

    @contextlib.contextmanager
    def _listened_to(self, held: Held) -> Iterator[None]:
        """Let a thread interrupt a body that is silent for too long."""
        spec = graph_of(held.claim.version_id).nodes[held.claim.key.node]
        if spec.heartbeat_timeout is None:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._listen, args=(held, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _listen(self, held: Held, over: threading.Event) -> None:
        while not over.wait(WATCH):
            self._beat.listen(held)


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Keep what a body breaks from breaking the transaction that the test is in, where there is one.

    Outside of tests each statement of a body commits by itself; here one that PostgreSQL refuses would take along
    everything that follows.
    """
    if not connection.in_atomic_block:
        yield
        return
    keep_open()
    point = transaction.savepoint()
    yield
    if _is_broken():
        connection.needs_rollback = False
        transaction.savepoint_rollback(point)
    transaction.savepoint_commit(point)


def keep_open() -> None:
    """Let the transaction that the test is in be idle for as long as it likes: the store's limit would hold for it."""
    if connection.in_atomic_block and sql.is_postgres(connection):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


def _is_broken() -> bool:
    if connection.needs_rollback:
        return True
    status = psycopg.pq.TransactionStatus.INERROR
    return sql.is_postgres(connection) and connection.connection.info.transaction_status == status


class Async(_StandIns, AsyncLane):
    """Async bodies together, on a loop whose clock jumps."""

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat, (), 0.0)
        self._event_loop.close()
        self._database.shutdown()
        self.clock = self._event_loop = Loop()
        self.clock.set_task_factory(make_task)
        self._database = self.clock.inline  # type: ignore[assignment]
        self.timer: float | None = None  # seconds to the loop's next timer

    def work(self) -> bool:
        """Begin what may begin, run it as far as it goes, and settle what has ended; say whether anything happened."""
        if not self.claim_more() and not self.active:
            self.timer = None
            return False
        begun = bool(self.pending)
        self._begin_pending()
        self.timer = self.clock.advance()
        ended = bool(self.finished)
        while self.finished:
            self.settle_finished(more=False)
        return begun or ended

    def stop(self) -> None:
        """Stop the bodies that run and hand them back."""
        for held in self.seat.held():
            if held.lane == self.name and held.interrupt is not None:
                held.released = held.gone = True
                held.interrupt()
        self.clock.advance()
        self.settle_finished(more=False)

    def close(self) -> None:
        for task in asyncio.all_tasks(self.clock):
            task.cancel()
        self.clock.advance()
        self.clock.close()


class Beat(Heartbeat):
    """The heartbeat, without its thread: it beats when the clock has jumped."""

    def skip(self, seconds: float) -> None:
        """Let everything in hand grow older by so many seconds, and beat."""
        held = self.seat.held()
        for one in held:
            one.renewed_at -= seconds
            one.said_at -= seconds
            one.begun_at = one.begun_at - seconds if one.begun_at is not None else None
            one.deadline = one.deadline - seconds if one.deadline is not None else None
        self._looked_at -= seconds
        if held:
            self._beat_once()

    def listen(self, held: Held) -> None:
        """Interrupt the body if it has been silent for too long."""
        self._enforce_timeouts([held], time.monotonic())

    def silence(self) -> float | None:
        """Return the seconds until the first body has been silent for too long."""
        now = time.monotonic()
        limits = [
            one.said_at + one.silence - now
            for one in self.seat.held()
            if one.silence is not None and one.is_in_body and one.late is None
        ]
        return min(limits, default=None)

    def _die_for(self, one: Held) -> None:
        """Leave the test's process alive: the body that ignores its timeout may end when it likes."""
        one.kill_at = None


class Worker:
    """One worker process, as far as the database can tell."""

    def __init__(self, queues: Sequence[str], bodies: Bodies, *, along: bool) -> None:
        name = "test"
        self.seat = Seat(uuid.uuid4(), name, tuple(queues), float(settings.IGON7_LEASE_SECONDS))
        self.beat = Beat(self.seat, lambda: None, 0.0)
        self.sync, self.other = Sync(self.seat, self.beat), Async(self.seat)
        self.sync.along = along
        self.sync.bodies = self.other.bodies = bodies

    @property
    def lanes(self) -> tuple[Sync, Async]:
        return self.sync, self.other

    def work(self) -> bool:
        """Do what can be done now; say whether anything was."""
        return self.sync.work() or self.other.work()

    def skip(self, seconds: float) -> None:
        """Let time pass for what is in hand."""
        self.other.clock.skip(seconds)
        self.beat.skip(seconds)

    def stop(self) -> None:
        """End as a worker does that is told to: what has not ended is handed back."""
        self.other.stop()
        for lane in self.lanes:
            lane.hand_back_pending()
            lane.settle_finished(more=False)

    def close(self) -> None:
        """Let go of everything, as a process does that ends."""
        self.other.close()
        for lane in self.lanes:
            lane.waiter.close()
