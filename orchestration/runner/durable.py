"""Durable calls: what a body asks for once, and is given again whenever it is run again.

A body that waits is parked, and runs again from its top once what it waits for is there. What each durable call gave
is in the journal, by the call's name and how many-th of that name it is; so is what a wait was brought.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from django.conf import settings

from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import (
    ApprovalRejected,
    ApprovalTimeout,
    DurableInStep,
    EventTimeout,
    Igon7Error,
    InvalidOption,
    ReplayDiverged,
    SignalTimeout,
)
from orchestration.engine.parking import Wait
from orchestration.store import journal
from orchestration.store.journal import Entry
from security.masking import mask

from .seat import Held

NAME_LIMIT = 200
WAITS = frozenset({"signal", "event", "sleep", "child", "approval"})


class Suspended(BaseException):
    """Raised in a sync body that waits; a BaseException, so that `except Exception` lets it by."""


class Lost(BaseException):
    """Raised in a body whose claim has been taken over, where it would write."""


_step: ContextVar[str] = ContextVar("step", default="")  # whose function runs; tasks made in it are in it


@contextmanager
def inside(step: str) -> Iterator[None]:
    """Run a step's function: what it gives is kept as a whole, so nothing in it may be kept apart, or wait."""
    token = _step.set(step)
    try:
        yield
    finally:
        _step.reset(token)


class Journal:
    """One run of a body, and what its durable calls gave before. Whoever uses it sees to `load` first."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._known = held.journal
        self._counts: Counter[str] = Counter()
        self._reached: set[str] = set()
        self._scope = ""  # what keys of calls begin with, in one of a body's iterations
        self.repeats = False

    @property
    def is_loaded(self) -> bool:
        return self._known is not None

    def load(self) -> None:
        """Read what earlier runs have written."""
        if self._known is None:
            run_id = self._held.claim.run_id
            self._known = journal.read([run_id])[run_id]

    def place(self, kind: str, name: str) -> str:
        """Return the key of the call that comes now. Raises InvalidOption, DurableInStep."""
        if not isinstance(name, str) or not name or len(name) > NAME_LIMIT or "\0" in name:
            expected = f"a text of 1 to {NAME_LIMIT} characters"
            raise InvalidOption(option=f"the name of a {kind}", value=name, expected=expected)
        name = mask(name)
        if step := _step.get():
            raise DurableInStep(kind=kind.capitalize(), name=name, step=step)
        scoped = f"{self._scope}{name}"
        self._counts[scoped] += 1
        return f"{scoped}#{self._counts[scoped]}"

    @contextmanager
    def iteration(self, number: int) -> Iterator[None]:
        """Number what is called in one iteration by itself: those before it do not run again."""
        self._scope = f"[{number}] "
        try:
            yield
            self._check_reached(self._waits.get(self._scope, ()))
        finally:
            self._scope = ""

    def find(self, key: str, kind: str) -> Entry | None:
        """Return what the call gave before. Raises ReplayDiverged when another kind of call was there."""
        assert self._known is not None
        entry = self._known.get(key)
        if entry is None:
            return None
        if entry.kind != kind:
            name, _, number = key.rpartition("#")
            which = f'call {number} of the name "{name}"'
            raise ReplayDiverged(detail=f"{which} was a {entry.kind}, and is a {kind} now.")
        self._reached.add(key)
        return entry

    def keep(self, key: str, kind: str, value: Any) -> Any:
        """Write what a call gave, and return it as a replay will. Raises NotSerialisable, PayloadTooLarge, Lost."""
        text = _dumped(value, kind, key)
        entry = Entry(key, kind, journal.VALUE, text)
        if not journal.keep(self._held.claim, entry):
            raise Lost
        self.note(entry)
        return json.loads(text)

    def note(self, entry: Entry) -> None:
        """Take up an entry that has been written."""
        assert self._known is not None
        self._known[entry.key] = entry
        self._reached.add(entry.key)

    def drop(self, key: str) -> None:
        """Forget an entry that has been taken out: its call is come to anew."""
        assert self._known is not None
        self._known.pop(key, None)

    def check_reached(self) -> None:
        """Raise ReplayDiverged unless the body came to every wait that it was brought something for."""
        if self._known is None and self._held.claim.parked:
            self.load()
        # What an iteration waited for was looked at when it ended.
        self._check_reached(self._waits.get("", ()))

    @cached_property
    def _waits(self) -> dict[str, list[Entry]]:
        """What waits were brought before, by the iteration that they are of."""
        found: dict[str, list[Entry]] = {}
        for entry in (self._known or {}).values():
            if entry.kind in WAITS:
                scoped = self.repeats and entry.key.startswith("[")
                found.setdefault(entry.key.partition(" ")[0] + " " if scoped else "", []).append(entry)
        return found

    def _check_reached(self, waits: Iterable[Entry]) -> None:
        for entry in waits:
            if entry.key not in self._reached:
                name = entry.key.rpartition("#")[0]
                raise ReplayDiverged(detail=f'it waited for {entry.kind} "{name}", and now ends without.')


def as_kept(value: Any, key: str) -> Any:
    """Return what an iteration gave as a replay will. Raises NotSerialisable, PayloadTooLarge."""
    return json.loads(_dumped(value, "iteration", key))


def _dumped(value: Any, kind: str, key: str) -> str:
    return dump_payload(value, f'What {kind} "{key}" gave', settings.IGON7_PAYLOAD_LIMIT)


_LATE: dict[str, type[Igon7Error]] = {
    "signal": SignalTimeout,
    "event": EventTimeout,
    "approval": ApprovalTimeout,
}


def value_of(entry: Entry, wait: Wait) -> Any:
    """Return what a call gave or a wait was brought. Raises SignalTimeout and its kin, ApprovalRejected."""
    if entry.came == journal.TIMEOUT:
        raise _LATE[wait.kind](name=wait.name, timeout=wait.timeout or 0.0)
    value: Any = json.loads(entry.value) if entry.value is not None else None
    if entry.came == journal.REFUSED:
        said = f": {value['comment']}" if value["comment"] else "."
        raise ApprovalRejected(name=wait.name, by=value["by"], comment=said)
    return value


def park(held: Held, waits: Iterable[Wait]) -> None:
    """Note what the body waits for: from here on nothing else counts that it does."""
    held.waits = tuple(waits)
