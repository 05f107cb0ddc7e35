"""A layout as SVG: classes and data attributes only, no styles, so that a strict CSP lets it be.

What a live page does on a change of status: set `data-status` on the node (and on the edges whose
`data-to` names it), the icon's `href`, the word, and the label.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from urllib.parse import quote

from django.utils.safestring import SafeString, mark_safe

from .cards import CARD_HEIGHT, LABEL_SIZE, LABEL_START, WORD_ROOM
from .model import Layout, PlacedBlock, PlacedEdge, PlacedNode, Point
from .text import shorten

PENDING = "pending"
_LOUDEST_FIRST = (
    "failed",
    "upstream_failed",
    "attention",
    "blocked",
    "running",
    "retrying",
    "waiting",
    "ready",
)
_ENDED = ("succeeded", "recovered", "cancelled", "skipped")
_COUNTED = ("succeeded", "recovered", "failed", "upstream_failed", "cancelled", "skipped")
_INSET = 10
_BEND = 18  # how far a call bends aside: three quarters of it are seen, within the margin
_LEAST_PART = 3.0
_ARROW = (
    '<defs><marker id="graph-arrow" class="garrow" viewBox="0 0 6 8" refX="6" refY="4" markerWidth="6"'
    ' markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
    '<path d="M0.5 1 L5 4 L0.5 7"/></marker></defs>'
)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is true of the nodes now, and how the page says it.

    `statuses` by node id (none = pending); `words` translate statuses; `icons` is what stands before a
    status in an icon's address ("/static/icons.svg#status-"); `selected` is a node id; `companions` are the nodes that
    run for others and have no edges of the graph; `calls` are their calls' statuses, by companion and for whom; `maps`
    are the counts of their items ("count", "ok", "failed"), by node.
    """

    statuses: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    icons: str = "#status-"
    selected: str = ""
    summary: str = ""
    companions: frozenset[str] = frozenset()
    calls: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def status(self, node: str, members: Sequence[str] = ()) -> str:
        """Return a node's status, or for a group the one to look at first."""
        return overall([self.statuses.get(each, PENDING) for each in members or (node,)])

    def word(self, status: str) -> str:
        """Return the word for a status."""
        return self.words.get(status) or status.replace("_", " ")


def overall(statuses: Sequence[str]) -> str:
    """Sum several statuses up in one: the loudest; the way they ended when all have."""
    present = set(statuses)
    if len(present) == 1:
        return present.pop()
    loud = next((status for status in _LOUDEST_FIRST if status in present), None)
    if loud or not present <= set(_ENDED):
        return loud or PENDING
    return next(status for status in _ENDED if status in present)


def render_svg(layout: Layout, picture: Picture | None = None) -> SafeString:
    """Return the `<svg>` element; every id and label in it is escaped."""
    shown = picture or Picture()
    members = {box.id: box.members for box in layout.boxes}
    parts = [
        f'<svg class="graph" role="group" aria-label="{escape(shown.summary)}"',
        f' viewBox="0 0 {layout.width} {layout.height}" width="{layout.width}" height="{layout.height}">',
        _ARROW,
        *(_edge(index, edge, shown, members) for index, edge in enumerate(layout.edges)),
        *_drawn_calls(layout, shown),
        *(_block(block, shown) for block in layout.blocks),
        *(_node(index, node, shown) for index, node in enumerate(layout.nodes)),
        "</svg>",
    ]
    return mark_safe("".join(parts))  # each part escapes what it is given


def path(points: Sequence[Point]) -> str:
    """Draw level stretches straight and the rest as curves that leave and arrive level."""
    commands = [f"M{points[0][0]} {points[0][1]}"]
    for (x, y), (right, down) in pairwise(points):
        middle = (x + right) / 2
        commands.append(f"H{right}" if y == down else f"C{middle:g} {y} {middle:g} {down} {right} {down}")
    return "".join(commands)


def _edge(index: int, edge: PlacedEdge, shown: Picture, members: Mapping[str, Sequence[str]]) -> str:
    line = path(edge.points)
    if edge.child in shown.companions:
        return _call(
            f"edge-{index}", edge.parent, edge.child, shown.calls.get(edge.child, {}).get(edge.parent), line
        )
    return _line(
        "gedge", f"edge-{index}", edge.parent, edge.child, shown.status(edge.child, members[edge.child]), line
    )


def _call(id: str, parent: str, child: str, status: str | None, line: str) -> str:
    """Draw the line to who runs for a node: to be seen when it was called, else a hint that it could be."""
    kind = "gedge grescue gcalled" if status and status not in ("skipped", "pending") else "gedge grescue"
    return _line(kind, id, parent, child, status or PENDING, line)


def _line(kind: str, id: str, parent: str, child: str, status: str, line: str) -> str:
    return (
        f'<path class="{kind}" id="{id}" data-from="{escape(parent)}" data-to="{escape(child)}"'
        f' data-status="{escape(status)}" d="{line}" marker-end="url(#graph-arrow)"/>'
    )


def _drawn_calls(layout: Layout, shown: Picture) -> Iterator[str]:
    """Draw the calls of boundaries that catch whatever fails: the layout has no edge for them."""
    placed = {node.id: node for node in layout.nodes}
    drawn = {(edge.parent, edge.child) for edge in layout.edges}
    calls = [(parent, child, status) for child, own in shown.calls.items() for parent, status in own.items()]
    for index, (parent, child, status) in enumerate(calls):
        if (parent, child) not in drawn and parent in placed and child in placed:
            yield _call(f"call-{index}", parent, child, status, _across(placed[parent], placed[child]))


