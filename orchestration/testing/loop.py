"""An event loop for async bodies in a test: where nothing is left to do but wait for a timer, its clock jumps."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

LOOK = 0.05  # seconds of a real wait, after which the database's due times are looked at again


class Inline(Executor):
    """Runs what it is given when it is told to: in the test's thread, with the test's connection."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Note the call for the next `run`."""
        future: Future[Any] = Future()
        self._jobs.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run(self) -> bool:
        """Run what has been submitted; say whether there was anything."""
        jobs, self._jobs = self._jobs, []
        for future, job in jobs:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
        return bool(jobs)


class _Selector(selectors.DefaultSelector):
    """Does not wait: it says for how long the loop would, and lets the loop stop."""

    def __init__(self) -> None:
        super().__init__()
        self.stop: Callable[[], None] = lambda: None
        self.idle: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self.idle = timeout
            self.stop()
        return ready

    def wait(self, seconds: float) -> None:
        """Wait until something can be read or written, or the time is over."""
        super().select(seconds)


class Loop(asyncio.SelectorEventLoop):
    """Runs until it would wait (`advance`); its owner then waits, or moves its clock."""

    def __init__(self) -> None:
        self._waits = _Selector()
        self._ahead = 0.0
        self._elsewhere = 0
        super().__init__(self._waits)
        self._waits.stop = self.stop
        self._own_files = len(self._waits.get_map())
        self.inline = Inline()

    def time(self) -> float:
        """Return the loop's time, jumps included."""
        return super().time() + self._ahead

    def skip(self, seconds: float) -> None:
        """Move the loop's clock on."""
        self._ahead += seconds

    def advance(self) -> float | None:
        """Run all that can run now; return the seconds to the next timer, or None where there is none."""
        while True:
            self.run_forever()
            if not self.inline.run():
                return self._waits.idle

    @property
    def is_busy(self) -> bool:
        """Say whether something in the real world is waited for: a socket, or another thread."""
        return self._elsewhere > 0 or len(self._waits.get_map()) > self._own_files

    def wait(self, seconds: float | None) -> None:
        """Wait for the real world, for so many seconds at most."""
        self._waits.wait(LOOK if seconds is None else min(LOOK, seconds))

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do as the base class does, and count what runs in other threads."""
        future = super().run_in_executor(executor, func, *args)
        if executor is not self.inline:
            self._elsewhere += 1
            future.add_done_callback(self._back)
        return future

    def _back(self, _future: asyncio.Future[Any]) -> None:
        self._elsewhere -= 1
