"""Columns: every vertex gets a layer to the right of its parents', with short edges."""

from __future__ import annotations

from collections import deque

Adjacency = list[list[int]]

_ROUNDS = 8


def topological_order(parents: Adjacency, children: Adjacency) -> list[int]:
    """Order vertices parents first, earliest declared first; raise ValueError on a cycle."""
    missing = [len(found) for found in parents]
    ready = deque(vertex for vertex, count in enumerate(missing) if count == 0)
    order: list[int] = []
    while ready:
        vertex = ready.popleft()
        order.append(vertex)
        for child in children[vertex]:
            missing[child] -= 1
            if missing[child] == 0:
                ready.append(child)
    if len(order) != len(parents):
        raise ValueError("A graph with a cycle cannot be laid out.")
    return order


def assign_layers(parents: Adjacency, children: Adjacency) -> list[int]:
    """Return each vertex's layer, 0 first: longest path, then tightened both ways."""
    order = topological_order(parents, children)
    layer = [0] * len(order)
    for vertex in order:
        layer[vertex] = max((layer[parent] + 1 for parent in parents[vertex]), default=0)
    for _ in range(_ROUNDS):
        before = list(layer)
        _pull_right(order, parents, children, layer)
        _pull_left(order, parents, children, layer)
        if layer == before:
            break
    first = min(layer, default=0)
    return [each - first for each in layer]


def _pull_right(order: list[int], parents: Adjacency, children: Adjacency, layer: list[int]) -> None:
    # Neutral moves are taken too: that is how a whole chain follows its root to where it is needed.
    for vertex in reversed(order):
        if children[vertex] and len(parents[vertex]) <= len(children[vertex]):
            layer[vertex] = min(layer[child] for child in children[vertex]) - 1


def _pull_left(order: list[int], parents: Adjacency, children: Adjacency, layer: list[int]) -> None:
    for vertex in order:
        if parents[vertex] and len(parents[vertex]) >= len(children[vertex]):
            layer[vertex] = max(layer[parent] for parent in parents[vertex]) + 1
