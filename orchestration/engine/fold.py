"""Events -> state. The log is complete: folding it gives the rows back (PENDING rows, which nothing has happened to
yet, and claims that have not begun, are not in the log; see `states`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import Igon7Error
from .states import ExecutionStatus, NodeStatus
from .view import Key

N, E = NodeStatus, ExecutionStatus


class BrokenLog(Igon7Error):
    """Event {seq} of the log follows event {before}: the log has a gap."""

    code = "broken_log"
    status = 500


@dataclass(slots=True)
class Folded:
    """What a log says: the execution's status and generation, each node's status and attempt, the last seq."""

    status: ExecutionStatus = E.QUEUED
    generation: int = 1
    seq: int = 0
    nodes: dict[Key, NodeStatus] = field(default_factory=dict)
    attempts: dict[Key, int] = field(default_factory=dict)


_EXECUTION = {
    "execution.queued": E.QUEUED,
    "execution.started": E.RUNNING,
    "execution.paused": E.PAUSED,
    "execution.resumed": E.RUNNING,
    "execution.blocked": E.BLOCKED,
    "execution.cancelling": E.CANCELLING,
    "execution.compensating": E.COMPENSATING,
    "execution.reopened": E.RUNNING,
    "execution.completed": E.SUCCEEDED,
    "execution.failed": E.FAILED,
    "execution.cancelled": E.CANCELLED,
    "execution.terminated": E.TERMINATED,
}
_NODE = {
    "node.ready": N.READY,
    "node.started": N.RUNNING,
    "node.completed": N.SUCCEEDED,
    "node.failed": N.FAILED,
    "node.retrying": N.READY,
    "node.waiting": N.WAITING,
    "node.released": N.READY,
    "node.lost": N.READY,
    "node.attention": N.ATTENTION,
    "node.blocked": N.BLOCKED,
    "node.skipped": N.SKIPPED,
    "node.recovered": N.RECOVERED,
    "node.cancelled": N.CANCELLED,
}


def fold(events: Iterable[Mapping[str, Any]], state: Folded | None = None) -> Folded:
    """Return the state after the events (in the shape the API shows). Raises BrokenLog where a number is missing."""
    state = state or Folded()
    for event in events:
        if event["seq"] != state.seq + 1:
            raise BrokenLog(seq=event["seq"], before=state.seq)
        state.seq = event["seq"]
        _step(state, event)
    return state


def _step(state: Folded, event: Mapping[str, Any]) -> None:
    kind, data = event["type"], event.get("data") or {}
    if kind in _EXECUTION:
        state.status = _EXECUTION[kind]
        state.generation = data.get("generation", state.generation)
    if not event.get("node"):
        return
    index = event.get("index")
    key = Key(event["node"], -1 if index is None else index, data.get("for", ""))
    if kind == "node.reset":
        state.nodes.pop(key, None)
        state.attempts.pop(key, None)
    elif kind in _NODE:
        state.nodes[key] = N(data.get("status", _NODE[kind]))
        if event.get("attempt"):
            state.attempts[key] = event["attempt"]
