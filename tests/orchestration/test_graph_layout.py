"""The graph's layout: laws on random graphs, shapes people know, and markup that nothing can break out of."""

from __future__ import annotations

import random
import time
from html.parser import HTMLParser
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.web.graph import Layout, Node, Picture, collapse, lay_out, overall, render_svg
from orchestration.web.graph.text import measure, shorten

pytestmark = pytest.mark.once

Edges = list[tuple[str, str]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Node], Edges]:
    count = draw(st.integers(0, 40))
    nodes = [
        Node(f"n{i}", draw(st.text(max_size=40)), draw(st.sampled_from(["", "a", "b"]))) for i in range(count)
    ]
    pairs = [(f"n{i}", f"n{j}") for i, j in combinations(range(count), 2)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=3 * count)) if pairs else []
    return draw(st.permutations(nodes)), edges


def check(layout: Layout) -> None:
    boxes = {box.id: box for box in layout.boxes}
    for box in boxes.values():
        assert box.x >= 0
        assert box.x + box.width <= layout.width
        assert box.y >= 0
        assert box.y + box.height <= layout.height
    outer = [box for box in boxes.values() if not getattr(box, "block", "")]
    cells = [node for node in layout.nodes if node.block]
    for group in (outer, cells):
        for first, second in combinations(group, 2):
            apart_x = first.x + first.width <= second.x or second.x + second.width <= first.x
            assert apart_x or first.y + first.height <= second.y or second.y + second.height <= first.y
    for cell in cells:
        frame = boxes[cell.block]
        assert frame.x < cell.x
        assert cell.x + cell.width < frame.x + frame.width
        assert frame.y < cell.y
        assert cell.y + cell.height < frame.y + frame.height
    for edge in layout.edges:
        parent, child = boxes[edge.parent], boxes[edge.child]
        assert parent.layer < child.layer
        assert edge.points[0] == (parent.x + parent.width, parent.y + parent.height // 2)
        assert edge.points[-1] == (child.x, child.y + child.height // 2)
        assert all(0 <= y <= layout.height for _, y in edge.points)
        assert all(x <= right for (x, _), (right, _) in pairwise(edge.points))


def meant(layout: Layout) -> set[tuple[str, str]]:
    """Return the edges between nodes that the drawn edges stand for."""
    inside = {box.id: box.members or (box.id,) for box in layout.boxes}
    return {(a, b) for edge in layout.edges for a in inside[edge.parent] for b in inside[edge.child]}


@given(graphs())
@settings(deadline=None)
def test_any_graph_is_drawn_whole_left_to_right_and_nothing_overlaps(graph: tuple[list[Node], Edges]) -> None:
    nodes, edges = graph
    layout = lay_out(nodes, edges)
    check(layout)
    assert sorted(node.id for node in layout.nodes) == sorted(node.id for node in nodes)
    assert meant(layout) == set(edges)
    assert lay_out(iter(nodes), iter(edges)) == layout


@given(graphs(), st.integers(1, 20))
@settings(deadline=None)
def test_collapsing_keeps_every_node_once_and_every_edge(graph: tuple[list[Node], Edges], limit: int) -> None:
    nodes, edges = graph
    collapsed = collapse(nodes, edges, limit)
    members = {group.id: group.members for group in collapsed.groups}
    shown = [each for node in collapsed.nodes for each in members.get(node.id, (node.id,))]
    assert sorted(shown) == sorted(node.id for node in nodes)
    home = {each: group for group, inside in members.items() for each in inside}
    assert set(collapsed.edges) == {(home.get(a, a), home.get(b, b)) for a, b in edges}
    layout = lay_out(collapsed.nodes, collapsed.edges, collapsed.groups)
    check(layout)
    assert collapse(nodes, edges, limit) == collapsed


def test_a_chain_is_one_straight_line() -> None:
    layout = lay_out([Node(f"s{i}") for i in range(30)], [(f"s{i}", f"s{i + 1}") for i in range(29)])
    assert len({node.y for node in layout.nodes}) == 1
    assert [node.layer for node in layout.nodes] == list(range(30))


def test_a_fan_is_symmetrical_and_keeps_the_declared_order() -> None:
    names = [f"carrier-{i}" for i in range(16)]
    edges = [("read", name) for name in names] + [(name, "join") for name in names]
    layout = lay_out([Node("join"), *map(Node, names), Node("read")], edges)
    at = {node.id: node for node in layout.nodes}
    heights = [at[name].y for name in names]
    assert heights == sorted(heights)
    assert at["read"].y == at["join"].y == (heights[0] + heights[-1]) / 2


def test_a_long_edge_passes_round_the_nodes_between() -> None:
    layout = lay_out(map(Node, "abcd"), [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])
    check(layout)
    at = {node.id: node for node in layout.nodes}
    long = next(edge for edge in layout.edges if (edge.parent, edge.child) == ("a", "d"))
    for between in (at["b"], at["c"]):
        passing = [y for x, y in long.points if between.x <= x <= between.x + between.width]
        assert passing
        assert all(y < between.y or y > between.y + between.height for y in passing)


def test_a_late_root_stands_next_to_what_needs_it() -> None:
    layout = lay_out(map(Node, "abcdx"), [("a", "b"), ("b", "c"), ("c", "d"), ("x", "d")])
    assert {node.id: node.layer for node in layout.nodes}["x"] == 2


def test_crossings_that_can_be_avoided_are_avoided() -> None:
    edges = [("a", "z"), ("b", "y"), ("c", "x")]
    tied = [*edges, ("s", "a"), ("s", "b"), ("s", "c")]
    at = {node.id: node.y for node in lay_out(map(Node, "sabcxyz"), tied).nodes}
    order = sorted("abc", key=at.__getitem__)
    assert [dict(edges)[each] for each in order] == sorted("xyz", key=at.__getitem__)


def test_many_siblings_stand_in_a_grid_with_one_edge_in_and_one_out() -> None:
    names = [f"tile-{i}" for i in range(100)]
    edges = [("read", name) for name in names] + [(name, "join") for name in names]
    layout = lay_out([Node("read"), *map(Node, names), Node("join")], edges)
    check(layout)
    (block,) = layout.blocks
    assert block.members == tuple(names)
    assert block.text == "tile"
    assert [(edge.parent, edge.child) for edge in layout.edges] == [("read", block.id), (block.id, "join")]
    assert 0.5 < block.width / block.height < 2


def test_a_fan_of_chains_past_the_limit_becomes_a_chain_of_groups() -> None:
    inner = [Node(f"{kind}-{i}") for i in range(900) for kind in ("map", "sort")]
    nodes = [Node("read"), *inner, Node("join")]
    paths = [("read", f"map-{i}", f"sort-{i}", "join") for i in range(900)]
    edges = [edge for path in paths for edge in pairwise(path)]
    collapsed = collapse(nodes, edges)
    assert [(group.label, len(group.members)) for group in collapsed.groups] == [("map", 900), ("sort", 900)]
    assert collapsed.edges == tuple(pairwise(["read", "group:map-0", "group:sort-0", "join"]))
    opened = collapse(nodes, edges, opened={"group:sort-0"})
    assert [group.id for group in opened.groups] == ["group:map-0"]
    assert len(opened.nodes) == 903


def test_a_cycle_and_an_unknown_node_are_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        lay_out(map(Node, "ab"), [("a", "b"), ("b", "a")])
    with pytest.raises(KeyError):
        lay_out([Node("a")], [("a", "ghost")])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_nodes_are_laid_out_in_time(seed: int) -> None:
    dice = random.Random(seed)
    pairs = {tuple(sorted(dice.sample(range(1000), 2))) for _ in range(2000)}
    nodes, edges = [Node(f"n{i}") for i in range(1000)], [(f"n{i}", f"n{j}") for i, j in sorted(pairs)]
    began = time.process_time()
    lay_out(nodes, edges)
    assert time.process_time() - began < 3  # 1 s is the goal; this catches a wrong order of growth


class Markup(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("path", "rect", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "rect", "use"):
            assert self.open.pop() == tag


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=5, unique=True
    )
)
@settings(deadline=None)
def test_no_id_breaks_out_of_the_markup(names: list[str]) -> None:
    names = [*names, '"><script>alert(1)</script>', "' onload='x", "../..", "&amp;"]
    nodes = [Node(name) for name in dict.fromkeys(names)]
    markup = Markup(render_svg(lay_out(nodes, [(nodes[0].id, nodes[1].id)]), Picture(summary=names[0])))
    assert markup.open == []
    assert {tag for tag, _ in markup.tags} <= set("svg defs marker path a title rect g use text".split())
    assert not any(name == "style" or name.startswith("on") for _, attrs in markup.tags for name in attrs)
    links = [attrs for tag, attrs in markup.tags if tag == "a"]
    assert [attrs["id"] for attrs in links] == [f"node-{i}" for i in range(len(nodes))]
    assert {attrs["data-node"].replace("\r\n", "\n") for attrs in links} == {
        node.id.replace("\r\n", "\n") for node in nodes
    }


def test_the_picture_says_what_each_node_is() -> None:
    layout = lay_out(map(Node, "ab"), [("a", "b")])
    now = {"a": "succeeded", "b": "running"}
    picture = Picture(now, {"running": "en cours"}, "/i.svg#status-", selected="b")
    drawn = render_svg(layout, picture)
    tags = Markup(drawn).tags
    links = {attrs["data-node"]: attrs for tag, attrs in tags if tag == "a"}
    assert "<title>b en cours</title>" in drawn
    assert links["b"]["aria-current"] == "true"
    assert links["a"]["data-status"] == "succeeded"
    assert "aria-current" not in links["a"]
    icons = [attrs["href"] for tag, attrs in tags if tag == "use"]
    assert icons == ["/i.svg#status-succeeded", "/i.svg#status-running"]
    assert next(attrs for _, attrs in tags if attrs.get("class") == "gedge")["data-status"] == "running"


def test_a_group_counts_its_members_and_shows_even_one_failure() -> None:
    nodes = [Node(f"t-{i}") for i in range(1000)]
    collapsed = collapse(nodes, [], limit=10)
    layout = lay_out(collapsed.nodes, collapsed.edges, collapsed.groups)
    drawn = render_svg(layout, Picture({f"t-{i}": "succeeded" for i in range(500)} | {"t-999": "failed"}))
    tags = Markup(drawn).tags
    (group,) = [attrs for tag, attrs in tags if tag == "a"]
    assert "<title>t failed, 501 / 1,000</title>" in drawn
    assert group["href"] == "?group=group%3At-0"
    parts = {
        attrs["data-status"]: float(attrs["width"]) for _, attrs in tags if attrs.get("class") == "gpart"
    }
    assert parts["succeeded"] > parts["failed"] >= 3


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "failed", "running"], "failed"),
        (["succeeded", "running", "pending"], "running"),
        (["succeeded", "pending"], "pending"),
        (["succeeded", "skipped", "recovered"], "succeeded"),
    ],
)
def test_a_group_tells_the_loudest_status(statuses: list[str], told: str) -> None:
    assert overall(statuses) == told


def test_a_long_label_loses_its_middle() -> None:
    short = shorten("mBackground_of_the_northern_field_0013", 120, 13)
    assert short.startswith("mBack")
    assert short.endswith("0013")
    assert "…" in short
    assert measure(short, 13) <= 120
