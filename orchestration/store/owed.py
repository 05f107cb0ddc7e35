"""What executions owe others: a child's end to its parent, a parent's end to its children.

It is written as deliveries in the commit that causes it, and brought afterwards (`deliveries`), in a transaction that
locks only whom it is for.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from . import clock, sql
from .locked import Locked
from .sql import Statement

_CLOSING = ("execution.cancelling", "execution.compensating")
_TO_CLOSE = "c.open AND NOT c.asked AND c.on_close <> 'abandon'"
_PARENT = {"id": "uuid", "about": "json"}


def concerns(item: Locked) -> bool:
    """Say whether others are to hear of what was decided here."""
    return bool(item.events) and (_ends_for_a_parent(item) or _closes(item))


def statements(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> list[Statement]:
    """Return what writes the deliveries; to follow what writes the executions."""
    owing = [item for item in items if concerns(item)]
    writing: list[Statement] = []
    if ended := [item.id for item in owing if _ends_for_a_parent(item)]:
        writing += _tell_parents(connection, ended)
    if closing := [item for item in owing if _closes(item)]:
        writing += _close_children(connection, closing)
    return writing


def soon(connection: BaseDatabaseWrapper) -> None:
    """Bring some of what is owed once this commits; what is left, or fails, the sweep brings."""
    from .deliveries import bring_some

    def bring_what_is_owed() -> None:  # Django names in the log what fails here; a partial has no name
        bring_some(using=connection.alias)

    transaction.on_commit(bring_what_is_owed, using=connection.alias, robust=True)


def _ends_for_a_parent(item: Locked) -> bool:
    return item.parent is not None and item.view.status.is_terminal


def _closes(item: Locked) -> bool:
    # Entering, not being: what an undo starts later is not concerned.
    return item.children > 0 and (
        item.view.status.is_terminal or any(event["type"] in _CLOSING for event in item.events)
    )


def _tell_parents(connection: BaseDatabaseWrapper, ids: Sequence[uuid.UUID]) -> list[Statement]:
    """What a parent is told is what its child ended as for the first time."""
    keys = [sql.key(connection, id) for id in ids]
    condition, param = sql.one_of(connection, "c.execution_id", keys, "uuid")
    telling = (
        "INSERT INTO orchestration_delivery (target, kind, source, at)"
        f" SELECT c.parent_id, 'child', c.execution_id, {clock.sql(connection)} FROM orchestration_child c"
        f" WHERE {condition} AND c.open AND c.awaited AND NOT c.replaced"
    )
    keeping = (
        "UPDATE orchestration_child AS c SET open = false, status = e.status,"
        " output = CASE WHEN c.awaited THEN e.output END, error = CASE WHEN c.awaited THEN e.error END"
        f" FROM orchestration_execution e WHERE e.id = c.execution_id AND {condition} AND c.open"
    )
    return [(telling, [param]), (keeping, [param])]


def _close_children(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> list[Statement]:
    asking = (
        "INSERT INTO orchestration_delivery (target, kind, source, about, at)"
        f" SELECT c.execution_id, c.on_close, c.parent_id, r.about, {clock.sql(connection)}"
        f" FROM {sql.recordset(connection.vendor, _PARENT)} JOIN orchestration_child c ON c.parent_id = r.id"
        f" WHERE {_TO_CLOSE}"
    )
    about = [(item.id, json.dumps(_about(item))) for item in items]
    condition, param = sql.one_of(
        connection, "c.parent_id", [sql.key(connection, item.id) for item in items], "uuid"
    )
    noting = f"UPDATE orchestration_child AS c SET asked = true WHERE {condition} AND {_TO_CLOSE}"
    return [(asking, [sql.records(connection, about)]), (noting, [param])]


def _about(item: Locked) -> dict[str, object]:
    """Return what the children are told: who, why, and whether what succeeded is to be undone."""
    by = (item.cause or {}).get("by") or "system"
    reason = f"Its parent {item.id} is {item.view.status.value}."
    return {"by": by, "reason": reason, "parent": str(item.id), "rollback": item.view.rollback}
