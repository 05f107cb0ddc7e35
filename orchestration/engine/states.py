"""States of executions and nodes, and the tables of legal moves: all legality lives here.

A *settle* (what workers, the sweep and cancellation do) follows SETTLE tables, which never leave a terminal
state. Only a *verb* of a person (retry and its kin) may reopen, by the VERB tables, and raises the generation.

PENDING means: some predecessors have ended, the join has not decided; or it has, and the row stands in line for its
turn (see `line`). As far as the log is concerned a PENDING row is the same as no row. A RUNNING row whose `started_at`
is empty has been claimed but not begun; as far as the log is concerned it is still READY (see `fold`).
"""

from __future__ import annotations

from enum import StrEnum

from .errors import IllegalTransition


class ExecutionStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    BLOCKED = "blocked"
    CANCELLING = "cancelling"
    COMPENSATING = "compensating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"

    @property
    def is_terminal(self) -> bool:
        return self in EXECUTION_TERMINAL


class NodeStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    ATTENTION = "attention"
    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    RECOVERED = "recovered"
    FAILED = "failed"
    UPSTREAM_FAILED = "upstream_failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in NODE_TERMINAL


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SUSPENDED = "suspended"
    LOST = "lost"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"  # its `when` said no
    SPREAD = "spread"  # a map's items have been found
    # Not an end: the claim is given back unbegun, or the code for the node is not here.
    RELEASED = "released"
    BLOCKED = "blocked"


E, N = ExecutionStatus, NodeStatus

EXECUTION_TERMINAL = frozenset({E.SUCCEEDED, E.FAILED, E.CANCELLED, E.TERMINATED})
NODE_TERMINAL = frozenset({N.SUCCEEDED, N.RECOVERED, N.FAILED, N.UPSTREAM_FAILED, N.SKIPPED, N.CANCELLED})
EXECUTION_LIVE = frozenset(E) - EXECUTION_TERMINAL
NODE_LIVE = frozenset(N) - NODE_TERMINAL
NODE_OK = frozenset({N.SUCCEEDED, N.RECOVERED})
NODE_FAILED = frozenset({N.FAILED, N.UPSTREAM_FAILED})

_ENDS = EXECUTION_TERMINAL
EXECUTION_SETTLE: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    E.QUEUED: frozenset({E.RUNNING, E.CANCELLING, E.CANCELLED, E.FAILED, E.TERMINATED}),
    E.RUNNING: _ENDS | {E.PAUSED, E.BLOCKED, E.CANCELLING, E.COMPENSATING},
    E.PAUSED: _ENDS | {E.RUNNING, E.BLOCKED, E.CANCELLING, E.COMPENSATING},
    E.BLOCKED: _ENDS | {E.RUNNING, E.PAUSED, E.CANCELLING, E.COMPENSATING},
    E.CANCELLING: frozenset({E.COMPENSATING, E.CANCELLED, E.FAILED, E.TERMINATED}),
    E.COMPENSATING: frozenset({E.CANCELLED, E.FAILED, E.TERMINATED}),
    **{status: frozenset() for status in EXECUTION_TERMINAL},
}
EXECUTION_VERB: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    E.SUCCEEDED: frozenset({E.RUNNING}),
    E.FAILED: frozenset({E.RUNNING, E.COMPENSATING}),  # the latter to try a failed undo again
    E.CANCELLED: frozenset({E.RUNNING}),
    E.TERMINATED: frozenset({E.RUNNING}),
}

_NODE_ENDS = NODE_TERMINAL
NODE_SETTLE: dict[NodeStatus, frozenset[NodeStatus]] = {
    # To WAITING at once: a map some of whose items run again, the others being kept.
    N.PENDING: frozenset(
        {N.READY, N.RUNNING, N.WAITING, N.RECOVERED, N.SKIPPED, N.UPSTREAM_FAILED, N.CANCELLED}
    ),
    N.READY: frozenset(
        {N.RUNNING, N.WAITING, N.ATTENTION, N.BLOCKED, N.RECOVERED, N.FAILED, N.SKIPPED, N.CANCELLED}
    ),
    N.RUNNING: frozenset(
        {
            N.READY,
            N.WAITING,
            N.ATTENTION,
            N.BLOCKED,
            N.SUCCEEDED,
            N.RECOVERED,
            N.FAILED,
            N.SKIPPED,
            N.CANCELLED,
        }
    ),
    N.WAITING: frozenset({N.READY, N.ATTENTION, N.SUCCEEDED, N.RECOVERED, N.SKIPPED, N.FAILED, N.CANCELLED}),
    N.ATTENTION: frozenset({N.READY, N.WAITING, N.SUCCEEDED, N.RECOVERED, N.SKIPPED, N.FAILED, N.CANCELLED}),
    N.BLOCKED: frozenset({N.READY, N.RECOVERED, N.FAILED, N.SKIPPED, N.CANCELLED}),
    **{status: frozenset() for status in NODE_TERMINAL},
}


def check_execution_move(before: ExecutionStatus, after: ExecutionStatus, *, verb: bool = False) -> None:
    """Raise IllegalTransition unless the move is in the table."""
    if after in EXECUTION_SETTLE[before] or (verb and after in EXECUTION_VERB.get(before, ())):
        return
    raise IllegalTransition(kind="execution", before=before.value, after=after.value)


def check_node_move(before: NodeStatus, after: NodeStatus) -> None:
    """Raise IllegalTransition unless the move is in the table."""
    if after not in NODE_SETTLE[before]:
        raise IllegalTransition(kind="node", before=before.value, after=after.value)
