"""Running again in an execution that has ended: what is set aside, what is kept, and where it goes on. Pure.

The view must hold every present row; or, where `whole` is False, those of the nodes that are set aside, of all that
ran for them, and of their predecessors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .compensation import compensate, undone_by
from .decide import counts_of
from .errors import IllegalMove
from .follow import outcome_of
from .graph import Graph, suggest
from .items import again, to_redo
from .joins import Counts, Verdict, verdict
from .line import Places
from .recovery import owner
from .states import NODE_TERMINAL, ExecutionStatus, NodeStatus
from .view import Birth, Command, Count, Emit, Judge, Key, Move, Reopen, Row, Supersede, View

N, E = NodeStatus, ExecutionStatus
About = dict[str, Any]
AGAIN = frozenset({N.CANCELLED, N.FAILED})
BEGUN = frozenset({N.SUCCEEDED, N.FAILED})  # undos whose nodes are not as they were


def retry(
    graph: Graph,
    view: View,
    about: About,
    execution_id: Any,
    node: str | None = None,
    *,
    index: int = -1,
    whole: bool = True,
    anew: bool = False,
) -> list[Command]:
    """Reopen: set aside what failed (or `node`, however it ended) and all that followed from it; keep the rest.

    What was cancelled runs again too, for nothing else would ever end it, and so does what has been undone. An undo
    that failed is tried again, with those after it. Of a map, what failed among its items runs again (or the one with
    the `index`, with what was cancelled); one with nothing of the kind begins anew, or with `anew`. Raises IllegalMove.
    """
    if node is not None and node in graph.undos:
        return _undo_again(graph, view, about, execution_id, node)
    roots = _what_to_redo(graph, view, execution_id, node)
    aside = roots | graph.descendants(roots)
    plain = _plain(graph, view)
    partly = _items_to_redo(graph, view, roots, execution_id, Key(node or "", index))
    if anew and node is not None:
        partly.pop(node, None)
    still = [row for name, row in plain.items() if row.status is N.FAILED and name not in aside]
    error = {"node": still[0].key.node, **(still[0].error or {})} if still else None
    generation = view.generation + 1
    commands: list[Command] = [
        Reopen(generation, len(still), error),
        Move(E.RUNNING, verb=True),
        Emit("execution.reopened", data={**about, "generation": generation}),
    ]
    # What ran for a node goes with it; and should the execution fail again, what is to be undone is found anew.
    gone = [key for key in view.rows if owner(graph, key) in aside or key.node in graph.undos]
    commands += _set_aside([key for key in gone if not _stays(partly, key)], generation)
    for name, indices in partly.items():
        commands += [Birth(Key(name)), *again(graph, view, plain[name], indices)]
    kept = {
        name: row.status for name, row in plain.items() if name not in aside and row.status in NODE_TERMINAL
    }
    among = graph.nodes if whole else aside
    return commands + frontier(graph, kept, [name for name in among if name not in partly])


def _plain(graph: Graph, view: View) -> dict[str, Row]:
    """Return the nodes' own rows: no companion's, and of a map not its items'."""
    return {
        key.node: row for key, row in view.rows.items() if key.index < 0 and not graph.is_companion(key.node)
    }


def _items_to_redo(
    graph: Graph, view: View, roots: set[str], execution_id: Any, asked: Key
) -> dict[str, list[int]]:
    """Return the items to be run again of each map that keeps the others: what it goes over has not changed."""
    found: dict[str, list[int]] = {}
    changed = graph.descendants(roots)
    for name in sorted(roots - changed):
        row = view.rows.get(Key(name))
        if row is None or row.items is None:
            continue
        undone = {key.index for key, each in view.rows.items()
                  if key.node in graph.undos and key.for_node == name and each.status in BEGUN}  # fmt: skip
        indices = to_redo(view, name, undone)
        if name == asked.node and asked.index >= 0:
            indices = _with_one(view, indices, undone, asked)
        if indices or row.born < row.items:
            found[name] = indices
    if asked.index >= 0 and asked.index not in found.get(asked.node, ()):
        hint = f'There is no such item, or what "{asked.node}" goes over is made anew: retry the whole of it.'
        raise IllegalMove(id=execution_id, state=view.status.value, verb=f'retry "{asked}"', hint=hint)
    return found


def _with_one(view: View, indices: list[int], undone: set[int], asked: Key) -> list[int]:
    """Return the item that is asked for, and those that nothing else would ever end."""
    rows = view.rows
    cancelled = {i for i in indices if i in undone or rows[Key(asked.node, i)].status is N.CANCELLED}
    return sorted(cancelled | ({asked.index} if Key(asked.node, asked.index) in rows else set()))


def _stays(partly: Mapping[str, list[int]], key: Key) -> bool:
    """Say whether the row is an item that its map keeps."""
    return key.node in partly and key.index >= 0 and key.index not in partly[key.node]


def _set_aside(keys: list[Key], generation: int) -> list[Command]:
    told = {"generation": generation}
    return [each for key in keys for each in (Supersede(key), Emit("node.reset", key, data=told))]


