"""What a node's end means for others: who may rescue it, and what its dependents make of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .graph import Graph, NodeSpec
from .joins import Counts, Verdict, verdict
from .line import Places, hand_on
from .policies import expression_of
from .recovery import Tried, concerned, rescuer, served
from .states import NODE_FAILED, NODE_OK, ExecutionStatus, NodeStatus, Outcome
from .view import Await, Birth, Blame, Command, Count, Doom, Emit, End, Judge, Key, Release, Row, View

N, E = NodeStatus, ExecutionStatus
# Characters of a traceback's end, which says what was raised and where. An attempt's event stays for good, and a node
# may have a hundred: what all of them keep has to fit into one answer.
TRACEBACK_KEPT = 8000


def give_up(
    graph: Graph, view: View, row: Row, error: dict[str, Any], data: dict[str, Any], tried: Tried = "nobody"
) -> Iterator[Command]:
    """Let the next one who may rescue the row try, a person last; then it has failed, and so has whom it served."""
    cancelling = view.status is E.CANCELLING
    who = None if cancelling else rescuer(graph, row.key, error.get("types", ()), tried)
    # The row goes on to the next attempt's error one day; its first event keeps the traceback of this one.
    fails_now = row.parked or row.status not in (N.WAITING, N.ATTENTION)
    first = {**data, "error": told(error)} if fails_now else data
    if who is not None:
        if row.status is not N.WAITING or row.parked or row.is_spread:
            yield Await(row.key, error)
        yield Emit("node.waiting", row.key, row.attempt, {**first, "awaits": who.node})
        yield Birth(who)
        yield Release(who, held=view.status is E.PAUSED)
        yield Emit("node.ready", who)
        return
    if graph.nodes[row.key.node].on_exhausted == "pause" and not (
        cancelling or view.doomed or tried == "person"
    ):
        yield Await(row.key, error, N.ATTENTION)
        yield Emit("node.attention", row.key, row.attempt, first)
        return
    yield End(row.key, N.FAILED, error=error)
    yield Emit("node.failed", row.key, row.attempt, data)
    if not graph.is_rescuer(row.key.node):
        yield Blame({"node": row.key.node, **error})
        fails_fast = graph.on_failure == "fail_fast" and row.key.node not in graph.undos
        if fails_fast and not (cancelling or view.doomed):
            yield Doom()
        yield from tell_dependents(graph, view, row.key, failed=1)
    elif (waiting := _waiting(graph, view, row.key)) is not None:
        about = {
            "error": brief(waiting.error or {}),
            "attempts": waiting.attempt,
            "outcome": Outcome.FAILED.value,
        }
        came: Tried = "fallback" if graph.nodes[row.key.node].handles is None else "boundary"
        yield from give_up(graph, view, waiting, waiting.error or {}, about, came)


def _waiting(graph: Graph, view: View, key: Key) -> Row | None:
    """Return the row that waits for the rescuer, unless a verb has ended it meanwhile."""
    whom = served(graph, view, key)
    row = view.rows.get(whom) if whom is not None else None
    return row if row is not None and row.status is N.WAITING else None


def passed(graph: Graph, view: View, key: Key, result: str | None) -> Iterator[Command]:
    """Tell the dependents that the node is ok; a rescuer's result stands as that of whom it has rescued."""
    if not graph.is_rescuer(key.node):
        yield from tell_dependents(graph, view, key, ok=1)
    elif (waiting := _waiting(graph, view, key)) is not None:
        yield End(waiting.key, N.RECOVERED, result=result, error=waiting.error)
        yield Emit("node.recovered", waiting.key, waiting.attempt, {"by": key.node})
        yield from passed(graph, view, waiting.key, result)


