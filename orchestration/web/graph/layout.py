"""The layout, put together: items, components, layers, order, heights, columns, edges."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .cards import Item, cells_of, make_items
from .coordinates import assign_centres
from .layers import Adjacency, assign_layers
from .model import Group, Layout, Node, PlacedBlock, PlacedEdge, PlacedNode, Point
from .ordering import order_layers
from .proper import ProperGraph, make_proper
from .relaxation import relax

MARGIN = 16
ROW_GAP, LINE_GAP, COMPONENT_GAP = 12, 12, 32
COLUMN_GAP, COLUMN_GAP_MAX = 44, 160
_GAP_PER_RISE = 0.16  # a steep bundle needs room to bend softly
_STRETCH = 1.5  # taller than its fullest column by this factor, a picture is mostly holes


@dataclass(slots=True)
class _Component:
    items: list[Item]
    edges: list[tuple[int, int]]


def lay_out(nodes: Iterable[Node], edges: Iterable[tuple[str, str]], groups: Iterable[Group] = ()) -> Layout:
    """Place the nodes in columns, left to right; deterministic.

    `edges` are (parent, child) ids; `groups` are those of `collapse`, whose ids are among the nodes.
    Raises ValueError when there is a cycle, KeyError when an edge names no node.
    """
    declared, links = tuple(nodes), tuple(dict.fromkeys(edges))
    top = MARGIN
    parts: list[Layout] = []
    for component in _components(make_items(declared, links, groups), links):
        parts.append(_place(component, top))
        top = parts[-1].height + COMPONENT_GAP
    return Layout(
        tuple(node for part in parts for node in part.nodes),
        tuple(edge for part in parts for edge in part.edges),
        tuple(block for part in parts for block in part.blocks),
        max((part.width for part in parts), default=0) + MARGIN,
        top - COMPONENT_GAP + MARGIN if parts else 2 * MARGIN,
    )


def _components(items: list[Item], links: Sequence[tuple[str, str]]) -> list[_Component]:
    """Split into connected parts, first declared first; what has no edge at all is one part."""
    name = {node.id: item.id for item in items for node in item.cells} | {item.id: item.id for item in items}
    edges = list(dict.fromkeys((name[parent], name[child]) for parent, child in links))
    leader = {item.id: item.id for item in items}

    def find(item: str) -> str:
        while leader[item] != item:
            leader[item] = leader[leader[item]]
            item = leader[item]
        return item

    linked = {end for edge in edges for end in edge}
    loose = [item.id for item in items if item.id not in linked]
    for first, second in [*edges, *itertools.pairwise(loose)]:
        leader[find(second)] = find(first)
    parts: dict[str, _Component] = {}
    place: dict[str, int] = {}
    for item in items:
        part = parts.setdefault(find(item.id), _Component([], []))
        place[item.id] = len(part.items)
        part.items.append(item)
    for parent, child in edges:
        parts[find(parent)].edges.append((place[parent], place[child]))
    return list(parts.values())


def _place(component: _Component, top: int) -> Layout:
    """Lay out one component with its highest point at `top`; width and height are its far edges."""
    items, edges = component.items, component.edges
    parents: Adjacency = [[] for _ in items]
    children: Adjacency = [[] for _ in items]
    for parent, child in edges:
        parents[child].append(parent)
        children[parent].append(child)
    graph = make_proper(edges, assign_layers(parents, children))
    layers = order_layers(graph)
    centres = _heights(graph, layers, items, top)
    items = _even_widths(layers, items)
    columns = _columns(graph, layers, items, centres)
    return _assemble(graph, items, edges, centres, columns)


def _heights(graph: ProperGraph, layers: Adjacency, items: Sequence[Item], top: int) -> list[int]:
    half = [item.height / 2 for item in items]

    def gap(first: int, second: int) -> float:
        above = half[first] + ROW_GAP / 2 if first < graph.real else LINE_GAP / 2
        below = half[second] + ROW_GAP / 2 if second < graph.real else LINE_GAP / 2
        return above + below

    centres = assign_centres(graph, layers, gap)
    least = max(sum(map(gap, layer, layer[1:])) for layer in layers)
    if max(centres) - min(centres) > _STRETCH * (least + 2 * max(half) + ROW_GAP):
        centres = relax(graph, layers, gap, centres)
    extents = [centres[layer[0]] - (half[layer[0]] if layer[0] < graph.real else 0) for layer in layers]
    lowest = min(extents)
    return [round(top + centre - lowest) for centre in centres]


def _even_widths(layers: Adjacency, items: Sequence[Item]) -> list[Item]:
    """Give the cards of a column one width."""
    evened = list(items)
    for layer in layers:
        cards = [vertex for vertex in layer if vertex < len(items) and not items[vertex].cells]
        widest = max((items[vertex].width for vertex in cards), default=0)
        for vertex in cards:
            evened[vertex] = replace(items[vertex], width=widest)
    return evened


def _columns(
    graph: ProperGraph, layers: Adjacency, items: Sequence[Item], centres: Sequence[int]
) -> list[tuple[int, int]]:
    """Return each column's left and right edge; steep edges push the next column away."""
    columns: list[tuple[int, int]] = []
    left = MARGIN
    for layer in layers:
        right = left + max((items[vertex].width for vertex in layer if vertex < graph.real), default=0)
        columns.append((left, right))
        rise = max((abs(centres[v] - centres[w]) for v in layer for w in graph.down[v]), default=0)
        left = right + min(COLUMN_GAP_MAX, COLUMN_GAP + round(rise * _GAP_PER_RISE / 4) * 4)
    return columns


def _assemble(
    graph: ProperGraph,
    items: Sequence[Item],
    edges: Sequence[tuple[int, int]],
    centres: Sequence[int],
    columns: Sequence[tuple[int, int]],
) -> Layout:
    nodes: list[PlacedNode] = []
    blocks: list[PlacedBlock] = []
    spans: list[tuple[int, int]] = []
    for vertex, item in enumerate(items):
        layer = graph.layer[vertex]
        left, right = columns[layer]
        x, y = left + (right - left - item.width) // 2, centres[vertex] - item.height // 2
        spans.append((x, x + item.width))
        box = (item.id, item.text, layer, x, y, item.width, item.height, item.members)
        if item.cells:
            blocks.append(PlacedBlock(*box))
            nodes.extend(cells_of(item, layer, x, y))
        else:
            nodes.append(PlacedNode(*box))
    placed = tuple(
        PlacedEdge(
            items[parent].id, items[child].id, _route(graph, spans, columns, centres, parent, route, child)
        )
        for (parent, child), route in zip(edges, graph.routes, strict=True)
    )
    width = columns[-1][1]
    lines = [centres[vertex] for vertex in range(graph.real, len(centres))]
    height = max([*(centres[v] + item.height // 2 for v, item in enumerate(items)), *lines])
    return Layout(tuple(nodes), placed, tuple(blocks), width, height)


def _route(
    graph: ProperGraph,
    spans: Sequence[tuple[int, int]],
    columns: Sequence[tuple[int, int]],
    centres: Sequence[int],
    parent: int,
    route: Sequence[int],
    child: int,
) -> tuple[Point, ...]:
    """Leave on the right, cross whole columns level, bend between columns, arrive on the left."""
    start, end = centres[parent], centres[child]
    points = [(spans[parent][1], start), (columns[graph.layer[parent]][1], start)]
    for dummy in route:
        points += [(side, centres[dummy]) for side in columns[graph.layer[dummy]]]
    points += [(columns[graph.layer[child]][0], end), (spans[child][0], end)]
    return tuple(dict.fromkeys(points))
