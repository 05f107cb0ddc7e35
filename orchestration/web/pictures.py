"""The graph of a version as SVG: laid out once, coloured each time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.templatetags.static import static
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from orchestration.engine.graph import Graph
from orchestration.queries import companions
from orchestration.store.versions import graph_of

from .graph import Layout, Node, Picture, collapse, lay_out, render_svg
from .words import SPRITE, WORDS


@lru_cache(maxsize=128)
def layout_of(version_id: int) -> Layout:
    """Return the layout of a version, which never changes."""
    return _lay_out(graph_of(version_id))


def picture(
    version_id: int,
    statuses: Mapping[str, str],
    selected: str = "",
    calls: Mapping[str, Mapping[str, str]] | None = None,
    maps: Mapping[str, Mapping[str, int]] | None = None,
) -> SafeString:
    """Return the `<svg>` of a version's graph with these statuses, those of who was called for whom, and how far maps
    are.
    """
    layout = layout_of(version_id)
    summary = _("Graph with %(count)d nodes; the tab “Nodes” lists them.") % {
        "count": len(graph_of(version_id).nodes)
    }
    words = {status: str(word) for status, word in WORDS.items()}
    icons = f"{static(SPRITE)}#status-"
    known = frozenset(companions(graph_of(version_id)))
    shown = Picture(statuses, words, icons, selected, summary, known, calls or {}, maps or {})
    return render_svg(layout, shown)


def _lay_out(graph: Graph) -> Layout:
    known = companions(graph)
    # A companion is drawn by itself, however much it is like its neighbours.
    kinds = {node.id: node.id if node.id in known else node.body for node in graph.nodes.values()}
    nodes = [Node(id, kind=kind) for id, kind in kinds.items()]
    edges = [(parent, node.id) for node in graph.nodes.values() for parent in node.depends_on]
    edges += [(served, each.node) for each in known.values() for served in each.serves or ()]
    shown = collapse(nodes, edges)
    return lay_out(shown.nodes, shown.edges, shown.groups)
