"""What follows from a person's act: cancel, terminate, pause, resume. Pure, like `decide`. (Retry: see `redo`.)

The view must hold every live row.
"""

from __future__ import annotations

from typing import Any

from .decide import live_rows
from .durations import spell
from .errors import IllegalMove
from .states import EXECUTION_TERMINAL, ExecutionStatus, NodeStatus
from .view import (
    Blame,
    Command,
    Emit,
    End,
    Hold,
    Key,
    Move,
    Release,
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
    "rerun": frozenset(E),
    "fork": frozenset(E),
    "signal": frozenset(E) - EXECUTION_TERMINAL,
}
_HINTS = {
    "cancel": "There is nothing left to cancel.",
    "terminate": "There is nothing left to terminate.",
    "pause": "Only a running execution can be paused.",
    "resume": "Only a paused execution can be resumed.",
    "retry": "Only one that failed, was cancelled or was terminated can be retried; one that succeeded, from a node.",
    "signal": "Nothing in it waits any more.",
}


def check(verb: str, status: ExecutionStatus, execution_id: Any, node: str | None = None) -> None:
    """Raise IllegalMove, with a sentence, unless the verb is legal in this status; a success is retried from a node."""
    retried = verb == "retry" and node is not None and status is E.SUCCEEDED
    if status not in LEGAL[verb] and not retried:
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
    "rerun": "rerun",
    "fork": "forked",
    "signal": "sent a signal",
}


def cancel(view: View, about: About, *, rollback: bool = False) -> list[Command]:
    """Cancel what has not begun; what runs is asked to stop, and ends by its own settle. Then what succeeded is undone,
    with `rollback`."""
    told = {**about, "rollback": True} if rollback else about
    commands: list[Command] = [
        Move(E.CANCELLING, rollback=rollback),
        Emit("execution.cancelling", data=told),
    ]
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
    commands += [Hold(row.key, False) for row in live_rows(view) if row.held and row.status is N.READY]
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
