"""Claiming: READY rows become RUNNING under a lease and a fence, most urgent first, in one statement."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.decide import ALONE_AFTER
from orchestration.engine.view import Key

from . import clock, sql
from .locked import Claimer, read_uuid
from .sql import execute


@dataclass(frozen=True, slots=True)
class Claim:
    """A node run that is ours until the lease ends; `fence` proves it at the settle."""

    run_id: int
    execution_id: uuid.UUID
    version_id: int
    key: Key
    attempt: int
    fence: int
    losses: int = 0
    queued: float | None = None  # ms from ready to claimed


def claim(
    claimer: Claimer, limit: int, *, lost_too: bool = True, using: str = DEFAULT_DB_ALIAS
) -> list[Claim]:
    """Claim up to `limit` rows in a transaction of their own."""
    connection = connections[using]
    if not sql.is_postgres(connection) and not anything_due(claimer, using=using):
        return []  # else every idle look would take SQLite's one write lock
    with transaction.atomic(using=using, savepoint=False):
        return claim_within(connection, claimer, limit, lost_too=lost_too)


def claim_within(
    connection: BaseDatabaseWrapper, claimer: Claimer, limit: int, *, lost_too: bool = True
) -> list[Claim]:
    """Claim up to `limit` rows in the open transaction, as its last act: it waits for nobody's lock.

    A row that was lost again and again is claimed alone (or not at all, without `lost_too`), so that a body that
    kills its process takes nobody along.
    """
    condition, params = _claimable(connection, claimer)
    text = f"""
        WITH candidate AS (
            SELECT id, losses, priority, available_at FROM orchestration_noderun
            WHERE {condition} {"" if lost_too else f"AND losses < {ALONE_AFTER}"}
            ORDER BY priority, available_at, id LIMIT %s {sql.for_update(connection, skip=True)}
        ), ranked AS (
            SELECT id, row_number() OVER w AS place, max(losses) OVER w AS worst FROM candidate
            WINDOW w AS (ORDER BY priority, available_at, id)
        ), chosen AS (SELECT id FROM ranked WHERE worst < {ALONE_AFTER} OR place = 1)
        UPDATE orchestration_noderun SET status = 'running', worker = %s, pid = %s,
            fence = fence + 1, attempt = attempt + 1, started_at = NULL, progress = NULL,
            alone = ((SELECT count(*) FROM chosen) = 1 AND %s),
            lease_until = {clock.sql(connection, claimer.lease)}
        WHERE id IN (SELECT id FROM chosen) AND status = 'ready'
        RETURNING id, execution_id, node, "index", for_node, attempt, fence, losses, ready_at,
            (SELECT version_id FROM orchestration_execution e WHERE e.id = execution_id), {clock.sql(connection)},
            priority, available_at, {sql.idle_limit(connection)}
    """
    worker = sql.key(connection, claimer.worker)
    rows = execute(connection, text, [*params, limit, worker, claimer.pid, lost_too])
    # RETURNING has no order of its own: begin with the most urgent.
    return [_claim(row) for row in sorted(rows, key=lambda row: (row[11], row[12], row[0]))]


def _claimable(connection: BaseDatabaseWrapper, claimer: Claimer) -> tuple[str, list[Any]]:
    due = f"status = 'ready' AND NOT held AND lane = %s AND available_at <= {clock.sql(connection)}"
    if len(claimer.queues) == 1:  # an equality keeps the index's order: no sort
        return f"{due} AND queue = %s", [claimer.lane, claimer.queues[0]]
    condition, param = sql.one_of(connection, "queue", claimer.queues, "text")
    return f"{due} AND {condition}", [claimer.lane, param]


def _claim(row: Sequence[Any]) -> Claim:
    queued = (clock.read(row[10]) - clock.read(row[8])).total_seconds() * 1000 if row[8] is not None else None
    return Claim(
        run_id=row[0],
        execution_id=read_uuid(row[1]),
        version_id=row[9],
        key=Key(row[2], row[3], row[4]),
        attempt=row[5],
        fence=row[6],
        losses=row[7],
        queued=round(queued, 1) if queued is not None else None,
    )


def anything_due(claimer: Claimer, *, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Say whether something may be claimed now, without taking a lock."""
    connection = connections[using]
    condition, params = _claimable(connection, claimer)
    return bool(execute(connection, f"SELECT 1 FROM orchestration_noderun WHERE {condition} LIMIT 1", params))


def next_due(claimer: Claimer, *, using: str = DEFAULT_DB_ALIAS) -> float | None:
    """Return the seconds until the next row may be claimed (0 if one may now), or None when none is to come."""
    connection = connections[using]
    condition, param = sql.one_of(connection, "queue", claimer.queues, "text")
    text = (
        f"SELECT min(available_at), {clock.sql(connection)} FROM orchestration_noderun"
        f" WHERE status = 'ready' AND NOT held AND lane = %s AND {condition}"
    )
    first, now = execute(connection, text, [claimer.lane, param])[0]
    return max(0.0, (clock.read(first) - clock.read(now)).total_seconds()) if first is not None else None
