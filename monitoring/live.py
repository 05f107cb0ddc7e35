"""The live relay: one task a web process, which reads what watched executions have new and hands it on.

It exists while somebody watches. Its look runs in a thread of its own, on a connection of its own; everything
else here runs on the event loop, so nothing needs a lock. A watcher who takes frames slowly gets them merged;
past LIMIT they are dropped, and read again from where that watcher stands once it takes frames again.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db import DatabaseError, connection

from .frames import Frame
from .reader import Look, Newcomer, Reader, Tail

log = logging.getLogger(__name__)

INTERVAL = 0.1
QUIET_INTERVAL = 0.25  # on PostgreSQL, where a look that finds nothing is a query
QUIET_AFTER = 2.0
LIMIT = 5000  # events, nodes and lines kept for one slow watcher
_LONGEST_PAUSE = 5.0  # while the database is away


class ExecutionGone(Exception):
    """The watched execution does not exist any more."""


class Subscription:
    """One watcher of one execution, who has all up to event `seq` and log line `line`."""

    def __init__(self, relay: Relay, execution: uuid.UUID, seq: int, line: int, language: str) -> None:
        self.execution, self.language = execution, language
        self.seq, self.line = seq, line
        self._relay = relay
        self._pending: Frame | None = None
        self._caught_up = False
        self._gone = False
        self._ready = asyncio.Event()

    async def next(self) -> Frame:
        """Wait for news and return them as one frame. Raises ExecutionGone."""
        if not self._caught_up and self._pending is None:
            self._relay.hurry()
        await self._ready.wait()
        if self._gone or self._pending is None:
            raise ExecutionGone
        frame, self._pending = self._pending, None
        self._ready.clear()
        self.seq = frame.seq
        self.line = self.line if frame.line is None else frame.line
        return frame

    @property
    def newcomer(self) -> Newcomer | None:
        """Return what has to be read for this watcher alone: None while it is up to date or holds a frame."""
        if self._caught_up or self._pending is not None:
            return None
        return Newcomer(self.execution, self.seq, self.line, self.language)

    def catch_up(self, frame: Frame, head: int) -> None:
        """Take a frame that was read for this watcher; from `head` on it goes along with the others."""
        self._pending, self._caught_up = frame, frame.seq >= head
        self._ready.set()

    def offer(self, frame: Frame) -> None:
        """Take a frame that all watchers of the execution get."""
        if not self._caught_up:
            return
        if self._pending is not None and self._pending.size + frame.size > LIMIT:
            self.start_over()
            return
        self._pending = frame if self._pending is None else self._pending.then(frame)
        self._ready.set()

    def start_over(self) -> None:
        """Drop what is held; it is read again from where this watcher stands."""
        self._pending, self._caught_up = None, False
        self._ready.clear()

    def end(self) -> None:
        """Let `next` raise ExecutionGone."""
        self._gone = True
        self._ready.set()


class Relay:
    """Tails the executions that somebody watches. All methods are for one event loop."""

    def __init__(self) -> None:
        self._watched: dict[uuid.UUID, tuple[Tail, set[Subscription]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Return whether nothing runs here: no watcher, no task, no query."""
        return self._task is None

    def subscribe(self, execution: uuid.UUID, seq: int, line: int, language: str) -> Subscription:
        """Watch an execution from after `seq` and `line`; `unsubscribe` has to follow."""
        subscription = Subscription(self, execution, seq, line, language)
        tail, watchers = self._watched.setdefault(execution, (Tail(execution), set()))
        tail.languages = tail.languages | {language}
        watchers.add(subscription)
        if self._task is None:
            self._hurry = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="live relay")
        self.hurry()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop watching. The last one to leave stops the relay."""
        tail, watchers = self._watched.get(subscription.execution, (None, set()))
        watchers.discard(subscription)
        if tail is not None and not watchers:
            del self._watched[subscription.execution]
        elif tail is not None:
            tail.languages = {watcher.language for watcher in watchers}
        self.hurry()

    def hurry(self) -> None:
        """Look now: somebody waits who should not have to."""
        self._hurry.set()

    async def _run(self) -> None:
        reader, thread = Reader(), ThreadPoolExecutor(1, thread_name_prefix="live-relay")
        loop = asyncio.get_running_loop()
        pause, moved_at = INTERVAL, time.monotonic()
        try:
            while self._watched:
                self._hurry.clear()
                tails, asking = self._asked()
                try:
                    look = await loop.run_in_executor(thread, reader.look, tails, [new for _, new in asking])
                except Exception as error:
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    _complain(error, pause)
                    self._start_over()
                    await loop.run_in_executor(thread, reader.close)
                    reader = Reader()
                    await asyncio.sleep(pause)
                    continue
                moved_at = time.monotonic() if self._hand_on(look, [who for who, _ in asking]) else moved_at
                pause = self._pause(moved_at)
                await self._sleep(pause)
        finally:
            self._task = None
            await loop.run_in_executor(thread, reader.close)
            thread.shutdown(wait=False)

    def _asked(self) -> tuple[list[Tail], list[tuple[Subscription, Newcomer]]]:
        tails = [tail for tail, _ in self._watched.values()]
        watchers = [watcher for _, watchers in self._watched.values() for watcher in watchers]
        return tails, [(watcher, new) for watcher in watchers if (new := watcher.newcomer)]

    def _hand_on(self, look: Look, asked: Sequence[Subscription]) -> bool:
        """Give everybody what is theirs; return whether anything moved."""
        for execution, frame in look.news.items():
            for watcher in self._watched.get(execution, (None, ()))[1]:
                watcher.offer(frame)
        for watcher, caught in zip(asked, look.caught_up, strict=False):
            tail, _ = self._watched.get(watcher.execution, (None, ()))
            if caught is not None and tail is not None:
                watcher.catch_up(caught, tail.seq or 0)
        for execution in look.gone:
            for watcher in self._watched.get(execution, (None, ()))[1]:
                watcher.end()
        return bool(look.news or look.caught_up)

    def _start_over(self) -> None:
        # A look that broke off may have moved some tails and told nobody.
        for execution, (tail, watchers) in self._watched.items():
            self._watched[execution] = (Tail(execution, tail.languages), watchers)
            for watcher in watchers:
                watcher.start_over()

    def _pause(self, moved_at: float) -> float:
        quiet = connection.vendor == "postgresql" and time.monotonic() - moved_at > QUIET_AFTER
        return QUIET_INTERVAL if quiet else INTERVAL

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            return


def _complain(error: Exception, pause: float) -> None:
    if isinstance(error, DatabaseError):
        log.warning("The live relay cannot read the database (%s); it tries again in %.1f s.", error, pause)
    else:
        log.error("The live relay failed; it starts over in %.1f s.", pause, exc_info=error)


relay = Relay()
