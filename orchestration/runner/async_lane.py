"""The lane of async bodies: hundreds together on one event loop; the lane's own thread talks to the database."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from orchestration.engine.graph import NodeSpec
from orchestration.engine.states import Outcome

from . import bodies
from .context import AsyncContext
from .family import Family, make_task
from .lanes import Lane
from .seat import Held, Seat

log = logging.getLogger(__name__)

MOST = 200  # bodies on the event loop at once


class AsyncLane(Lane):
    """Runs async bodies together on one event loop; its own thread talks to the database."""

    name = "async"

    def __init__(self, seat: Seat, stop_fds: Sequence[int], grace: float) -> None:
        super().__init__(seat, stop_fds, grace)
        # Written by this lane's thread (begun) and by the event loop's (ended); each a single step.
        self.active: dict[int, asyncio.Task[None] | None] = {}
        self._event_loop = asyncio.new_event_loop()
        self._event_loop.set_task_factory(make_task)
        self._loop_thread = threading.Thread(target=self._serve, name="igon7-loop", daemon=True)
        self._database = ThreadPoolExecutor(1, thread_name_prefix="igon7-async-db")

    def loop(self) -> None:
        self._loop_thread.start()
        try:
            super().loop()
        except Exception:
            log.exception(
                "The lane for async bodies failed; its process ends, and the cluster starts another."
            )
            os.kill(os.getpid(), signal.SIGKILL)
        self._event_loop.call_soon_threadsafe(self._event_loop.stop)
        connection.close()

    def _serve(self) -> None:
        """Run the event loop; a task of a body that calls sys.exit() throws it out, and must not end it for all."""
        while True:
            try:
                self._event_loop.run_forever()
                return
            except BaseException as error:
                log.error("A task that an async body made threw %r out of the event loop.", error)

    def room(self) -> int:
        return max(0, MOST - len(self.active) - len(self.pending))

    def over(self) -> bool:
        return not self.active and super().over()

    def turn(self) -> None:
        if self.seat.stopping.is_set():
            self.hand_back_pending()
        self._begin_pending()
        if self.finished:
            self.settle_finished()
        elif self.seat.stopping.is_set():
            time.sleep(0.02)  # the waiter would return at once: its stop has been said
        else:
            self.wait()

    def _begin_pending(self) -> None:
        while self.pending:
            held = self.pending[0]
            if self.is_stale(held):
                self.hand_back(held)
            else:
                self._begin(held)
            self.pending.popleft()  # only now: what a database that is away keeps from beginning stays

    def _begin(self, held: Held) -> None:
        if (found := self.prepare(held)) is None:
            return
        graph, spec, body = found
        ctx = AsyncContext(held, graph, spec, self._database)
        self.active[held.claim.run_id] = None
        self._event_loop.call_soon_threadsafe(self._spawn, held, spec, body, ctx)

    def _spawn(self, held: Held, spec: NodeSpec, body: Callable[..., Any], ctx: AsyncContext) -> None:
        task = self._event_loop.create_task(self._run(held, spec, body, ctx))
        self.active[held.claim.run_id] = task
        held.interrupt = lambda: _call(self._event_loop, task.cancel)

    async def _run(self, held: Held, spec: NodeSpec, body: Callable[..., Any], ctx: AsyncContext) -> None:
        if self.is_stale(held):  # it waited for the event loop through a long stop of this process
            self.hand_back(held)
        else:
            held.begun_at = time.monotonic()
            family = Family.begin(held)
            outcome, value = await bodies.run_async(held, spec, body, ctx)
            ended = time.monotonic()
            if outcome is Outcome.SUSPENDED:
                family.end()
            held.interrupt = None
            self.conclude(held, spec, ctx, outcome, value, ended)
        del self.active[held.claim.run_id]
        self.waiter.wake()


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    loop.call_soon_threadsafe(function)
