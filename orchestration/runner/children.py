"""`ctx.run_child` and its kin: a body starts executions, and waits for what they give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.conf import settings

from orchestration import executor
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import ChildFailed, InvalidOption, NodeCancelled, PayloadTooLarge
from orchestration.engine.parking import Wait
from orchestration.engine.shipped import check_closing
from orchestration.engine.states import ExecutionStatus
from orchestration.executor.children import Wanted
from orchestration.store import children, journal
from orchestration.store.children import Call, Ended
from orchestration.store.journal import Entry
from security.principals import Principal

from .async_calls import AsyncDurableCalls
from .calls import DurableCalls
from .durable import Journal, Lost, Suspended, park
from .family import Family
from .patience import patiently
from .seat import Held

T = TypeVar("T")
MOST = 10_000  # children of one call
LARGEST = 16  # payloads that the results of one call may be together
_ENDED = {"failed": "failed", "cancelled": "was cancelled", "terminated": "was terminated"}


@dataclass(frozen=True, slots=True)
class Ask:
    """What a call asks for."""

    name: str
    wanted: Wanted
    on_close: str
    kind: str = "child"
    mixed: bool = False  # of several workflows

    def wait(self, key: str) -> Wait:
        """Return what the body waits for until they have ended."""
        return Wait(key, "child", "" if self.mixed else self.name, count=len(self.wanted))


def _ask(wanted: Iterable[Any], on_close: Any, kind: str = "child") -> Ask:
    """Return what is asked for. Raises InvalidOption."""
    pairs = [_pair(each) for each in wanted]
    if len(pairs) > MOST:
        raise InvalidOption(option="children", value=f"{len(pairs):,} pairs", expected=f"at most {MOST:,}")
    check_closing("on_parent_close", on_close)
    names = list(dict.fromkeys(each if isinstance(each, str) else each.name for each, _ in pairs))
    mixed = len(names) != 1
    return Ask("children" if mixed else names[0], pairs, on_close, kind, mixed)


def _pair(given: Any) -> tuple[str | Workflow, Any]:
    if isinstance(given, (tuple, list)) and len(given) == 2 and isinstance(given[0], (str, Workflow)):
        return given[0], given[1]
    raise InvalidOption(option="a child", value=given, expected="a pair (workflow, input)")


def _come(
    held: Held, journal_: Journal, ask: Ask, key: str, entry: Entry | None, principal: Principal
) -> list[Ended] | None:
    """Return how the children of a call ended, or start those that are missing and return None: they are waited for.

    A call that an earlier attempt was told a failure of is come to anew: those that did not succeed are started again.
    """
    failed_before = (
        entry is not None and entry.came == journal.REFUSED and entry.value != str(held.claim.attempt)
    )
    if entry is not None and not failed_before:
        return _read(held, key, ask)
    if failed_before:
        children.begin_again(Call(held.claim, key, ask.kind, ask.name, ask.on_close, 0))
        journal_.drop(key)
    _start(held, ask, key, principal)
    return None


def _start(held: Held, ask: Ask, key: str, principal: Principal) -> children.Started:
    said = executor.start_children(
        held.claim, key, ask.kind, ask.name, ask.wanted, on_close=ask.on_close, principal=principal
    )
    if said is None:
        raise Lost
    started, status = said
    if status is ExecutionStatus.CANCELLING and len(started) < len(ask.wanted):
        held.cancelled = True
        raise NodeCancelled(reason="")
    return started


def _read(held: Held, key: str, ask: Ask) -> list[Ended]:
    limit = LARGEST * settings.IGON7_PAYLOAD_LIMIT
    found = children.results(held.claim.run_id, key, limit)
    if isinstance(found, int):
        what = f"What {len(ask.wanted):,} children gave together"
        raise PayloadTooLarge(what=what, size=found, limit=limit)
    return found


def _value(ended: Ended) -> Any:
    """Return what the child gave, or the error that says how it ended instead."""
    if ended.status == ExecutionStatus.SUCCEEDED:
        return json.loads(ended.output) if ended.output is not None else None
    error = json.loads(ended.error) if ended.error else None
    why = f": {error.get('type', '')}: {error.get('message', '')}" if error else "."
    about: dict[str, Any] = {
        "id": str(ended.id),
        "workflow": ended.workflow,
        "ended": ended.status,
        "error": error,
    }
    return ChildFailed(**about, said=_ENDED.get(ended.status, ended.status) + why)


def _values(found: Sequence[Ended], return_exceptions: bool) -> list[Any]:
    values = [_value(each) for each in found]
    failed = next((value for value in values if isinstance(value, ChildFailed)), None)
    if failed is not None and not return_exceptions:
        raise failed
    return values


class ChildCalls(DurableCalls):
    """Children, for sync bodies."""

    @property
    def principal(self) -> Principal:
        raise NotImplementedError

    def run_child(
        self, workflow: str | Workflow, input: Any = None, *, on_parent_close: str = "cancel"
    ) -> Any:
        """Start an execution, wait for its end and return its output.

        It acts for whom this one acts, and is cancelled when this one ends before it (or terminated, or left alone:
        `on_parent_close="terminate"`, `"abandon"`). The next attempt at this node starts a child that failed anew.
        Raises ChildFailed, ChildTooDeep, ReplayDiverged, NodeCancelled, and what `executor.start` raises.
        """
        return _values(self._children(_ask([(workflow, input)], on_parent_close)), False)[0]

    def run_children(
        self, children: Iterable[Any], *, on_parent_close: str = "cancel", return_exceptions: bool = False
    ) -> list[Any]:
        """Start an execution for each pair (workflow, input), wait for all and return their outputs in that order.

        Where some fail, the first one's ChildFailed is raised once all have ended; with `return_exceptions`, they
        stand in the place of the outputs. Raises what `run_child` raises, and PayloadTooLarge.
        """
        ask = _ask(children, on_parent_close)
        return _values(self._children(ask), return_exceptions) if ask.wanted else []

    def start_child(
        self, workflow: str | Workflow, input: Any = None, *, on_parent_close: str = "abandon"
    ) -> str:
        """Start an execution and return its id, without waiting for it.

        It goes on when this one ends, unless `on_parent_close` is "cancel" or "terminate". Raises what `run_child`
        raises but for ChildFailed.
        """
        ask = _ask([(workflow, input)], on_parent_close, "start_child")
        key, entry = self._come_to(ask.kind, ask.name)
        if entry is not None:
            return str(json.loads(entry.value or "null"))
        principal = self.principal
        return self._or_lost(lambda: _start_one(self._held, self._journal, ask, key, principal))

    def _children(self, ask: Ask) -> list[Ended]:
        key, entry = self._come_to(ask.kind, ask.name)
        principal = self.principal
        found = self._or_lost(lambda: _come(self._held, self._journal, ask, key, entry, principal))
        if found is None:
            park(self._held, [ask.wait(key)])
            raise Suspended
        return found

    def _or_lost(self, come: Callable[[], T]) -> T:
        try:
            return patiently(come)
        except Lost:
            self._held.gone = True
            raise


def _start_one(held: Held, journal_: Journal, ask: Ask, key: str, principal: Principal) -> str:
    id = str(_start(held, ask, key, principal)[0])
    journal_.note(Entry(key, ask.kind, journal.VALUE, json.dumps(id)))
    return id


class AsyncChildCalls(AsyncDurableCalls, ChildCalls):
    """Children, for async bodies."""

    async def run_child(
        self, workflow: str | Workflow, input: Any = None, *, on_parent_close: str = "cancel"
    ) -> Any:
        """Start an execution, wait for its end and return its output; see `ChildCalls.run_child`.

        Raises ChildFailed, ChildTooDeep, ReplayDiverged, NodeCancelled, and what `executor.start` raises.
        """
        return _values(await self._children_of(_ask([(workflow, input)], on_parent_close)), False)[0]

    async def run_children(  # type: ignore[override]
        self, children: Iterable[Any], *, on_parent_close: str = "cancel", return_exceptions: bool = False
    ) -> list[Any]:
        """Start an execution for each pair (workflow, input), wait for all and return their outputs in that order.

        Raises what `run_child` raises, and PayloadTooLarge.
        """
        ask = _ask(children, on_parent_close)
        return _values(await self._children_of(ask), return_exceptions) if ask.wanted else []

    async def start_child(  # type: ignore[override]
        self, workflow: str | Workflow, input: Any = None, *, on_parent_close: str = "abandon"
    ) -> str:
        """Start an execution and return its id, without waiting for it.

        Raises what `run_child` raises but for ChildFailed.
        """
        ask = _ask([(workflow, input)], on_parent_close, "start_child")
        with Family.of_body().busy():
            key, entry = await self._come_to_it(ask.kind, ask.name)
            if entry is not None:
                return str(json.loads(entry.value or "null"))
            return await self._call_or_lost(_start_one, self._held, self._journal, ask, key, self.principal)

    async def _call_or_lost(self, function: Callable[..., T], *args: Any) -> T:
        try:
            return await self._call(patiently, partial(function, *args))
        except Lost:
            self._held.gone = True
            raise asyncio.CancelledError from None

    async def _children_of(self, ask: Ask) -> list[Ended]:
        family = Family.of_body()
        with family.busy():
            key, entry = await self._come_to_it(ask.kind, ask.name)
            found = await self._call_or_lost(
                _come, self._held, self._journal, ask, key, entry, self.principal
            )
        if found is None:
            await family.wait_for(ask.wait(key))
        return list(found or ())
