"""What people do to an execution as a whole: each act is one transaction under its lock. (Retry: see `again`.)"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine import verbs
from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Command, Key

from . import sql
from .locked import LIVE, Locked, load_rows, lock, lock_one
from .outcomes import close
from .versions import graph_of
from .wakeups import wake
from .write import write

About = dict[str, Any]


def cancel(id: uuid.UUID, about: About, using: str = DEFAULT_DB_ALIAS, *, rollback: bool = False) -> None:
    """Cancel what has not begun and ask the rest to stop; with `rollback`, then undo what succeeded.

    Raises IllegalMove, UnknownExecution.
    """
    told = {**about, "rollback": True} if rollback else about
    _act(id, "cancel", told, lambda item: verbs.cancel(item.view, about, rollback=rollback), using)


def terminate(id: uuid.UUID, about: About, using: str = DEFAULT_DB_ALIAS) -> None:
    """End everything at once; late results are refused. Raises IllegalMove, UnknownExecution."""
    _act(id, "terminate", about, lambda item: verbs.terminate(item.view, about), using)


def pause(id: uuid.UUID, about: About, using: str = DEFAULT_DB_ALIAS) -> None:
    """Start nothing new. Raises IllegalMove, UnknownExecution."""
    _act(id, "pause", about, lambda item: verbs.pause(item.view, about), using)


def resume(id: uuid.UUID, about: About, using: str = DEFAULT_DB_ALIAS) -> None:
    """Let a paused execution go on. Raises IllegalMove, UnknownExecution."""
    _act(id, "resume", about, lambda item: verbs.resume(item.view, about), using)


def expire(id: uuid.UUID, using: str = DEFAULT_DB_ALIAS) -> bool:
    """End an execution whose own deadline has passed; False when it was not due after all."""
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        for item in lock(connection, [id], graph_of).values():
            if item.view.status.is_terminal or item.timeout_at is None or item.timeout_at > item.now:
                return False
            if item.stops:
                item.timeout_at = None
                _carry_out(connection, item, lambda it: verbs.fail_fast(it.view))
                return True
            item.timeout_at, item.cause = None, {"verb": "timeout", "by": "system"}
            _carry_out(connection, item, lambda it: verbs.expire(it.view, it.graph.timeout or 0.0))
    return True


def unblock(id: uuid.UUID, nodes: Iterable[str], using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the execution's BLOCKED rows of these nodes READY: their code is here."""
    connection, names = connections[using], set(nodes)
    with transaction.atomic(using=using, savepoint=False):
        for item in lock(connection, [id], graph_of, skip=True).values():
            _carry_out(connection, item, lambda it: verbs.unblock(it.view, _blocked(it, names)))


def _blocked(item: Locked, names: set[str]) -> list[Key]:
    rows = item.view.rows.values()
    return [row.key for row in rows if row.status is NodeStatus.BLOCKED and row.key.node in names]


def _act(
    id: uuid.UUID,
    verb: str,
    about: About,
    decide: Callable[[Locked], list[Command]],
    using: str,
) -> None:
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        item = lock_one(connection, id)
        verbs.check(verb, item.view.status, id)
        item.cause = {"verb": verb, **about, "at": item.now.isoformat()}
        _carry_out(connection, item, decide)


def _carry_out(
    connection: BaseDatabaseWrapper,
    item: Locked,
    decide: Callable[[Locked], list[Command]],
) -> None:
    load_rows(connection, {item.id: item}, f"n.execution_id = %s AND {LIVE}", [sql.key(connection, item.id)])
    item.run(decide(item))
    close(connection, [item])
    write(connection, [item])
    wake(connection)
