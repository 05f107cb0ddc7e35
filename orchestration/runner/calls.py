"""The durable calls of `ctx`, for sync bodies."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from orchestration.engine.durations import Duration, seconds
from orchestration.engine.errors import NotInTransaction, RepeatExhausted
from orchestration.engine.graph import Graph, NodeSpec
from orchestration.engine.parking import Wait
from orchestration.engine.policies import Repeat
from orchestration.engine.signals import check_name

from .durable import Journal, Lost, Suspended, as_kept, inside, park, value_of
from .patience import patiently
from .seat import Held
from .storage import Call, Storage

# What takes no execution's lock, and waits for nothing. (Calls of the storage need no journal there.)
IN_TRANSACTION = frozenset({"step", "emit", "audit"})


class DurableCalls:
    """What a body asks for once. Each call is known by its name and by how many-th of that name it is in a run."""

    _held: Held
    iteration = 1  # which run of a repeated body it is
    previous: Any = None  # what the one before gave
    _graph: Graph
    _spec: NodeSpec

    @cached_property
    def storage(self) -> Storage:
        """Values that bodies share."""
        return Storage(self._held.claim, self._graph.name, self._ask_storage)

    @cached_property
    def _journal(self) -> Journal:
        return Journal(self._held)

    def check_cancelled(self) -> Any:
        raise NotImplementedError

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the function, once: on a replay its result is given again, as plain JSON.

        What it raises is raised, and not kept: the next attempt calls it again. It may not wait, nor keep something
        by itself: DurableInStep. Raises NotSerialisable, PayloadTooLarge, InvalidOption, ReplayDiverged, NodeCancelled.
        """
        key, entry = self._come_to("step", name)
        if entry is not None:
            return value_of(entry, Wait(key, "step", name))
        with inside(name):
            value = function(*args, **kwargs)
        return self._keep(key, "step", value)

    def sleep(self, duration: Duration) -> None:
        """Wait for so long, without a worker. Raises InvalidOption, ReplayDiverged, NodeCancelled."""
        self._await("sleep", "sleep", seconds(duration, "sleep"))

    def wait_for_signal(self, name: str, timeout: Duration | None = None) -> Any:
        """Return the payload of the oldest unread signal of this name, and wait for one where there is none.

        Raises SignalTimeout, InvalidOption, ReplayDiverged, NodeCancelled.
        """
        limit = seconds(timeout, "timeout") if timeout is not None else None
        return self._await("signal", check_name(name), limit)

    def run_until(self, policy: Repeat, until: Callable[..., Any], body: Callable[..., Any]) -> Any:
        """Run the body until it is done; each iteration is kept. Raises RepeatExhausted, and what the body raises."""
        self._journal.repeats = True
        for number in range(1, policy.max_iterations + 1):
            if number > 1 and policy.delay:
                self.sleep(policy.delay)
            key, entry = self._come_to("iteration", "iteration")
            if entry is not None:
                kept = value_of(entry, Wait(key, "iteration"))
            else:
                self.iteration = number
                with self._journal.iteration(number):
                    result = as_kept(body(self), key)
                    done = bool(until(self, result))
                kept = self._keep(key, "iteration", {"result": result, "done": done})
            self.previous = kept["result"]
            if kept["done"]:
                return self.previous
        raise RepeatExhausted(count=policy.max_iterations)

    def check_reached(self) -> None:
        """Raise ReplayDiverged unless the body, which has ended, came to everything that it was brought."""
        if "_journal" in self.__dict__ or self._held.claim.parked:
            patiently(self._journal.check_reached)

    # --- how ---------------------------------------------------------------------------------------

    def _come_to(self, kind: str, name: str) -> tuple[str, Any]:
        if self._spec.transactional and kind not in IN_TRANSACTION:
            raise NotInTransaction(kind=kind.replace("_", " ").capitalize(), name=name)
        self.check_cancelled()
        self._stay_parked()
        patiently(self._journal.load)
        key = self._journal.place(kind, name)
        return key, self._journal.find(key, kind)

    def _stay_parked(self) -> None:
        """Let a body that has swallowed its own suspension do nothing more."""
        if self._held.waits:
            raise Suspended

    def _keep(self, key: str, kind: str, value: Any) -> Any:
        self._stay_parked()
        try:
            return patiently(lambda: self._journal.keep(key, kind, value))
        except Lost:
            self._held.gone = True
            raise

    def _ask_storage(self, call: Call) -> Any:
        if self._spec.transactional:
            self.check_cancelled()
            return call.read(json.loads(call.joined()))
        key, entry = self._come_to(call.kind, call.name)
        if entry is None:
            entry = patiently(lambda: call.once(self._held.claim, key))
            if entry is None:
                self._held.gone = True
                raise Lost
            self._journal.note(entry)
        return call.read(value_of(entry, Wait(key, call.kind, call.name)))

    def _await(self, kind: str, name: str, timeout: float | None, about: str | None = None) -> Any:
        key, entry = self._come_to(kind, name)
        wait = Wait(key, kind, name, timeout, about)
        if entry is None:
            park(self._held, [wait])
            raise Suspended
        return value_of(entry, wait)
