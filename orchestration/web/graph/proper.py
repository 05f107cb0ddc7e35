"""The proper graph: long edges are cut by dummies so that every segment joins neighbouring layers.

Long edges that leave one vertex (or enter one) share their dummies: they run as one line and part
where they must. It reads better, and it keeps the number of dummies small.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from .layers import Adjacency


@dataclass(slots=True)
class ProperGraph:
    """Vertices 0…real-1 are the given ones, the rest dummies; `routes` lists each edge's dummies."""

    real: int
    layer: list[int]
    up: Adjacency
    down: Adjacency
    routes: list[list[int]] = field(default_factory=list)

    @property
    def layers(self) -> Adjacency:
        """Return the vertices of each layer."""
        rows: Adjacency = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for vertex, layer in enumerate(self.layer):
            rows[layer].append(vertex)
        return rows


def make_proper(edges: Sequence[tuple[int, int]], layer: Sequence[int]) -> ProperGraph:
    """Cut the long edges."""
    graph = ProperGraph(len(layer), list(layer), [[] for _ in layer], [[] for _ in layer])
    leaving, entering = _long_degrees(edges, layer)
    shared: dict[tuple[bool, int, int], int] = {}
    segments: set[tuple[int, int]] = set()
    for parent, child in edges:
        by_parent = leaving[parent] >= entering[child]
        owner = parent if by_parent else child
        route = [
            _dummy(graph, shared, (by_parent, owner, each)) for each in range(layer[parent] + 1, layer[child])
        ]
        graph.routes.append(route)
        _connect(graph, segments, [parent, *route, child])
    return graph


def _long_degrees(edges: Sequence[tuple[int, int]], layer: Sequence[int]) -> tuple[list[int], list[int]]:
    leaving, entering = [0] * len(layer), [0] * len(layer)
    for parent, child in edges:
        if layer[child] - layer[parent] > 1:
            leaving[parent] += 1
            entering[child] += 1
    return leaving, entering


def _dummy(graph: ProperGraph, shared: dict[tuple[bool, int, int], int], key: tuple[bool, int, int]) -> int:
    if key not in shared:
        shared[key] = len(graph.layer)
        graph.layer.append(key[2])
        graph.up.append([])
        graph.down.append([])
    return shared[key]


def _connect(graph: ProperGraph, segments: set[tuple[int, int]], path: list[int]) -> None:
    for upper, lower in itertools.pairwise(path):
        if (upper, lower) not in segments:
            segments.add((upper, lower))
            graph.down[upper].append(lower)
            graph.up[lower].append(upper)
