"""Which guarded nodes a run comes to, and who follows them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from graphlib import TopologicalSorter

from .graph import Graph, NodeSpec

_PLAIN = ("all_success", "all_done", "none_failed")  # joins that run when all before has succeeded


def sure(graph: Graph) -> frozenset[str]:
    """Return the nodes that a run comes to unless something before them fails: no condition is on their way."""
    found: set[str] = set()
    for id in TopologicalSorter({node.id: node.depends_on for node in graph.nodes.values()}).static_order():
        node = graph.nodes[id]
        plain = node.when is None and node.join in _PLAIN and not graph.is_companion(id)
        if plain and all(parent in found for parent in node.depends_on):
            found.add(id)
    return frozenset(found)


def guarded_from(graph: Graph, nodes: Collection[str]) -> list[NodeSpec]:
    """Return the guarded ones of these nodes and of all that follow them."""
    reached, waiting = set[str](), list(nodes)
    while waiting:
        id = waiting.pop()
        if id not in reached and id in graph.nodes:
            reached.add(id)
            waiting += graph.children[id]
    return [node for node in graph.guarded if node.id in reached]
