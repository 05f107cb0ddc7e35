"""Heights for tangled graphs, where alignment alone stretches the picture: neighbours pull each other.

Each layer in turn moves to where its neighbours' mean wants it, as nearly as order and distances allow:
an isotonic regression, so one pass over the layer is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from .coordinates import Gap
from .layers import Adjacency
from .proper import ProperGraph

_STIFF = 8.0  # a segment between two dummies resists bending this much more
_BUDGET = 400_000  # vertices moved


def relax(graph: ProperGraph, layers: Adjacency, gap: Gap, centres: Sequence[float]) -> list[float]:
    """Return the centres after some sweeps to the right and back; order and distances are kept."""
    moved = list(centres)
    sweeps = max(2, min(24, _BUDGET // max(1, len(moved))))
    for sweep in range(sweeps):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _settle(graph, layer, gap, moved)
    return moved


def _settle(graph: ProperGraph, layer: list[int], gap: Gap, centres: list[float]) -> None:
    offsets = [0.0, *accumulate(gap(a, b) for a, b in pairwise(layer))]
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many vertices share it
    for vertex, offset in zip(layer, offsets, strict=True):
        mean, weight = _wish(graph, vertex, centres)
        mean, count = mean - offset, 1
        while pools and pools[-1][0] > mean:
            other, more, members = pools.pop()
            mean = (mean * weight + other * more) / (weight + more)
            weight, count = weight + more, count + members
        pools.append((mean, weight, count))
    places = iter(zip(layer, offsets, strict=True))
    for mean, _, count in pools:
        for _ in range(count):
            vertex, offset = next(places)
            centres[vertex] = mean + offset


def _wish(graph: ProperGraph, vertex: int, centres: Sequence[float]) -> tuple[float, float]:
    """Return the weighted mean of the neighbours' centres, and the weight."""
    total = weight = 0.0
    for side in (graph.up, graph.down):
        for other in side[vertex]:
            pull = _STIFF if vertex >= graph.real and other >= graph.real else 1.0
            total += pull * centres[other]
            weight += pull
    return (total / weight, weight) if weight else (centres[vertex], 1.0)
