"""A body that waits: its row is parked, and nobody has it, until what it waits for is there. Pure, like `decide`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .states import ExecutionStatus, NodeStatus
from .view import Command, Emit, End, Hold, Key, Park, Requeue, Row, View

N, E = NodeStatus, ExecutionStatus


@dataclass(frozen=True, slots=True)
class Wait:
    """What a body waits for: `key` is its place in the journal; `timeout` is seconds from when it began to wait."""

    key: str
    kind: str  # signal, event, sleep, child, approval
    name: str = ""
    timeout: float | None = None
    about: str | None = None  # JSON text: what else tells which one it is, such as an event's match
    count: int | None = None  # of children

    def told(self) -> dict[str, Any]:
        """Return it as the log tells it."""
        said: dict[str, Any] = {"kind": self.kind, "name": self.name, "timeout": self.timeout}
        said["count"] = self.count
        return {name: value for name, value in said.items() if value not in (None, "")}


def suspend(
    view: View, row: Row, waits: Sequence[Wait], woken: str, duration: float | None
) -> Iterator[Command]:
    """Park the row; or, where something that it waits for is there already, let it go on at once."""
    if view.status is E.CANCELLING:
        yield End(row.key, N.CANCELLED)
        yield Emit("node.cancelled", row.key, row.attempt or None)
        return
    yield Park(row.key)
    data = {"waits": [wait.told() for wait in waits], "duration": duration}
    yield Emit("node.waiting", row.key, row.attempt, data)
    if woken:
        yield from wake(view, row.key, woken)


def wake(view: View, key: Key, reason: str, about: Mapping[str, Any] | None = None) -> Iterator[Command]:
    """Let a parked row go on: its body runs again from the top, in the same attempt."""
    yield Requeue(key, refund=True, woken=True)
    yield Emit("node.ready", key, data={"reason": reason, **(about or {})})
    if view.status is E.PAUSED:
        yield Hold(key, True)
