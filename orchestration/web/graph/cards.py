"""What is placed: cards of one node or one group, and blocks: grids of many siblings (few stand in line)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .collapse import MANY, make_group, siblings
from .model import Group, Node, PlacedNode
from .text import measure

CARD_HEIGHT = 32
LABEL_SIZE = 13
LABEL_START = 34  # stripe, icon and their margins
WORD_ROOM = 104  # the status word, right-aligned, in every language
LABEL_MAX, CELL_LABEL_MAX = 180, 120
CELL_GAP = 8
BLOCK_PADDING, BLOCK_TITLE = 12, 28


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to place; a block has `cells`."""

    id: str
    text: str
    width: int
    height: int
    members: tuple[str, ...] = ()
    cells: tuple[Node, ...] = ()
    cell_width: int = 0


def make_items(
    nodes: Sequence[Node], edges: Sequence[tuple[str, str]], groups: Iterable[Group]
) -> list[Item]:
    """Return cards and blocks in the order of declaration."""
    members = {group.id: group.members for group in groups}
    taken = {node.id for node in nodes}
    home: dict[str, Item] = {}
    for alike in siblings([node for node in nodes if node.id not in members], _without(edges, members)):
        if len(alike) >= MANY:
            block = _block(make_group(alike, taken), alike)
            home.update((node.id, block) for node in alike)
    items = [home.get(node.id) or _card(node, members.get(node.id, ())) for node in nodes]
    return list({item.id: item for item in items}.values())


def cells_of(item: Item, layer: int, left: int, top: int) -> list[PlacedNode]:
    """Place a block's nodes, column by column."""
    rows = _rows(len(item.cells), item.cell_width)
    return [
        PlacedNode(
            node.id,
            node.text,
            layer,
            left + BLOCK_PADDING + (place // rows) * (item.cell_width + CELL_GAP),
            top + BLOCK_TITLE + (place % rows) * (CARD_HEIGHT + CELL_GAP),
            item.cell_width,
            CARD_HEIGHT,
            block=item.id,
        )
        for place, node in enumerate(item.cells)
    ]


def _without(edges: Sequence[tuple[str, str]], groups: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [edge for edge in edges if edge[0] not in groups and edge[1] not in groups]


def _card(node: Node, members: tuple[str, ...]) -> Item:
    label = min(LABEL_MAX, measure(node.text, LABEL_SIZE))
    return Item(node.id, node.text, _snap(LABEL_START + label + WORD_ROOM), CARD_HEIGHT, members)


def _block(group: Group, nodes: Sequence[Node]) -> Item:
    label = min(CELL_LABEL_MAX, max(measure(node.text, LABEL_SIZE) for node in nodes))
    cell = _snap(LABEL_START + label + CELL_GAP)
    rows = _rows(len(nodes), cell)
    columns = math.ceil(len(nodes) / rows)
    width = 2 * BLOCK_PADDING + columns * (cell + CELL_GAP) - CELL_GAP
    height = BLOCK_TITLE + BLOCK_PADDING + rows * (CARD_HEIGHT + CELL_GAP) - CELL_GAP
    return Item(group.id, group.label, width, height, group.members, tuple(nodes), cell)


def _rows(count: int, cell: int) -> int:
    """Make the grid about as high as it is wide."""
    columns = max(1, round(math.sqrt(count * (CARD_HEIGHT + CELL_GAP) / (cell + CELL_GAP))))
    return math.ceil(count / columns)


def _snap(length: float) -> int:
    return math.ceil(length / 4) * 4
