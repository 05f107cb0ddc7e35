"""Whose turn it is: nodes that run beside each other up to a bound, and those that stand in line for it.

A row that its join has released and that the bound keeps back is PENDING and held; as far as the log is concerned it
is not there yet. Whoever ends hands its place on to the first in line: the bound is kept without counting, whichever
worker runs what, and a place whose worker has died comes back with the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .graph import Graph
from .recovery import concerned
from .states import ExecutionStatus, NodeStatus
from .view import Command, Emit, Key, Queue, Release, Row, View

N, E = NodeStatus, ExecutionStatus


class Places:
    """Counts the places that nodes take which are released together, as all the nodes of one bound are."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._taken = graph, dict[str, int]()

    def release(self, key: Key, *, held: bool = False) -> Iterator[Command]:
        """Release a row whose join says run, or let it stand in line."""
        bound = self._graph.nodes[key.node].bound
        if bound is None or bound.limit is None:
            yield from released(key, held=held)
            return
        taken = self._taken[bound.name] = self._taken.get(bound.name, 0) + 1
        if taken <= bound.limit:
            yield from released(key, held=held)
        else:
            yield Queue(key)


def released(key: Key, *, held: bool = False) -> Iterator[Command]:
    yield Release(key, held=held)
    yield Emit("node.ready", key)


def hand_on(graph: Graph, view: View, ended: Key) -> Iterator[Command]:
    """Release the first in line for the place of a node that ends, if it had one."""
    bound = graph.nodes[ended.node].bound
    if bound is None or bound.limit is None:
        return
    row = view.rows.get(Key(ended.node))
    if row is None or row.status is N.PENDING:
        return
    yield from first_of(view, (Key(name) for name in graph.bounds[bound.name]))


def first_of(view: View, keys: Iterable[Key]) -> Iterator[Command]:
    """Release the first of these that stands in line."""
    first = next((key for key in keys if in_line(view.rows.get(key))), None)
    if first is not None:
        yield from released(first, held=view.status is E.PAUSED)


def in_line(row: Row | None) -> bool:
    """Say whether the row waits for its turn."""
    return row is not None and row.status is N.PENDING and row.held


def lines_of(graph: Graph, key: Key) -> Iterator[tuple[str, ...]]:
    """Yield the nodes of each line in which somebody may come next when this row ends."""
    if not graph.has_lines:
        return
    for name in (key.node, *(concerned(graph, key) if key.for_node else ())):
        spec = graph.nodes[name]
        if spec.bound is not None and spec.bound.limit is not None:
            yield graph.bounds[spec.bound.name]
        elif spec.items is not None and spec.items.concurrency is not None and key.index >= 0:
            yield (name,)
