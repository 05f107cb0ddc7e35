"""A map: one row for each of its items, beside the node's own row, which waits for them. Pure, like `decide`.

The node's own row is claimed to find the items; then it waits, and counts them: `items` in all, `born` so far, `ok` and
`failed` of those that ended. An item's end touches its own row and that one, however many there are. Items are born
in waves: a verdict on the node's row says that something is left to be done without a worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from .errors import MapFailed
from .follow import give_up, not_needed, passed
from .graph import Graph
from .line import first_of, in_line, released
from .policies import Items, type_names
from .recovery import rescuer
from .states import NODE_OK, ExecutionStatus, NodeStatus, Outcome
from .view import Bear, Birth, Command, Count, Emit, End, Judge, Key, Queue, Row, Spread, Start, View

N, E = NodeStatus, ExecutionStatus
MORE, CONCLUDE = "more", "conclude"  # verdicts: items are still to be born; the map is to fail
WAVE = 500  # items that are born at once
NAMED = 20  # failed items that an error names
_ITEM = re.compile(r"(.+)\[([0-9]{1,9})\]")


def key_named(graph: Graph, name: str) -> Key:
    """Return the key of a node, or of a map's item: "load[3]"."""
    found = _ITEM.fullmatch(name) if name not in graph.nodes else None
    key = Key(found[1], int(found[2])) if found else Key(name)
    return key if key.node in graph.nodes and is_item(graph, key) else Key(name)


def is_item(graph: Graph, key: Key) -> bool:
    """Say whether the row is one of a map's items."""
    return key.index >= 0 and graph.nodes[key.node].items is not None


def items_of(graph: Graph, node: str) -> Items:
    found = graph.nodes[node].items
    assert found is not None, node
    return found


def spread(graph: Graph, view: View, row: Row, count: int, data: dict[str, Any]) -> Iterator[Command]:
    """Return what follows once a map's items have been found: the first are born."""
    if not count:
        yield End(row.key, N.SUCCEEDED, result="[]")
        yield Emit("node.completed", row.key, row.attempt, {**data, "items": 0})
        yield from not_needed(graph, row.key, "succeeded")
        yield from passed(graph, view, row.key, "[]")
        return
    yield Spread(row.key, count)
    yield Emit("node.waiting", row.key, row.attempt, {**data, "items": count})
    if not view.doomed:
        yield from _bear(graph, view, row.key, count, 0, 0)


def _bear(graph: Graph, view: View, key: Key, count: int, born: int, ended: int) -> Iterator[Command]:
    """Let the next items be born, and note whether that is all for now."""
    limit = items_of(graph, key.node).concurrency
    room = count - born if limit is None else max(0, min(count - born, limit - (born - ended)))
    until = born + min(room, WAVE)
    yield Bear(key, until)
    for index in range(born, until):
        yield Birth(Key(key.node, index))
        yield from released(Key(key.node, index), held=view.status is E.PAUSED)
    yield Judge(key, MORE if until < born + room else "")


def item_ended(graph: Graph, view: View, key: Key, *, ok: int = 0, failed: int = 0) -> Iterator[Command]:
    """Count the item; let the next begin, or let the map end with the last."""
    row = view.rows.get(Key(key.node))
    if row is None or not row.is_spread or view.status is E.CANCELLING or view.doomed:
        return
    yield Count(row.key, ok, failed)
    ok, failed = row.ok + ok, row.failed + failed
    too_many = failed > items_of(graph, key.node).tolerated(row.items or 0)
    if ok + failed < (row.items or 0) and not (too_many and _fails_at_once(graph, row)):
        yield from _next(graph, view, row)
    elif too_many:
        yield Judge(row.key, CONCLUDE)
    else:
        yield from _complete(graph, view, row, ok, failed)


def _fails_at_once(graph: Graph, row: Row) -> bool:
    """Say whether the rest is cancelled with the first failure too many: nobody can mend what has failed."""
    asks = graph.nodes[row.key.node].on_exhausted == "pause"
    return (
        graph.on_failure == "fail_fast" and not asks and rescuer(graph, row.key, _types(row.key.node)) is None
    )


