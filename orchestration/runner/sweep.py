"""The sweep: what nobody holds any more goes on. Any cluster may do it; two at once settle each thing once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from orchestration import executor
from orchestration.engine.errors import UnknownTask
from orchestration.registry import body_of
from orchestration.store import acts, deliveries, leases, limits, timers
from orchestration.store.halted import unless_locked
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle, settle_waves
from orchestration.store.versions import graph_of

from .maps import finding


def sweep() -> None:
    """Take up expired leases, passed deadlines, unsettled verdicts, and blocked nodes whose code is here."""
    settle_lost(leases.expired())
    for execution_id in leases.overdue():
        with unless_locked():
            acts.expire(execution_id)
    if due := timers.due():
        timers.fire(due)
    executor.deliver_events()
    deliveries.bring_left_over()
    for execution_id, key in limits.expiring():
        with unless_locked():
            limits.expire(execution_id, key)
    for execution_id in leases.unsettled():
        with unless_locked():
            settle_waves(execution_id)
    unblock()


def take_over(worker: uuid.UUID, pid: int | None = None) -> None:
    """Take up at once what a dead process held, without waiting for its leases to end."""
    settle_lost(leases.expired(1000, worker=worker, pid=pid))


def settle_lost(lost: Iterable[Settled]) -> None:
    """Settle what was lost; what others have locked is left to the next sweep."""
    todo = list(lost)
    while todo:
        first = todo[0].claim.execution_id  # the one whose lock is waited for
        left = [outcome for outcome in todo if outcome.claim.execution_id != first]
        with unless_locked():
            report = settle(todo)
            for execution_id in report.unfinished:
                settle_waves(execution_id)
            left = report.left if len(report.left) < len(todo) else []
        todo = left


def unblock() -> None:
    """Release blocked nodes whose code this process has."""
    here: dict[uuid.UUID, set[str]] = {}
    for execution_id, version_id, node in leases.blocked():
        try:
            body_of(graph_of(version_id), node, finding=finding)
        except UnknownTask:
            continue
        here.setdefault(execution_id, set()).add(node)
    for execution_id, nodes in here.items():
        acts.unblock(execution_id, nodes)
