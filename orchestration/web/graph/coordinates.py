"""Heights: Brandes and Köpf's assignment. Chains come out straight, fans symmetrical.

Four extreme assignments (aligned to the parents or the children, packed to the top or the bottom)
each keep the order and the distances; so does the mean of their two middle values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from .layers import Adjacency
from .proper import ProperGraph

Gap = Callable[[int, int], float]


def assign_centres(graph: ProperGraph, layers: Adjacency, gap: Gap) -> list[float]:
    """Return each vertex's centre; `gap(a, b)` is the least distance of two neighbours' centres."""
    conflicts = _conflicts(graph, layers)
    found: list[tuple[bool, list[float]]] = []
    for from_parents in (True, False):
        for to_top in (True, False):
            rows = layers if from_parents else layers[::-1]
            rows = rows if to_top else [row[::-1] for row in rows]
            root = _align(rows, graph.up if from_parents else graph.down, conflicts)
            centres = _compact(rows, root, gap)
            found.append((to_top, centres if to_top else [-each for each in centres]))
    return _balance(found)


def _conflicts(graph: ProperGraph, layers: Adjacency) -> set[tuple[int, int]]:
    """Return the segments that cross one between two dummies: that one stays straight, not they."""
    marked: set[tuple[int, int]] = set()
    for upper, lower in itertools.pairwise(layers):
        position = {vertex: index for index, vertex in enumerate(upper)}
        scanned = start = 0
        for index, vertex in enumerate(lower):
            inner = _inner_parent(graph, vertex)
            if inner is None and index < len(lower) - 1:
                continue
            end = len(upper) if inner is None else position[inner]
            for below in lower[scanned : index + 1]:
                for above in graph.up[below]:
                    outside = position[above] < start or position[above] > end
                    if outside and not (above >= graph.real and below >= graph.real):
                        marked.add((above, below))
            scanned, start = index + 1, end
    return marked


def _inner_parent(graph: ProperGraph, vertex: int) -> int | None:
    if vertex < graph.real:
        return None
    return next((parent for parent in graph.up[vertex] if parent >= graph.real), None)


def _align(rows: Adjacency, neighbours: Adjacency, conflicts: set[tuple[int, int]]) -> list[int]:
    """Join each vertex with a median neighbour into blocks that never cross; return each one's root."""
    size = len(neighbours)
    root, align = list(range(size)), list(range(size))
    for fixed, row in itertools.pairwise(rows):
        position = {vertex: index for index, vertex in enumerate(fixed)}
        reached = -1
        for vertex in row:
            near = sorted(neighbours[vertex], key=position.__getitem__)
            for middle in range((len(near) - 1) // 2, len(near) // 2 + 1) if near else ():
                other = near[middle]
                crossing = (other, vertex) in conflicts or (vertex, other) in conflicts
                if align[vertex] == vertex and reached < position[other] and not crossing:
                    align[other] = vertex
                    root[vertex] = root[other]
                    align[vertex] = root[vertex]
                    reached = position[other]
    return root


def _compact(rows: Adjacency, root: Sequence[int], gap: Gap) -> list[float]:
    """Place the blocks as near to the top as they go, then close the holes beneath them."""
    after: dict[int, dict[int, float]] = {root[vertex]: {} for row in rows for vertex in row}
    before: dict[int, dict[int, float]] = {block: {} for block in after}
    for row in rows:
        for above, below in itertools.pairwise(row):
            first, second = root[above], root[below]
            least = max(gap(above, below), after[first].get(second, 0))
            after[first][second] = before[second][first] = least
    order = _block_order(before, after)
    centre: dict[int, float] = {}
    for block in order:
        centre[block] = max((centre[each] + least for each, least in before[block].items()), default=0)
    for block in reversed(order):
        if after[block]:
            room = min(centre[each] - least for each, least in after[block].items())
            centre[block] = max(centre[block], room)
    return [centre[each] for each in root]


def _block_order(before: dict[int, dict[int, float]], after: dict[int, dict[int, float]]) -> list[int]:
    missing = {block: len(found) for block, found in before.items()}
    order = [block for block, count in missing.items() if count == 0]
    for block in order:  # grows while it is read
        for each in after[block]:
            missing[each] -= 1
            if missing[each] == 0:
                order.append(each)
    return order


def _balance(found: list[tuple[bool, list[float]]]) -> list[float]:
    """Line the four assignments up with the narrowest and take the mean of the two middle values."""
    if not found[0][1]:
        return []
    narrow = min((centres for _, centres in found), key=lambda centres: max(centres) - min(centres))
    low, high = min(narrow), max(narrow)
    moved = []
    for to_top, centres in found:
        shift = low - min(centres) if to_top else high - max(centres)
        moved.append([each + shift for each in centres])
    middles = (sorted(values)[1:3] for values in zip(*moved, strict=True))
    return [(first + second) / 2 for first, second in middles]
