"""What a person decides about one node: try again, give its result, skip it, or let it fail. Pure, like `decide`.

All four for a node that has failed for good and whose workflow says to ask; a result or a skip for any that has not
begun, so that the execution goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .errors import IllegalMove
from .follow import brief, give_up, not_needed, passed, tell_dependents
from .graph import Graph, suggest
from .items import again, is_item, to_redo
from .recovery import owner
from .states import ExecutionStatus, NodeStatus, Outcome
from .view import Command, Emit, End, Hold, Key, Move, Requeue, Row, Supersede, View

N, E = NodeStatus, ExecutionStatus
About = dict[str, Any]


def attend(
    graph: Graph, view: View, node: str, decision: str, about: About, result: str | None, execution_id: Any
) -> list[Command]:
    """Return what follows from a person's decision; `result` is JSON text, for "supply". Raises IllegalMove."""
    row = view.rows.get(Key(node))
    if row is None or not _may(row, decision):
        known, near = node in graph.nodes, suggest(node, graph.nodes)
        hint = f'Node "{node}" {_is(row)}.' if known else f"There is no such node. {near}"
        state = f'not asking for a decision about "{node}"'
        raise IllegalMove(id=execution_id, state=state, verb=f"have it {_PAST[decision]}", hint=hint)
    said = [*_CHOICES[decision](graph, view, row, {**about, "decision": decision}, result)]
    return said + ([*_unblocked(view)] if row.status is N.BLOCKED else [])


def check_ended(graph: Graph, view: View, node: str, decision: str, execution_id: Any) -> None:
    """Raise IllegalMove unless an ended execution may be reopened for this decision about the node."""
    row = view.rows.get(Key(node))
    lacks = row is not None and row.status in (N.FAILED, N.UPSTREAM_FAILED, N.CANCELLED)
    if node in graph.nodes and (decision not in ("supply", "skip") or not lacks):
        hint = (
            f'Node "{node}" {_is(row)}. In an execution that has ended, a node that has no result can be skipped or'
            " given one."
        )
        raise IllegalMove(
            id=execution_id, state=view.status.value, verb=f"have it {_PAST[decision]}", hint=hint
        )


def _may(row: Row, decision: str) -> bool:
    """Say whether the decision is possible; a body that is parked can be spared what it waits for."""
    return row.status in _POSSIBLE[decision] or (row.parked and decision in ("supply", "skip"))


def _is(row: Row | None) -> str:
    return f"is {row.status.value}" if row is not None else "has not been reached"


def _unblocked(view: View) -> Iterator[Command]:
    if view.status is E.BLOCKED and view.blocked == 1:
        yield Move(E.RUNNING)
        yield Emit("execution.resumed", data={"reason": "nothing is blocked any more"})


def _retry(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    for key in [
        key
        for key in view.rows
        if key != row.key and owner(graph, key) == row.key.node and not is_item(graph, key)
    ]:
        yield Supersede(key)  # should the node fail again, whoever ran for it runs again
        yield Emit("node.reset", key, data={"generation": view.generation})
    if row.items is not None:
        indices = to_redo(view, row.key.node)
        for item in (Key(row.key.node, index) for index in indices):
            yield Supersede(item)
            yield Emit("node.reset", item, data={"generation": view.generation})
        yield from again(graph, view, row, indices)
        return
    yield Requeue(row.key, error=row.error, anew=True)
    yield Emit("node.ready", row.key, data=about)
    if view.status is E.PAUSED:
        yield Hold(row.key, True)


def _supply(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    yield End(row.key, N.RECOVERED, result=result, error=row.error)
    yield Emit("node.recovered", row.key, row.attempt or None, about)
    if row.status is not N.ATTENTION:
        yield from not_needed(graph, row.key, "was given a result")
    yield from passed(graph, view, row.key, result)


def _skip(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    yield End(row.key, N.SKIPPED, error=row.error)
    yield Emit("node.skipped", row.key, row.attempt or None, about)
    if row.status is not N.ATTENTION:
        yield from not_needed(graph, row.key, "was skipped")
    yield from tell_dependents(graph, view, row.key, skipped=1)


def _fail(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    error = row.error or {}
    data = {**about, "error": brief(error), "attempts": row.attempt, "outcome": Outcome.FAILED.value}
    yield from give_up(graph, view, row, error, data, "person")


_WAITING = frozenset({N.ATTENTION, N.READY, N.BLOCKED, N.PENDING})
_POSSIBLE = {"retry": {N.ATTENTION}, "supply": _WAITING, "skip": _WAITING, "fail": {N.ATTENTION}}
_PAST = {"retry": "retried", "supply": "given a result", "skip": "skipped", "fail": "failed"}
_CHOICES: dict[str, Callable[[Graph, View, Row, About, str | None], Iterator[Command]]] = {
    "retry": _retry,
    "supply": _supply,
    "skip": _skip,
    "fail": _fail,
}
DECISIONS = tuple(_CHOICES)
