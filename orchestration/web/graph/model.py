"""What the layout takes and what it gives back. Lengths are CSS pixels, integers."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Node:
    """A node to draw; `kind` (its body's name) tells which nodes are alike."""

    id: str
    label: str = ""
    kind: str = ""

    @property
    def text(self) -> str:
        """Return what the card says."""
        return self.label or self.id


@dataclass(frozen=True, slots=True)
class Group:
    """Alike nodes shown as one card with a count."""

    id: str
    label: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A card; `members` is empty unless it stands for a group, `block` names the grid it is in."""

    id: str
    text: str
    layer: int
    x: int
    y: int
    width: int
    height: int
    members: tuple[str, ...] = ()
    block: str = ""


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A frame round a grid of siblings; edges lead to the frame, once for all of them."""

    id: str
    text: str
    layer: int
    x: int
    y: int
    width: int
    height: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacedEdge:
    """An edge between two nodes, groups or blocks, left to right through `points`."""

    parent: str
    child: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawn graph; everything lies within 0…width and 0…height."""

    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]
    blocks: tuple[PlacedBlock, ...]
    width: int
    height: int

    @property
    def boxes(self) -> list[PlacedNode | PlacedBlock]:
        """Return everything an edge may lead to, and the cells of the blocks."""
        return [*self.nodes, *self.blocks]
