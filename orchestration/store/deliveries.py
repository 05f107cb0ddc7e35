"""Bringing deliveries: each in a transaction that locks only whom it is for, and takes the row away; so exactly once.

Whoever wrote some brings them when that has committed (`owed.soon`); the sweep brings what is left over.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable

from django.db import DEFAULT_DB_ALIAS, connections
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.caching.lightly import returning
from orchestration.engine import verbs

from . import acts, children, clock, deliver, sql
from .locked import lock, lock_statement, read_locked, read_uuid
from .sql import Statement, execute
from .transaction import transaction
from .versions import graph_of

SOME = 20  # targets that whoever wrote deliveries brings at once
BUDGET = 0.5  # seconds of a sweep
Bring = Callable[[BaseDatabaseWrapper, uuid.UUID, bool], None]


def bring_some(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Bring what is owed to a few targets, waiting for the lock of each."""
    _bring(due(SOME, using), False, using)


def bring_left_over(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Bring what is there; targets that somebody else has locked are left out."""
    if not execute(connections[using], "SELECT 1 FROM orchestration_delivery LIMIT 1", []):
        return
    end, before = time.monotonic() + BUDGET, None
    while (found := due(100, using)) and found != before and time.monotonic() < end:
        _bring(found, True, using)
        before = found


def due(limit: int, using: str = DEFAULT_DB_ALIAS) -> list[tuple[uuid.UUID, str]]:
    """Return (target, kind) of what is to be brought, the oldest first; what need not be is dropped."""
    connection = connections[using]
    text = "SELECT target, kind FROM orchestration_delivery GROUP BY target, kind ORDER BY min(id) LIMIT %s"
    _, found = sql.run(connection, [_drop_of_unfinished_calls(connection), (text, [limit])])
    return [(read_uuid(target), kind) for target, kind in found]


def _bring(found: list[tuple[uuid.UUID, str]], skip: bool, using: str) -> None:
    for target, kind in found:
        KINDS[kind](connections[using], target, skip)


def _drop_of_unfinished_calls(connection: BaseDatabaseWrapper) -> Statement:
    """Return what drops the ends of children whose call has others that still run: the last one wakes the parent.

    No lock is needed: of two that end at once, whoever looks later sees both. Nor is the disk waited for: what comes
    back with the server is dropped again.
    """
    text = (
        "DELETE FROM orchestration_delivery WHERE id IN (SELECT d.id FROM orchestration_delivery d"
        " WHERE d.kind = 'child' AND EXISTS (SELECT 1 FROM orchestration_child c JOIN orchestration_child o"
        " ON o.node_run_id = c.node_run_id AND o.key = c.key WHERE c.execution_id = d.source AND o.open AND o.awaited"
        f" AND NOT o.replaced) {sql.for_update(connection, skip=True, of='d')}) {returning(connection, 'id')}"
    )
    return text, []


# --- the end of a child, for its parent ------------------------------------------------------------


def _child(connection: BaseDatabaseWrapper, target: uuid.UUID, skip: bool) -> None:
    """Let bodies go on all of whose children have ended. One that is not parked yet sees so when it is."""
    with transaction(connection) as turn:
        locked, [[now]], owed, waits = turn.run(
            [
                lock_statement(connection, [target], skip=skip, brief=True),
                (f"SELECT {clock.sql(connection)}", []),
                _rows_of(connection, target, "child"),
                _asking(connection, target),
            ]
        )
        items, brought = read_locked(locked, graph_of), deliver.Delivery()
        if skip and not items:
            return
        found = deliver.read(items, waits)
        for wait, over in children.over_of(turn, found):
            item = items[wait.execution_id]
            item.now = clock.read(now)
            brought.bring(item, wait, children.REASON, came=over, value=str(wait.attempt))
        condition, ids = sql.one_of(connection, "id", [row[0] for row in owed], "bigint")
        taken = (f"DELETE FROM orchestration_delivery WHERE {condition}", [ids])
        turn.finish([*deliver.writing(connection, items.values(), brought), taken])


def _rows_of(connection: BaseDatabaseWrapper, target: uuid.UUID, kind: str) -> Statement:
    text = "SELECT id FROM orchestration_delivery WHERE target = %s AND kind = %s"
    return text, [sql.key(connection, target), kind]


def _asking(connection: BaseDatabaseWrapper, target: uuid.UUID) -> Statement:
    condition = (
        "w.kind = 'child' AND w.execution_id = %s AND w.node_run_id IN (SELECT c.node_run_id"
        " FROM orchestration_delivery d JOIN orchestration_child c ON c.execution_id = d.source"
        " WHERE d.target = %s AND d.kind = 'child')"
    )
    key = sql.key(connection, target)
    return deliver.asking(connection, condition, [key, key])


# --- the end of a parent, for its children ---------------------------------------------------------


def _close(verb: str) -> Bring:
    def bring(connection: BaseDatabaseWrapper, target: uuid.UUID, skip: bool) -> None:
        with django_transaction.atomic(using=connection.alias, savepoint=False):
            items = lock(connection, [target], graph_of, skip=skip)
            if skip and not items:
                return
            text = (
                "DELETE FROM orchestration_delivery WHERE target = %s AND kind = %s"
                f" RETURNING {sql.json_text(connection, 'about')}"
            )
            rows = execute(connection, text, [sql.key(connection, target), verb])
            if rows and items and items[target].view.status in verbs.LEGAL[verb]:
                _end(connection, target, verb, json.loads(rows[0][0]))

    return bring


def _end(connection: BaseDatabaseWrapper, target: uuid.UUID, verb: str, about: dict[str, object]) -> None:
    rollback = bool(about.pop("rollback", False))
    if verb == "cancel":
        acts.cancel(target, about, connection.alias, rollback=rollback)
    else:
        acts.terminate(target, about, connection.alias)


KINDS: dict[str, Bring] = {"child": _child, "cancel": _close("cancel"), "terminate": _close("terminate")}