def not_needed(graph: Graph, key: Key, why: str) -> Iterator[Command]:
    """Skip the fallbacks of a node that did not need them, so that each node shows how it ended."""
    spec = graph.nodes[key.node]
    while spec.fallback is not None:
        fallback = Key(spec.fallback, for_node=spec.id)
        yield Birth(fallback)
        yield End(fallback, N.SKIPPED)
        yield Emit("node.skipped", fallback, data={"reason": f'"{key.node}" {why}'})
        spec = graph.nodes[spec.fallback]


def tell_dependents(
    graph: Graph, view: View, key: Key, *, ok: int = 0, failed: int = 0, skipped: int = 0
) -> Iterator[Command]:
    if view.status is E.CANCELLING or view.doomed:
        return  # nothing new starts
    yield from hand_on(graph, view, key)
    places = Places(graph)
    for node in graph.children[key.node]:
        child = Key(node)
        row = view.rows.get(child)
        if row is None:
            yield Birth(child)
            row = Row(child)
        elif row.status is not N.PENDING or row.held:
            continue  # its join decided earlier (any_success and its kin)
        yield Count(child, ok, failed, skipped)
        spec = graph.nodes[node]
        counts = Counts(len(spec.depends_on), row.ok + ok, row.failed + failed, row.skipped + skipped)
        outcomes = _outcomes(view, spec, key, "ok" if ok else "failed" if failed else "skipped")
        yield from _join(view, child, verdict(spec.join, counts, outcomes), places)


def _outcomes(view: View, spec: NodeSpec, key: Key, said: str) -> dict[str, str]:
    """Return how the node's predecessors have ended, where its join asks for that; `key` has just ended so."""
    if expression_of(spec.join) is None:
        return {}
    rows = {parent: view.rows.get(Key(parent)) for parent in spec.depends_on}
    ended = {parent: outcome for parent, row in rows.items() if row and (outcome := outcome_of(row.status))}
    return {**ended, key.node: said}


def outcome_of(status: NodeStatus) -> str | None:
    """Return how joins call the way a node has ended; None where it has not, or was cancelled."""
    if status in NODE_OK:
        return "ok"
    if status in NODE_FAILED:
        return "failed"
    return "skipped" if status is N.SKIPPED else None


def _join(view: View, key: Key, said: Verdict, places: Places) -> Iterator[Command]:
    if said is Verdict.RUN:
        yield from places.release(key, held=view.status is E.PAUSED)
    elif said is not Verdict.WAIT:
        yield Judge(key, said.value)


def others_with_rows(graph: Graph, key: Key) -> list[str]:
    """Return the other nodes whose rows an outcome of this one may touch, and that may have been there before it.

    These are dependents with further predecessors, and of a rescuer whom it serves, with their dependents.
    """
    if not key.for_node:
        found = [key.node] if key.index >= 0 else []  # the row of the map whose item it is
        return [*found, *_with_other_predecessors(graph, key.node)]
    found = list(concerned(graph, key))
    return [*found, *(child for node in found for child in _with_other_predecessors(graph, node))]


def _with_other_predecessors(graph: Graph, node: str) -> list[str]:
    found = [child for child in graph.children[node] if len(graph.nodes[child].depends_on) > 1]
    asking = (graph.nodes[child] for child in found)
    asked = [each for spec in asking if expression_of(spec.join) is not None for each in spec.depends_on]
    return [*found, *(each for each in asked if each != node)] if asked else found


def brief(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error without its traceback, as events carry it whose row keeps the error."""
    kept: dict[str, Any] = {n: error[n] for n in ("node", "type", "message", "code") if n in error}
    if len(str(kept.get("message", ""))) > 2000:
        kept["message"] = str(kept["message"])[:2000] + "…"
    return kept


def told(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error as the event of an attempt carries it that does not end the row: nobody else keeps it."""
    traceback = error.get("traceback")
    return {**brief(error), "traceback": tail(str(traceback))} if traceback else brief(error)


def tail(traceback: str) -> str:
    """Return what is kept of an attempt's traceback: its end."""
    return traceback if len(traceback) <= TRACEBACK_KEPT else "…" + traceback[1 - TRACEBACK_KEPT :]
