"""The durable calls of `ctx`, for async bodies, which may wait for several things at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from orchestration.engine.durations import Duration, seconds
from orchestration.engine.errors import RepeatExhausted
from orchestration.engine.parking import Wait
from orchestration.engine.policies import Repeat
from orchestration.engine.signals import check_name

from .calls import DurableCalls
from .durable import Lost, as_kept, inside, value_of
from .family import Family
from .patience import patiently
from .storage import Call


class AsyncDurableCalls(DurableCalls):
    """The same names as for sync bodies; each is awaited."""

    async def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the function (or await it), once: on a replay its result is given again, as plain JSON.

        Raises NotSerialisable, PayloadTooLarge, InvalidOption, ReplayDiverged, NodeCancelled.
        """
        with Family.of_body().busy():
            key, entry = await self._come_to_it("step", name)
            if entry is not None:
                return value_of(entry, Wait(key, "step", name))
            with inside(name):
                value = function(*args, **kwargs)
                if inspect.isawaitable(value):
                    value = await value
            return await self._keep_it(key, "step", value)

    async def sleep(self, duration: Duration) -> None:  # type: ignore[override]
        """Wait for so long, without a worker. Raises InvalidOption, ReplayDiverged, NodeCancelled."""
        await self._await_it("sleep", "sleep", seconds(duration, "sleep"))

    async def wait_for_signal(self, name: str, timeout: Duration | None = None) -> Any:
        """Return the payload of the oldest unread signal of this name, and wait for one where there is none.

        Raises SignalTimeout, InvalidOption, ReplayDiverged, NodeCancelled.
        """
        limit = seconds(timeout, "timeout") if timeout is not None else None
        return await self._await_it("signal", check_name(name), limit)

    async def run_until(self, policy: Repeat, until: Callable[..., Any], body: Callable[..., Any]) -> Any:
        """Run the body until it is done; each iteration is kept. Raises RepeatExhausted, and what the body raises."""
        self._journal.repeats = True
        for number in range(1, policy.max_iterations + 1):
            if number > 1 and policy.delay:
                await self.sleep(policy.delay)
            key, entry = await self._come_to_it("iteration", "iteration")
            if entry is not None:
                kept = value_of(entry, Wait(key, "iteration"))
            else:
                self.iteration = number
                with self._journal.iteration(number):
                    result = as_kept(await body(self), key)
                    said = until(self, result)
                    done = bool(await said if inspect.isawaitable(said) else said)
                with Family.of_body().busy():
                    kept = await self._keep_it(key, "iteration", {"result": result, "done": done})
            self.previous = kept["result"]
            if kept["done"]:
                return self.previous
        raise RepeatExhausted(count=policy.max_iterations)

    # --- how ---------------------------------------------------------------------------------------

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        raise NotImplementedError

    async def _come_to_it(self, kind: str, name: str) -> tuple[str, Any]:
        self.check_cancelled()
        self._stay_parked()
        # The place first, and nothing awaited before it: calls made together are numbered as they were made.
        key = self._journal.place(kind, name)
        if not self._journal.is_loaded:
            await self._call(patiently, self._journal.load)
        return key, self._journal.find(key, kind)

    def _stay_parked(self) -> None:
        if self._held.waits:
            raise asyncio.CancelledError

    async def _keep_it(self, key: str, kind: str, value: Any) -> Any:
        self._stay_parked()
        try:
            return await self._call(patiently, lambda: self._journal.keep(key, kind, value))
        except Lost:
            self._held.gone = True
            raise asyncio.CancelledError from None

    async def _ask_storage(self, call: Call) -> Any:
        with Family.of_body().busy():
            key, entry = await self._come_to_it(call.kind, call.name)
            if entry is None:
                entry = await self._call(patiently, lambda: call.once(self._held.claim, key))
                if entry is None:
                    self._held.gone = True
                    raise asyncio.CancelledError
                self._journal.note(entry)
            return call.read(value_of(entry, Wait(key, call.kind, call.name)))

    async def _await_it(self, kind: str, name: str, timeout: float | None, about: str | None = None) -> Any:
        family = Family.of_body()
        with family.busy():
            key, entry = await self._come_to_it(kind, name)
        wait = Wait(key, kind, name, timeout, about)
        if entry is None:
            await family.wait_for(wait)
        return value_of(entry, wait)