def _what_to_redo(graph: Graph, view: View, execution_id: Any, node: str | None) -> set[str]:
    """Return where to begin again."""
    plain = {name: row.status for name, row in _plain(graph, view).items()}
    sought = AGAIN if node is None else {N.CANCELLED}
    roots = {name for name, status in plain.items() if status in sought} | undone(graph, view)
    if node is None:
        return roots
    state, hint = view.status.value, ""
    if node not in graph.nodes:
        state, hint = "of a version without it", suggest(node, graph.nodes)
    elif graph.is_companion(node):
        hint = "It runs when another node fails: retry that one."
    elif node not in plain:
        hint = f'"{node}" has not been reached.'
    if hint:
        raise IllegalMove(id=execution_id, state=state, verb=f'retry node "{node}"', hint=hint)
    return roots | {node}


def undone(graph: Graph, view: View) -> set[str]:
    """Return the nodes whose undo has run, wholly or in part."""
    rows = (row for row in view.rows.values() if row.key.node in graph.undos and row.status in BEGUN)
    return {owner(graph, row.key) for row in rows}


def frontier(graph: Graph, kept: Mapping[str, NodeStatus], among: Collection[str]) -> list[Command]:
    """Return the births of those `among` these nodes that are not kept and have an ended predecessor, or none."""
    commands: list[Command] = []
    places = Places(graph)
    # By what is among them, not by the graph: three nodes of ten thousand cost what three nodes cost.
    for spec in map(
        graph.nodes.__getitem__, sorted(filter(graph.nodes.__contains__, among), key=graph.order.__getitem__)
    ):
        ended = [kept[parent] for parent in spec.depends_on if parent in kept]
        if spec.id in kept or graph.is_companion(spec.id) or (spec.depends_on and not ended):
            continue
        key, counts = Key(spec.id), counts_of(ended)
        commands += [Birth(key), Count(key, **counts)]
        outcomes = {node: how for node in spec.depends_on if node in kept and (how := outcome_of(kept[node]))}
        said = verdict(spec.join, Counts(len(spec.depends_on), **counts), outcomes)
        if said is Verdict.RUN:
            commands += places.release(key)
        elif said is not Verdict.WAIT:
            commands.append(Judge(key, said.value))
    return commands


def _undo_again(graph: Graph, view: View, about: About, execution_id: Any, undo: str) -> list[Command]:
    """Try a failed undo again, and after it those that it left."""
    left = [row for row in view.rows.values() if row.key.node in graph.undos and row.status in AGAIN]
    failed = [row for row in left if row.status is N.FAILED]
    if view.status is not E.FAILED or undo not in {row.key.node for row in failed}:
        hint = "Only an undo that failed can be tried again."
        raise IllegalMove(id=execution_id, state=view.status.value, verb=f'retry "{undo}"', hint=hint)
    keys = [row.key for row in [*failed, *(row for row in left if row.status is N.CANCELLED)]]
    failures, generation = view.failures - len(failed), view.generation + 1
    error = {name: value for name, value in (view.error or {}).items() if not name.startswith("undone")}
    began = compensate(graph, [undone_by(graph, key) for key in keys])
    return [
        Reopen(generation, failures, error if failures else None, stands=True),
        Emit("execution.reopened", data={**about, "generation": generation}),
        *_set_aside(keys, generation),
        *(Move(E.COMPENSATING, verb=True) if isinstance(c, Move) else c for c in began),
    ]


# --- in an execution of its own --------------------------------------------------------------------

_TOLD = {
    N.SUCCEEDED: "node.completed",
    N.RECOVERED: "node.recovered",
    N.SKIPPED: "node.skipped",
    N.FAILED: "node.failed",  # an item of a map that stands without it
}


def kept_by_fork(graph: Graph, rows: Mapping[Key, NodeStatus], execution_id: Any, node: str) -> set[Key]:
    """Return which of these ended rows a fork from this node takes over; what has been undone is not as it was.

    Raises IllegalMove.
    """
    if node not in graph.nodes or graph.is_companion(node):
        hint = (
            "It runs for another node: fork from that one."
            if node in graph.nodes
            else suggest(node, graph.nodes)
        )
        raise IllegalMove(id=execution_id, state="of a version without such a step", verb=f'be forked from "{node}"',
                          hint=hint)  # fmt: skip
    undone = {owner(graph, key) for key in rows if key.node in graph.undos and rows[key] in BEGUN}
    roots = {node} | undone
    aside = roots | graph.descendants(roots)
    plain = {key.node for key in rows if key.index < 0 and not graph.is_companion(key.node)} - aside
    return {key for key in rows if owner(graph, key) in plain and key.node not in graph.undos}


def fork(graph: Graph, copied: Sequence[tuple[Key, NodeStatus, int]], about: About) -> list[Command]:
    """Return what starts an execution that has taken over these rows (key, status, attempt)."""
    commands: list[Command] = [Emit("execution.started", data={**about, "nodes": len(graph.nodes)})]
    commands += [
        Emit(_TOLD[status], key, attempt or None, {"copied": True}) for key, status, attempt in copied
    ]
    kept = {
        key.node: status for key, status, _ in copied if key.index < 0 and not graph.is_companion(key.node)
    }
    return commands + frontier(graph, kept, graph.nodes)
