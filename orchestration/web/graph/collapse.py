"""Too many nodes to look at: alike ones become one group with a count.

Alike means: the same kind, below alike ancestors, above alike descendants. Such nodes stand at the
same depth, so collapsing any of these classes never makes a cycle. Siblings with the same parents and
children are the common case; a fan of chains becomes a chain of groups.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from .layers import Adjacency, topological_order
from .model import Group, Node

LIMIT = 1_500
MANY = 25  # so many alike nodes are better counted than drawn, once a graph is past the limit

_SUFFIX = re.compile(r"(?:[\s_./:#-]+[^\s_./:#-]+|\d+)$")


@dataclass(frozen=True, slots=True)
class Collapsed:
    """The graph to draw: each group is a node too, under the group's id."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]
    groups: tuple[Group, ...]


def collapse(
    nodes: Iterable[Node],
    edges: Iterable[tuple[str, str]],
    limit: int = LIMIT,
    opened: Collection[str] = (),
) -> Collapsed:
    """Collapse a graph of more than `limit` nodes: every large class of alike ones, then smaller ones.

    Stops as soon as `limit` is met and only small classes are left. The groups whose ids are in `opened`
    stay open. Raises ValueError when there is a cycle.
    """
    declared, links = tuple(nodes), tuple(dict.fromkeys(edges))
    if len(declared) <= limit:
        return Collapsed(declared, links, ())
    excess = len(declared) - limit
    taken = {node.id for node in declared}
    groups: list[Group] = []
    for members in sorted(_alike(declared, links), key=len, reverse=True):
        if len(members) < (2 if excess > 0 else MANY):
            break
        group = make_group(members, taken)
        if group.id not in opened:
            groups.append(group)
            excess -= len(members) - 1
    return _merge(declared, links, groups)


def siblings(nodes: Sequence[Node], edges: Iterable[tuple[str, str]]) -> list[list[Node]]:
    """Return the sets of nodes of one kind that have the same parents and the same children."""
    parents: dict[str, set[str]] = {node.id: set() for node in nodes}
    children: dict[str, set[str]] = {node.id: set() for node in nodes}
    for parent, child in edges:
        parents[child].add(parent)
        children[parent].add(child)
    return _classes(
        nodes,
        [(kind_of(each), frozenset(parents[each.id]), frozenset(children[each.id])) for each in nodes],
    )


def kind_of(node: Node) -> str:
    """Return what makes nodes alike: the kind, else the label (or id) without its last part or number."""
    return node.kind or _SUFFIX.sub("", node.text) or node.text


def make_group(members: Sequence[Node], taken: set[str]) -> Group:
    """Name a group after its first member, with an id that no node has."""
    name = f"group:{members[0].id}"
    while name in taken:
        name += "'"
    taken.add(name)
    stems = {_SUFFIX.sub("", node.text) or node.text for node in members}
    label = stems.pop() if len(stems) == 1 else kind_of(members[0])
    return Group(name, label, tuple(node.id for node in members))


def _alike(nodes: Sequence[Node], edges: Iterable[tuple[str, str]]) -> list[list[Node]]:
    index = {node.id: place for place, node in enumerate(nodes)}
    parents: Adjacency = [[] for _ in nodes]
    children: Adjacency = [[] for _ in nodes]
    for parent, child in edges:
        parents[index[child]].append(index[parent])
        children[index[parent]].append(index[child])
    order = topological_order(parents, children)
    kinds = [kind_of(node) for node in nodes]
    above = _signatures(order, kinds, parents)
    below = _signatures(reversed(order), kinds, children)
    return _classes(nodes, list(zip(above, below, strict=True)))


def _signatures(order: Iterable[int], kinds: Sequence[str], towards: Adjacency) -> list[int]:
    """Number the vertices so that equal numbers mean an equal kind and equal neighbours, all the way."""
    numbers: dict[Hashable, int] = {}
    found = [0] * len(kinds)
    for vertex in order:
        key = (kinds[vertex], frozenset(found[each] for each in towards[vertex]))
        found[vertex] = numbers.setdefault(key, len(numbers))
    return found


def _classes(nodes: Sequence[Node], keys: Sequence[Hashable]) -> list[list[Node]]:
    found: dict[Hashable, list[Node]] = {}
    for node, key in zip(nodes, keys, strict=True):
        found.setdefault(key, []).append(node)
    return list(found.values())


def _merge(nodes: Sequence[Node], edges: Iterable[tuple[str, str]], groups: Sequence[Group]) -> Collapsed:
    home = {member: group for group in groups for member in group.members}
    shown: dict[str, Node] = {}
    for node in nodes:
        group = home.get(node.id)
        kept = replace(node, id=group.id, label=group.label) if group else node
        shown.setdefault(kept.id, kept)
    name = {node.id: home[node.id].id if node.id in home else node.id for node in nodes}
    links = dict.fromkeys((name[parent], name[child]) for parent, child in edges)
    return Collapsed(tuple(shown.values()), tuple(links), tuple(groups))
