"""Rows: the order inside each layer that crosses few edges (barycenter sweeps, then transposition).

Work is bounded by the size of the graph, so a big one gets fewer sweeps, never a long wait.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort

from .layers import Adjacency
from .proper import ProperGraph

_SWEEPS = 24
_PATIENCE = 4
_BUDGET = 60_000  # vertices and segments looked at, over all sweeps


def order_layers(graph: ProperGraph) -> Adjacency:
    """Return the vertices of each layer, top first."""
    layers = _by_depth_first(graph)
    size = len(graph.layer) + sum(map(len, graph.down))
    best, fewest, idle = layers, count_crossings(graph, layers), 0
    for sweep in range(max(4, min(_SWEEPS, _BUDGET // max(1, size)))):
        if fewest == 0 or idle == _PATIENCE:
            break
        layers = [list(layer) for layer in layers]
        _sweep(graph, layers, downwards=sweep % 2 == 0, reverse_ties=sweep % 4 >= 2)
        crossings = count_crossings(graph, layers)
        idle = 0 if crossings < fewest else idle + 1
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    if fewest and size <= _BUDGET // 8:
        _transpose(graph, best)
    return best


def count_crossings(graph: ProperGraph, layers: Adjacency) -> int:
    """Count the pairs of segments that cross."""
    total = 0
    for upper, lower in itertools.pairwise(layers):
        position = {vertex: index for index, vertex in enumerate(lower)}
        seen: list[int] = []
        for vertex in upper:
            ends = [position[child] for child in graph.down[vertex]]
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _by_depth_first(graph: ProperGraph) -> Adjacency:
    """Walk from the first declared vertices, so that a branch's vertices start side by side."""
    layers: Adjacency = [[] for _ in graph.layers]
    seen = [False] * len(graph.layer)
    for start in sorted(range(len(graph.layer)), key=lambda vertex: graph.layer[vertex]):
        stack = [start]
        while stack:
            vertex = stack.pop()
            if not seen[vertex]:
                seen[vertex] = True
                layers[graph.layer[vertex]].append(vertex)
                stack.extend(reversed(graph.down[vertex]))
    return layers


def _sweep(graph: ProperGraph, layers: Adjacency, *, downwards: bool, reverse_ties: bool) -> None:
    neighbours = graph.up if downwards else graph.down
    indexes = range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1)
    for index in indexes:
        fixed = layers[index - 1 if downwards else index + 1]
        position = {vertex: place for place, vertex in enumerate(fixed)}
        layers[index] = _by_barycenter(layers[index], neighbours, position, reverse_ties)


def _by_barycenter(
    layer: list[int], neighbours: Adjacency, position: dict[int, int], reverse_ties: bool
) -> list[int]:
    """Sort the vertices that have neighbours; the others keep their places."""
    weight = {
        vertex: sum(position[each] for each in neighbours[vertex]) / len(neighbours[vertex])
        for vertex in layer
        if neighbours[vertex]
    }
    movable = [vertex for vertex in layer if vertex in weight]
    if reverse_ties:
        movable.reverse()
    ranked = iter(sorted(movable, key=weight.__getitem__))
    return [next(ranked) if vertex in weight else vertex for vertex in layer]


def _transpose(graph: ProperGraph, layers: Adjacency) -> None:
    """Swap neighbours while that removes crossings, at most a few rounds."""
    position = {vertex: place for layer in layers for place, vertex in enumerate(layer)}
    for _ in range(_PATIENCE):
        swapped = [_transpose_layer(graph, layer, position) for layer in layers]
        if not any(swapped):
            return


def _transpose_layer(graph: ProperGraph, layer: list[int], position: dict[int, int]) -> bool:
    swapped = False
    ends = {
        vertex: [sorted(position[each] for each in side[vertex]) for side in (graph.up, graph.down)]
        for vertex in layer
    }
    for place in range(len(layer) - 1):
        first, second = layer[place], layer[place + 1]
        gain = sum(_crossed(a, b) - _crossed(b, a) for a, b in zip(ends[first], ends[second], strict=True))
        if gain > 0:
            layer[place], layer[place + 1] = second, first
            position[first], position[second] = place + 1, place
            swapped = True
    return swapped


def _crossed(left: list[int], right: list[int]) -> int:
    """Count the pairs that cross when `left`'s vertex stands above `right`'s; both sorted."""
    total = place = 0
    for end in left:
        while place < len(right) and right[place] < end:
            place += 1
        total += place
    return total
