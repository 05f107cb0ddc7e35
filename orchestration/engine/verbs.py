"""What follows from a person's act: cancel, terminate, pause, resume, retry. Pure, like `decide`.

The view must hold every live row for cancel, terminate, pause and resume, and every present row for retry.
"""

from __future__ import annotations

from typing import Any

from .decide import counts_of, live_rows
from .durations import spell
from .errors import IllegalMove
from .follow import outcome_of
from .graph import Graph, suggest
from .joins import Counts, Verdict, verdict
from .recovery import owner
from .states import EXECUTION_TERMINAL, NODE_TERMINAL, ExecutionStatus, NodeStatus
from .view import (
    Birth,
    Blame,
    Command,
    Count,
    Emit,
    End,
    Hold,
    Judge,
    Key,
    Move,
    Release,
    Reopen,
    Supersede,
    View,
)

N, E = NodeStatus, ExecutionStatus
About = dict[str, Any]

LEGAL: dict[str, frozenset[ExecutionStatus]] = {
    "cancel": frozenset(E) - EXECUTION_TERMINAL - {E.CANCELLING, E.COMPENSATING},
    "terminate": frozenset(E) - EXECUTION_TERMINAL,
    "pause": frozenset({E.RUNNING, E.BLOCKED}),
    "resume": frozenset({E.PAUSED}),
    "retry": frozenset({E.FAILED, E.CANCELLED, E.TERMINATED}),
}
_HINTS = {
    "cancel": "There is nothing left to cancel.",
    "terminate": "There is nothing left to terminate.",
    "pause": "Only a running execution can be paused.",
    "resume": "Only a paused execution can be resumed.",
    "retry": "Only one that failed, was cancelled or was terminated can be retried.",
}


def check(verb: str, status: ExecutionStatus, execution_id: Any) -> None:
    """Raise IllegalMove, with a sentence, unless the verb is legal in this status."""
    if status not in LEGAL[verb]:
        hint = (
            "It is being cancelled already." if (verb, status) == ("cancel", E.CANCELLING) else _HINTS[verb]
        )
        raise IllegalMove(id=execution_id, state=status.value, verb=f"be {_PAST[verb]}", hint=hint)


_PAST = {
    "cancel": "cancelled",
    "terminate": "terminated",
    "pause": "paused",
    "resume": "resumed",
    "retry": "retried",
}


def cancel(view: View, about: About) -> list[Command]:
    """Cancel what has not begun; what runs is asked to stop, and ends by its own settle."""
    commands: list[Command] = [Move(E.CANCELLING), Emit("execution.cancelling", data=about)]
    for row in live_rows(view):
        if row.status is not N.RUNNING:
            commands += _end_row(row.key, row.status)
    return commands


def expire(view: View, timeout: float) -> list[Command]:
    """The execution's own time is over: cancel what has not begun, ask the rest to stop, end as FAILED."""
    message = f"The execution ran longer than its timeout of {spell(timeout)}."
    error = {"type": "ExecutionTimeout", "code": "execution_timeout", "message": message}
    about = {"reason": message}
    already = view.status is E.CANCELLING
    return [Blame(error, expired=True), *([] if already else cancel(view, about))]


def fail_fast(view: View) -> list[Command]:
    """A node has failed in a workflow that fails fast: cancel what is left; the execution ends as FAILED."""
    return cancel(view, {"reason": "A node failed, and the workflow fails fast."})


def terminate(view: View, about: About) -> list[Command]:
    """End everything at once; late results are refused because the rows are no longer leased."""
    commands: list[Command] = []
    for row in live_rows(view):
        commands += _end_row(row.key, row.status)
    return [*commands, Move(E.TERMINATED), Emit("execution.terminated", data=about)]


def _end_row(key: Key, status: NodeStatus) -> list[Command]:
    # As far as the log is concerned a PENDING row was never there; its end is told all the same, once.
    return [End(key, N.CANCELLED), Emit("node.cancelled", key, data={"was": status.value})]


def pause(view: View, about: About) -> list[Command]:
    """Hold back what is READY; what runs goes on, what it releases is held."""
    commands: list[Command] = [Move(E.PAUSED), Emit("execution.paused", data=about)]
    return commands + [Hold(row.key, True) for row in live_rows(view) if row.status is N.READY]


