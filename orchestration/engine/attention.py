"""What a person decides about a node that has failed for good and whose workflow says to ask: try again, give its
result, skip it, or let it fail. Pure, like `decide`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .errors import IllegalMove
from .follow import brief, give_up, passed, tell_dependents
from .graph import Graph, suggest
from .states import ExecutionStatus, NodeStatus, Outcome
from .view import Command, Emit, End, Hold, Key, Requeue, Row, View

N, E = NodeStatus, ExecutionStatus
About = dict[str, Any]


def attend(
    graph: Graph, view: View, node: str, decision: str, about: About, result: str | None, execution_id: Any
) -> list[Command]:
    """Return what follows from a person's decision; `result` is JSON text, for "supply".

    Raises IllegalMove unless the node needs attention.
    """
    row = view.rows.get(Key(node))
    if row is None or row.status is not N.ATTENTION:
        hint = (
            f'Node "{node}" {_is(row)}.'
            if node in graph.nodes
            else f"There is no such node. {_near(graph, node)}"
        )
        state = f'not asking for a decision about "{node}"'
        raise IllegalMove(id=execution_id, state=state, verb=f"have it {_PAST[decision]}", hint=hint)
    return [*_CHOICES[decision](graph, view, row, {**about, "decision": decision}, result)]


def _is(row: Row | None) -> str:
    return f"is {row.status.value}" if row is not None else "has not been reached"


def _near(graph: Graph, node: str) -> str:
    return suggest(node, graph.nodes)


def _retry(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    yield Requeue(row.key, error=row.error)
    yield Emit("node.ready", row.key, data=about)
    if view.status is E.PAUSED:
        yield Hold(row.key, True)


def _supply(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    yield End(row.key, N.RECOVERED, result=result, error=row.error)
    yield Emit("node.recovered", row.key, row.attempt, about)
    yield from passed(graph, view, row.key, result)


def _skip(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    yield End(row.key, N.SKIPPED, error=row.error)
    yield Emit("node.skipped", row.key, row.attempt, about)
    yield from tell_dependents(graph, view, row.key, skipped=1)


def _fail(graph: Graph, view: View, row: Row, about: About, result: str | None) -> Iterator[Command]:
    error = row.error or {}
    data = {**about, "error": brief(error), "attempts": row.attempt, "outcome": Outcome.FAILED.value}
    yield from give_up(graph, view, row, error, data, "person")


_PAST = {"retry": "retried", "supply": "given a result", "skip": "skipped", "fail": "failed"}
_CHOICES: dict[str, Callable[[Graph, View, Row, About, str | None], Iterator[Command]]] = {
    "retry": _retry,
    "supply": _supply,
    "skip": _skip,
    "fail": _fail,
}
DECISIONS = tuple(_CHOICES)
