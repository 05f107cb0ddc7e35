"""The tasks of one async body, and when they can do nothing but wait.

A body is parked once each of its tasks waits for something durable, or for another of them. Where one waits for
something else (a request, asyncio.sleep) it is given a while; then the body is parked all the same, and that task runs
again when the body does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from orchestration.engine.parking import Wait

from .durable import park
from .seat import Held

_GATHERING: type = vars(asyncio.tasks)["_GatheringFuture"]  # what asyncio.gather gives
PATIENCE = 1.0  # seconds that a task which waits for something else is given
LOOK = 0.02  # seconds between looks while it is

_family: ContextVar[Family] = ContextVar("family")


class Family:
    """A body's task and those that it made."""

    def __init__(self, held: Held, root: asyncio.Task[Any]) -> None:
        self._held, self._root = held, root
        self._tasks = {root}
        self._waits: dict[asyncio.Future[None], Wait] = {}
        self._busy = 0  # durable calls that are being answered
        self._looking = False
        self._moved_at = 0.0  # when the body last did something durable

    @staticmethod
    def of_body() -> Family:
        """Return the family of the body that runs."""
        return _family.get()

    @classmethod
    def begin(cls, held: Held) -> Family:
        """Let the task that runs be the root of a body's family."""
        root = asyncio.current_task()
        assert root is not None
        family = cls(held, root)
        _family.set(family)
        return family

    def end(self) -> None:
        """Leave nothing behind of a body that is parked."""
        for task in self._tasks:
            if task is not self._root:
                task.cancel()

    def add(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep the body from being parked while a durable call is answered."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._moved_at = asyncio.get_running_loop().time()

    async def wait_for(self, wait: Wait) -> None:
        """Wait until the body is parked; does not return."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[None] = loop.create_future()
        self._waits[coming] = wait
        self._moved_at = loop.time()
        if not self._looking:
            self._looking = True
            loop.call_soon(self._look, loop)
        try:
            await coming
        finally:
            del self._waits[coming]  # somebody else in the body has given this up, or it is parked

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looking = bool(self._waits) and not self._root.done()
        if not self._looking:
            return
        done = all(self._only_waits(task) for task in self._tasks if not task.done())
        if not self._busy and (done or loop.time() - self._moved_at > PATIENCE):
            park(self._held, self._waits.values())
            self._looking = False
            self._root.cancel()
            return
        loop.call_later(LOOK, self._look, loop)

    def _only_waits(self, task: asyncio.Task[Any]) -> bool:
        # What a task waits for is no part of asyncio's interface; where it cannot be seen, it is given its while.
        waiter = getattr(task, "_fut_waiter", None)
        if waiter is None:
            return False
        return waiter in self._waits or waiter in self._tasks or isinstance(waiter, _GATHERING)


def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task (a task factory), and note it with the body that makes it."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    family = context.get(_family) if context is not None else _family.get(None)
    if family is not None:
        family.add(task)
    return task