def resume(view: View, about: About) -> list[Command]:
    """Let held rows go."""
    commands: list[Command] = [Move(E.RUNNING), Emit("execution.resumed", data=about)]
    commands += [Hold(row.key, False) for row in live_rows(view) if row.held]
    if view.blocked:
        reason = {"reason": "code is still missing for a node"}
        commands += [Move(E.BLOCKED), Emit("execution.blocked", data=reason)]
    return commands


def unblock(view: View, keys: list[Key]) -> list[Command]:
    """Make BLOCKED rows READY whose code is back, and the execution RUNNING when none is left."""
    paused = view.status is E.PAUSED
    commands: list[Command] = []
    for key in keys:
        commands += [
            Release(key, held=paused),
            Emit("node.ready", key, data={"reason": "its code is here again"}),
        ]
    if view.status is E.BLOCKED and view.blocked == len(keys):
        commands += [
            Move(E.RUNNING),
            Emit("execution.resumed", data={"reason": "the missing code is here again"}),
        ]
    return commands


# --- retry -----------------------------------------------------------------------------------------


def retry(
    graph: Graph, view: View, about: About, execution_id: Any, node: str | None = None
) -> list[Command]:
    """Reopen: set aside what failed (or `node`) and all that followed from it, keep the rest, and go on from there."""
    roots = _what_to_redo(graph, view, execution_id, node)
    aside = roots | graph.descendants(roots)
    # What ran for a node goes with it.
    gone = [key for key in view.rows if owner(graph, key) in aside]
    generation = view.generation + 1
    plain = {key: row for key, row in view.rows.items() if not graph.is_rescuer(key.node)}
    still = [row for key, row in plain.items() if row.status is N.FAILED and key.node not in aside]
    commands: list[Command] = [
        Reopen(
            generation, len(still), {"node": still[0].key.node, **(still[0].error or {})} if still else None
        ),
        Move(E.RUNNING, verb=True),
        Emit("execution.reopened", data={**about, "generation": generation}),
    ]
    for key in gone:
        commands += [Supersede(key), Emit("node.reset", key, data={"generation": generation})]
    kept = {
        key.node: row.status
        for key, row in plain.items()
        if key.node not in aside and row.status in NODE_TERMINAL
    }
    return commands + _frontier(graph, kept)


def _what_to_redo(graph: Graph, view: View, execution_id: Any, node: str | None) -> set[str]:
    """Return where to begin again: what was cancelled always (nothing else would ever end it), and what failed."""
    plain = {key.node: row.status for key, row in view.rows.items() if not graph.is_rescuer(key.node)}
    cancelled = {node for node, status in plain.items() if status is N.CANCELLED}
    failed = {node for node, status in plain.items() if status is N.FAILED}
    if node is None:
        return cancelled | failed
    if node not in graph.nodes:
        hint = suggest(node, graph.nodes)
        raise IllegalMove(
            id=execution_id, state="of a version without it", verb=f'retry node "{node}"', hint=hint
        )
    if graph.is_rescuer(node):
        hint = "It runs when another node fails: retry that one."
        raise IllegalMove(id=execution_id, state=view.status.value, verb=f'retry node "{node}"', hint=hint)
    if node not in cancelled | failed:
        hint = f'Only a node that failed or was cancelled can be retried; "{node}" did neither.'
        raise IllegalMove(id=execution_id, state=view.status.value, verb=f'retry node "{node}"', hint=hint)
    return cancelled | {node}


def _frontier(graph: Graph, kept: dict[str, NodeStatus]) -> list[Command]:
    """Return the births of every node that is not kept and has an ended predecessor, or none at all."""
    commands: list[Command] = []
    for spec in graph.nodes.values():
        ended = [kept[parent] for parent in spec.depends_on if parent in kept]
        if spec.id in kept or graph.is_rescuer(spec.id) or (spec.depends_on and not ended):
            continue
        key, counts = Key(spec.id), counts_of(ended)
        commands += [Birth(key), Count(key, **counts)]
        outcomes = {node: how for node in spec.depends_on if node in kept and (how := outcome_of(kept[node]))}
        said = verdict(spec.join, Counts(len(spec.depends_on), **counts), outcomes)
        if said is Verdict.RUN:
            commands += [Release(key), Emit("node.ready", key)]
        elif said is not Verdict.WAIT:
            commands.append(Judge(key, said.value))
    return commands
