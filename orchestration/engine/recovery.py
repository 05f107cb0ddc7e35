"""A final failure -> who may still rescue the node: its fallback, then the first boundary that catches it.

A *rescuer* is a fallback or an error boundary. Its rows say whom they serve (`Key.for_node`): a fallback its primary;
a boundary the node that failed, and a boundary that was called for a boundary's own failure serves the same node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from .graph import Graph
from .states import NodeStatus
from .view import Key, View


def key_of(graph: Graph, node: str) -> Key:
    """Return the key of a node's row that is no boundary's."""
    return Key(node, for_node=graph.primaries.get(node, ""))


Tried = Literal["nobody", "fallback", "boundary", "person"]


def rescuer(graph: Graph, key: Key, types: Sequence[str], tried: Tried = "nobody") -> Key | None:
    """Return the key of who comes next for a node that failed with these types, or None: one boundary is the last."""
    spec = graph.nodes[key.node]
    if tried in ("boundary", "person") or key.node in graph.undos:
        return None
    if spec.fallback is not None and tried == "nobody":
        return Key(spec.fallback, for_node=key.node)
    for boundary in graph.boundaries:
        handles = boundary.handles
        if handles is None or boundary.id == key.node or not handles.catches(types):
            continue
        named = handles.for_nodes is None and not graph.is_rescuer(key.node)
        if named or (handles.for_nodes is not None and key.node in handles.for_nodes):
            served = key.for_node if spec.handles is not None else key.node
            return Key(boundary.id, for_node=served)
    return None


def served(graph: Graph, view: View, key: Key) -> Key | None:
    """Return whom the rescuer's row serves now: a node, a fallback, or a boundary whose own failure it caught."""
    handles = graph.nodes[key.node].handles
    for name in (handles.for_nodes or ()) if handles is not None else ():
        row = view.rows.get(Key(name, for_node=key.for_node))
        if row is not None and row.status is NodeStatus.WAITING and graph.nodes[name].handles is not None:
            return row.key
    return key_of(graph, key.for_node) if key.for_node else None


def concerned(graph: Graph, key: Key) -> Iterator[str]:
    """Yield the nodes whose rows a rescuer's outcome may touch: those it serves, directly or through others."""
    handles = graph.nodes[key.node].handles
    if handles is not None:
        yield from (name for name in handles.for_nodes or () if graph.nodes[name].handles is not None)
    at = key.for_node
    while at:
        yield at
        at = graph.primaries.get(at, "")


def helpers(graph: Graph, node: str) -> Iterator[str]:
    """Yield the nodes that may run for this one: its fallbacks and every boundary."""
    at = graph.nodes[node].fallback
    while at is not None:
        yield at
        at = graph.nodes[at].fallback
    yield from (boundary.id for boundary in graph.boundaries)


def owner(graph: Graph, key: Key) -> str:
    """Return the ordinary node on whose behalf the row exists: the node itself, for one that is no rescuer."""
    node = key.for_node or key.node
    while node in graph.primaries:
        node = graph.primaries[node]
    return node