def _next(graph: Graph, view: View, row: Row) -> Iterator[Command]:
    """Hand the place of an item that ends on: to the first that stands in line, or to one that is born for it."""
    if items_of(graph, row.key.node).concurrency is None or row.verdict:
        return
    waiting = sorted(key for key, each in view.rows.items() if key.node == row.key.node and in_line(each))
    if waiting:
        yield from first_of(view, waiting)
    elif row.born < (row.items or 0):
        item = Key(row.key.node, row.born)
        yield Bear(row.key, row.born + 1)
        yield Birth(item)
        yield from released(item, held=view.status is E.PAUSED)


def _complete(graph: Graph, view: View, row: Row, ok: int, failed: int) -> Iterator[Command]:
    """End the map well. Its result is its items', in their order; nobody copies them."""
    yield End(row.key, N.SUCCEEDED)
    yield Emit("node.completed", row.key, row.attempt or None, {"items": ok + failed, "failed": failed})
    yield from not_needed(graph, row.key, "succeeded")
    yield from passed(graph, view, row.key, None)


def go_on(graph: Graph, view: View, row: Row) -> list[Command]:
    """Return what follows from a verdict on a map's row. To fail it, the view has the first items that failed."""
    if row.verdict == MORE:
        return [*_bear(graph, view, row.key, row.items or 0, row.born, row.ok + row.failed)]
    if row.failed <= items_of(graph, row.key.node).tolerated(row.items or 0):
        return [*_complete(graph, view, row, row.ok, row.failed)]
    error = _error(view, row)
    return [*give_up(graph, view, row, error, {"error": {"node": row.key.node, **_brief(error)},
                                               "attempts": row.attempt, "outcome": Outcome.FAILED.value})]  # fmt: skip


def _brief(error: dict[str, Any]) -> dict[str, Any]:
    return {name: error[name] for name in ("type", "message", "code")}


def _error(view: View, row: Row) -> dict[str, Any]:
    """Return the error of a map: which of its items failed, and why the first of them did."""
    rows = (each for each in view.rows.values() if each.key.node == row.key.node and each.key.index >= 0)
    failed = sorted((each for each in rows if each.status is N.FAILED), key=lambda each: each.key.index)
    indices = [each.key.index for each in failed[:NAMED]]
    first = failed[0].error or {}
    error = MapFailed(
        node=row.key.node, count=row.failed, items=row.items, named=_named(indices, row.failed),
        why=f"{first.get('type', 'an error')}: {first.get('message', '')}",
    )  # fmt: skip
    about = {"type": "MapFailed", "types": _types(row.key.node), "code": error.code, "message": str(error)}
    return {**about, "items": indices, "failed": row.failed}


def _types(node: str) -> list[str]:
    return type_names(MapFailed(node=node, count=0, items=0, named="", why=""))


def _named(indices: Sequence[int], count: int) -> str:
    said = ", ".join(str(index) for index in indices)
    return f"{said} and {count - len(indices)} more" if count > len(indices) else said


# --- some of them again ----------------------------------------------------------------------------


def to_redo(view: View, node: str, also: frozenset[int] | set[int] = frozenset()) -> list[int]:
    """Return the items that failed or were cancelled, and `also` these."""
    rows = (row for key, row in view.rows.items() if key.node == node and key.index >= 0)
    return sorted(
        row.key.index for row in rows if row.status in (N.FAILED, N.CANCELLED) or row.key.index in also
    )


def again(graph: Graph, view: View, row: Row, indices: Sequence[int]) -> Iterator[Command]:
    """Let these items, which have been set aside, run again, and with them those that were never born; keep the others.

    `row` is the map's row as it was; the view has each of its items.
    """
    key, limit, count = row.key, items_of(graph, row.key.node).concurrency, row.items or 0
    aside = set(indices)
    kept = [r for k, r in view.rows.items() if k.node == key.node and k.index >= 0 and k.index not in aside]
    ok = sum(each.status in NODE_OK for each in kept)
    yield Spread(key, count, row.born, ok, len(kept) - ok, row.attempt)
    yield Start(key)
    yield Emit("node.started", key, row.attempt, {"worker": ""})
    yield Emit("node.waiting", key, row.attempt, {"items": count, "kept": len(kept)})
    room = len(indices) if limit is None else limit
    for place, index in enumerate(indices):
        item = Key(key.node, index)
        yield Birth(item)
        if place < room:
            yield from released(item, held=view.status is E.PAUSED)
        else:
            yield Queue(item)
    if row.born < count and (limit is None or len(indices) < limit):
        yield Judge(key, MORE)
    elif not indices:
        yield Judge(key, CONCLUDE)
