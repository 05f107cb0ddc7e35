"""The graph of a workflow as a picture: layered layout, then SVG. Pure Python, deterministic."""

from .collapse import LIMIT, Collapsed, collapse
from .layout import lay_out
from .model import Group, Layout, Node, PlacedBlock, PlacedEdge, PlacedNode
from .svg import Picture, overall, render_svg

__all__ = [
    "LIMIT",
    "Collapsed",
    "Group",
    "Layout",
    "Node",
    "Picture",
    "PlacedBlock",
    "PlacedEdge",
    "PlacedNode",
    "collapse",
    "lay_out",
    "overall",
    "render_svg",
]