def _across(one: PlacedNode, other: PlacedNode) -> str:
    """Draw round the left of cards in one column; else down (or up) and into the side of the other card."""
    start, end = one.y + one.height // 2, other.y + other.height // 2
    if one.x <= other.x + other.width:
        bend = min(one.x, other.x) - _BEND
        return f"M{one.x} {start}C{bend} {start} {bend} {end} {other.x} {end}"
    x = one.x + one.width // 2
    leave = one.y + one.height if other.y > one.y else one.y
    return f"M{x} {leave}C{x} {end} {x} {end} {other.x + other.width} {end}"


def _block(block: PlacedBlock, shown: Picture) -> str:
    status = shown.status(block.id, block.members)
    counts = Counter(shown.status(member) for member in block.members)
    title = shorten(block.text, block.width - 120, LABEL_SIZE)
    return (
        f'<g class="gblock" data-group="{escape(block.id)}" data-status="{escape(status)}"'
        f' transform="translate({block.x} {block.y})">'
        f'<rect class="gframe" width="{block.width}" height="{block.height}" rx="6"/>'
        f'<text class="gtitle" x="12" y="15">{escape(title)}</text>'
        f'<text class="gcount" x="{block.width - 12}" y="15">{_done(counts)}</text></g>'
    )


def _node(index: int, node: PlacedNode, shown: Picture) -> str:
    status = shown.status(node.id, node.members)
    return "".join([*_opening(index, node, status, shown), *_card(node, status, shown), "</a>"])


def _opening(index: int, node: PlacedNode, status: str, shown: Picture) -> Iterator[str]:
    kind = "ggroup" if node.members else "gcell" if node.block else ""
    target = f"?{'group' if node.members else 'node'}={quote(node.id, safe='')}"
    label = escape(f"{node.text} {_word(node, status, shown)}{_told(node, shown)}")
    calls = shown.calls.get(node.id)
    yield f'<a class="{f"gnode {kind}".strip()}" id="node-{index}" data-node="{escape(node.id)}"'
    yield f' data-label="{escape(node.text)}" data-status="{escape(status)}"'
    yield f' data-group="{escape(node.block)}"' if node.block else ""
    yield f' data-calls="{escape(json.dumps(dict(calls)))}"' if calls else ""
    yield f' data-items="{shown.maps[node.id]["count"]}"' if node.id in shown.maps else ""
    yield ' aria-current="true"' if node.id == shown.selected else ""
    yield f' href="{escape(target)}" tabindex="0"'
    yield f' transform="translate({node.x} {node.y})"><title>{label}</title>'


def _card(node: PlacedNode, status: str, shown: Picture) -> Iterator[str]:
    middle = CARD_HEIGHT // 2
    room = node.width - LABEL_START - (_INSET if node.block else WORD_ROOM)
    items = {} if node.members or node.block else shown.maps.get(node.id, {})
    if node.members or items:
        yield f'<rect class="gstack" x="4" y="4" width="{node.width - 4}" height="{node.height}" rx="6"/>'
    yield f'<rect class="gcard" width="{node.width}" height="{node.height}" rx="6"/>'
    yield f'<rect class="gstripe" x="4" y="8" width="3" height="{CARD_HEIGHT - 16}" rx="1.5"/>'
    # The icon is drawn round its own origin, so that it can turn.
    yield f'<g transform="translate(20 {middle})"><use class="gicon" href="{escape(shown.icons + status)}"'
    yield ' x="-7" y="-7" width="14" height="14"/></g>'
    label = escape(shorten(node.text, room, LABEL_SIZE))
    yield f'<text class="glabel" x="{LABEL_START}" y="{middle}">{label}</text>'
    if node.members:
        yield from _counts(node, Counter(shown.status(member) for member in node.members))
    elif items:
        yield from _counts(node, _of_items(items), least=False)
    elif not node.block:
        word = escape(_word(node, status, shown))
        yield f'<text class="gword" x="{node.width - _INSET}" y="{middle}">{word}</text>'


def _word(node: PlacedNode, status: str, shown: Picture) -> str:
    """Say the status; of a companion that was called several times, of how many of its calls."""
    calls = list(shown.calls.get(node.id, {}).values())
    if len(calls) < 2:
        return shown.word(status)
    alike = calls.count(status)
    return (
        f"{alike} × {shown.word(status)}"
        if alike == len(calls)
        else f"{shown.word(status)} {alike}/{len(calls)}"
    )


def _of_items(items: Mapping[str, int]) -> Counter[str]:
    left = items["count"] - items["ok"] - items["failed"]
    return Counter({"succeeded": items["ok"], "failed": items["failed"], PENDING: left})


def _counts(node: PlacedNode, counts: Counter[str], *, least: bool = True) -> Iterator[str]:
    """Show how many members (or items) have ended, and a bar of how they did. Items' parts are there before any has: a
    live page widens them.
    """
    yield f'<text class="gcount" x="{node.width - _INSET}" y="{CARD_HEIGHT // 2}">{_done(counts)}</text>'
    left, room = float(LABEL_START), node.width - LABEL_START - _INSET
    for status in (*_COUNTED, "running"):
        if counts[status] or not (least or status not in ("succeeded", "failed")):
            share = room * counts[status] / counts.total()
            width = max(_LEAST_PART, share) if counts[status] else 0.0  # one failure shows
            yield f'<rect class="gpart" data-status="{status}" x="{left:g}" y="27" width="{width:.4g}"'
            yield ' height="2"/>'
            left += width


def _told(node: PlacedNode, shown: Picture) -> str:
    if items := shown.maps.get(node.id):
        return f", {_done(_of_items(items))}"
    return f", {_done(Counter(shown.status(member) for member in node.members))}" if node.members else ""


def _done(counts: Counter[str]) -> str:
    return f"{sum(counts[status] for status in _COUNTED):,} / {counts.total():,}"
