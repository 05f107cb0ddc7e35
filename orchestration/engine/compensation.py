"""An execution that has failed, or is cancelled with rollback -> the undos of what succeeded, last begun first.

They run one after the other: all are born PENDING, and each releases the next. One that fails for good leaves the rest
as they are, and the execution has failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .graph import Graph
from .states import EXECUTION_TERMINAL, ExecutionStatus, NodeStatus
from .view import Birth, Command, Emit, End, Key, Leave, Move, Release, View

N, E = NodeStatus, ExecutionStatus
SHOWN = 100  # nodes that an event names


def is_due(graph: Graph, view: View) -> bool:
    """Say whether the execution would end now, and undoes first what succeeded."""
    if not graph.undos or view.open or view.status in EXECUTION_TERMINAL or view.status is E.COMPENSATING:
        return False
    cancelled = view.status is E.CANCELLING and not view.doomed
    return view.rollback or (bool(view.failures) and not cancelled)


def undo_of(graph: Graph, key: Key) -> Key:
    """Return the key of the row that undoes what this row did."""
    undo = graph.nodes[key.node].compensate
    assert undo is not None, key
    return Key(undo, key.index, key.for_node or key.node)


def undone_by(graph: Graph, key: Key) -> Key:
    """Return the key of the row that an undo's row undoes."""
    node = graph.undos[key.node]
    return Key(node, key.index, key.for_node if graph.is_rescuer(node) else "")


def compensate(graph: Graph, succeeded: Sequence[Key]) -> list[Command]:
    """Return what undoes these rows, the last begun first; nothing where nothing is to be undone."""
    if not succeeded:
        return []
    undos = [undo_of(graph, key) for key in succeeded]
    data = {"undo": [key.node for key in succeeded[:SHOWN]], "count": len(succeeded)}
    return [
        Move(E.COMPENSATING),
        Emit("execution.compensating", data=data),
        *(Birth(key) for key in undos),
        *_release(undos[0]),
    ]


def go_on(graph: Graph, view: View, ended: Key) -> list[Command]:
    """Return what follows from an undo's end. The view holds those still to come (all, after a failure), in order."""
    left = [row.key for row in view.rows.values() if row.key.node in graph.undos and row.status is N.PENDING]
    if view.rows[ended].status is N.SUCCEEDED:
        return [*_release(left[0])] if left else []
    return [*_leave(graph, [ended, *left])]


def _release(key: Key) -> Iterator[Command]:
    yield Release(key)
    yield Emit("node.ready", key)


def _leave(graph: Graph, undos: list[Key]) -> Iterator[Command]:
    for key in undos[1:]:
        yield End(key, N.CANCELLED)
        yield Emit("node.cancelled", key, data={"reason": "an undo before it failed"})
    names = tuple(graph.undos[key.node] for key in undos[:SHOWN])
    yield Leave(names, len(undos))
