"""Events in bodies: emitting them, reading the one that started the execution, waiting for others."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from orchestration import executor
from orchestration.engine.codec import dump_payload
from orchestration.engine.durations import Duration, seconds
from orchestration.engine.errors import InvalidOption
from orchestration.engine.grammar import parse
from orchestration.engine.parking import Wait
from orchestration.engine.triggers import check_event_name
from orchestration.store import events
from orchestration.store.events import Kept, NewEvent
from orchestration.store.journal import VALUE, Entry
from security.masking import mask

from .async_calls import AsyncDurableCalls
from .calls import DurableCalls
from .durable import Lost, value_of
from .family import Family
from .patience import patiently
from .seat import Held

KIND = "emit"
Match = str | Mapping[str, Any] | None


def _about(name: str, match: Match, lookback: Duration | None) -> str:
    check_event_name(name)
    if isinstance(match, str):
        parse(match)
    elif match is not None and not (
        isinstance(match, Mapping) and all(isinstance(key, str) for key in match)
    ):
        expected = "a condition such as 'order == 17', or fields and their values"
        raise InvalidOption(option="match", value=match, expected=expected)
    within = seconds(lookback, "lookback") if lookback is not None else None
    given = dict(match) if isinstance(match, Mapping) else match
    return dump_payload({"match": given, "lookback": within}, "What the wait is for", 64 * 1024)


def _new(held: Held, workflow: str, name: str, data: Any, key: str, id: str | None) -> NewEvent:
    """Return the event. Without an id of the body's own, what a call emits is known by the call."""
    sent_id = executor.check_event_id(id) or str(
        uuid.uuid5(held.claim.execution_id, f"{held.claim.run_id} {key}")
    )
    text = dump_payload(data, f'The data of event "{name}"', settings.IGON7_PAYLOAD_LIMIT)
    name, sent_id = mask(name), mask(sent_id)
    source = f"{executor.BY_WORKFLOWS}{quote(workflow)}"
    return NewEvent(name, source, sent_id, text, sender=workflow, node=held.claim.key.node)


def _emit(held: Held, key: str, new: NewEvent) -> tuple[Entry, uuid.UUID | None]:
    entry = Entry(key, KIND, VALUE, json.dumps(new.sent_id))
    try:
        return entry, events.emit(held.claim, entry, new)
    except PermissionError:
        raise Lost from None


def _deliver(id: uuid.UUID | None) -> None:
    """Let the event reach whom it concerns; where that is not to be now, the sweep does it."""
    if id is None:
        return
    try:
        executor.deliver_soon([id])
    except (OperationalError, InterfaceError):
        if not connection.in_atomic_block:
            connection.close()


def _envelope(event: Kept | None, name: str | None) -> dict[str, Any] | None:
    if event is None or name not in (None, event.name):
        return None
    found: dict[str, Any] = json.loads(event.envelope())
    return found


class EventCalls(DurableCalls):
    """Events, for sync bodies."""

    def emit_event(self, name: str, data: Any = None, *, id: str | None = None) -> Any:
        """Send an event to everyone who listens, once however often the body is run; return its id.

        Under an `id` of its own, an event of this workflow is accepted once. Raises NotSerialisable, PayloadTooLarge,
        InvalidOption, ReplayDiverged, NodeCancelled.
        """
        key, entry = self._come_to(KIND, check_event_name(name))
        if entry is not None:
            return str(value_of(entry, Wait(key, KIND, name)))
        self._stay_parked()
        new = _new(self._held, self._graph.name, name, data, key, id)
        try:
            entry, kept = patiently(lambda: _emit(self._held, key, new))
        except Lost:
            self._held.gone = True
            raise
        self._journal.note(entry)
        _deliver(kept)
        return new.sent_id

    def get_event(self, name: str | None = None) -> Any:
        """Return the event that started the execution, {"name", "id", "source", "subject", "time", "data"}.

        None, if it was none, or has another name.
        """
        return _envelope(patiently(lambda: events.starter(self._held.claim.execution_id)), name)

    def wait_for_event(
        self,
        name: str,
        match: Match = None,
        timeout: Duration | None = None,
        lookback: Duration | None = None,
    ) -> Any:
        """Return the first event of this name that matches, and wait for one where there is none.

        `match` is a condition over the event's data ('amount > 100'), or fields and their values ({"order": 17}). What
        has come since the execution began counts, or, with `lookback`, what is at most so old; each event is given to a
        node once. Raises EventTimeout, InvalidCondition, InvalidOption, ReplayDiverged, NodeCancelled.
        """
        limit = seconds(timeout, "timeout") if timeout is not None else None
        return self._await("event", name, limit, _about(name, match, lookback))


class AsyncEventCalls(AsyncDurableCalls):
    """Events, for async bodies."""

    async def emit_event(self, name: str, data: Any = None, *, id: str | None = None) -> str:
        """Send an event to everyone who listens, once however often the body is run; return its id.

        Under an `id` of its own, an event of this workflow is accepted once. Raises NotSerialisable, PayloadTooLarge,
        InvalidOption, ReplayDiverged, NodeCancelled.
        """
        with Family.of_body().busy():
            key, entry = await self._come_to_it(KIND, check_event_name(name))
            if entry is not None:
                return str(value_of(entry, Wait(key, KIND, name)))
            new = _new(self._held, self._graph.name, name, data, key, id)
            try:
                entry, kept = await self._call(patiently, lambda: _emit(self._held, key, new))
            except Lost:
                self._held.gone = True
                raise asyncio.CancelledError from None
            self._journal.note(entry)
            await self._call(_deliver, kept)
            return new.sent_id

    async def get_event(self, name: str | None = None) -> dict[str, Any] | None:
        """Return the event that started the execution, {"name", "id", "source", "subject", "time", "data"}.

        None, if it was none, or has another name.
        """
        return _envelope(await self._call(events.starter, self._held.claim.execution_id), name)

    async def wait_for_event(
        self,
        name: str,
        match: Match = None,
        timeout: Duration | None = None,
        lookback: Duration | None = None,
    ) -> Any:
        """Return the first event of this name that matches, and wait for one where there is none.

        `match` is a condition over the event's data ('amount > 100'), or fields and their values ({"order": 17}). What
        has come since the execution began counts, or, with `lookback`, what is at most so old; each event is given to a
        node once. Raises EventTimeout, InvalidCondition, InvalidOption, ReplayDiverged, NodeCancelled.
        """
        limit = seconds(timeout, "timeout") if timeout is not None else None
        return await self._await_it("event", name, limit, _about(name, match, lookback))
