"""Claiming: READY rows become RUNNING under a lease and a fence, most urgent first, in one statement."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.decide import ALONE_AFTER
from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Key, Row

from . import clock, sql
from .locked import Claimer, Locked, Times, execution_columns, read_execution, read_uuid
from .sql import Rows, Statement, execute
from .versions import graph_of


@dataclass(frozen=True, slots=True)
class Claim:
    """A node run that is ours until the lease ends; `fence` proves it at the settle.

    `known` is its execution as it was at the claim, which a settle may go by while the log has not grown since.
    """

    run_id: int
    execution_id: uuid.UUID
    version_id: int
    key: Key
    attempt: int
    fence: int
    losses: int = 0
    queued: float | None = None  # ms from ready to claimed
    left: float | None = None  # seconds from the claim to its deadline
    input: str | None = None  # JSON text, where a person has given it one of its own
    parked: int = 0  # how often its body has waited: it has a journal
    known: Locked | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Due:
    """What a look learns that finds nothing: the seconds until a row may be claimed, None when none is to come."""

    seconds: float | None = None


def claim(
    claimer: Claimer,
    limit: int,
    *,
    lost_too: bool = True,
    due: Due | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> list[Claim]:
    """Claim up to `limit` rows in a transaction of their own; where there is none, note when one is `due`."""
    connection, asked_at = connections[using], time.monotonic()
    asking = [_due_statement(connection, claimer)] if due is not None else []
    if sql.is_postgres(connection):
        claiming = claim_statement(connection, claimer, limit, lost_too=lost_too)
        rows, *told = sql.run(connection, [claiming, *asking])
    elif anything_due(claimer, using=using):
        with transaction.atomic(using=using, savepoint=False):
            rows = execute(connection, *claim_statement(connection, claimer, limit, lost_too=lost_too))
        told = sql.run(connection, asking)
    else:  # else every idle look would take SQLite's one write lock
        rows, told = [], sql.run(connection, asking)
    if due is not None:
        due.seconds = _read_due(told[0])
    return read_claims(rows, asked_at)


def claim_statement(
    connection: BaseDatabaseWrapper, claimer: Claimer, limit: int, *, lost_too: bool = True
) -> Statement:
    """Return what claims up to `limit` rows; it waits for nobody's lock.

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
        UPDATE {_TABLE} SET status = 'running', worker = %s, pid = %s,
            fence = {_TABLE}.fence + 1, attempt = {_TABLE}.attempt + 1, started_at = NULL, progress = NULL,
            expires_at = {_TABLE}.deadline_at,
            alone = ((SELECT count(*) FROM chosen) = 1 AND %s),
            lease_until = {clock.sql(connection, claimer.lease)}
        {_JOINED if sql.is_postgres(connection) else _ALONE}
        RETURNING {", ".join(f'{_TABLE}."{name}"' for name in _RETURNED)}, {clock.sql(connection)},
            {sql.json_text(connection, f"{_TABLE}.input")},
            {execution_columns(connection) if sql.is_postgres(connection) else _VERSION}
    """
    worker = sql.key(connection, claimer.worker)
    return text, [*params, limit, worker, claimer.pid, lost_too]


_TABLE = "orchestration_noderun"  # SQLite's RETURNING does not know an alias
_RETURNED = (
    *(
        "execution_id",
        "id",
        "node",
        "index",
        "for_node",
        "attempt",
        "fence",
        "losses",
        "priority",
        "available_at",
    ),
    *("ready_at", "alone", "ok", "failed", "skipped", "deadline_at", "parked"),
)
_ALONE = f"WHERE {_TABLE}.id IN (SELECT id FROM chosen) AND {_TABLE}.status = 'ready'"
# As an array, the rows are looked up: joined, a plan made for a small table reads all of it, for each.
_JOINED = (
    f"FROM orchestration_execution e WHERE {_TABLE}.id = ANY(ARRAY(SELECT id FROM chosen))"
    f" AND {_TABLE}.status = 'ready' AND e.id = {_TABLE}.execution_id"
)
# SQLite's RETURNING sees the updated table alone. It has no use for the execution: its settles always take the lock.
_VERSION = "NULL, (SELECT e.version_id FROM orchestration_execution e WHERE e.id = execution_id)"
_EXECUTION = len(_RETURNED) + 2  # where the execution's columns begin; its version is the second of them


def read_claims(rows: Rows, asked_at: float) -> list[Claim]:
    """Return the claims that the statement made, the most urgent first; those of one execution know the same one."""
    known: dict[uuid.UUID, Locked] = {}
    # RETURNING has no order of its own.
    ordered = sorted(rows, key=lambda row: (row[8], row[9], row[1]))
    claims = [_claim(row, known) for row in ordered]
    for item in known.values():
        item.note_time(asked_at)
    return claims


def _claim(row: Sequence[Any], known: dict[uuid.UUID, Locked]) -> Claim:
    id, key = read_uuid(row[0]), Key(row[2], row[3], row[4])
    item, ready_at = known.get(id), clock.read(row[10]) if row[10] is not None else None
    deadline = clock.read(row[15]) if row[15] is not None else None
    if item is None and row[_EXECUTION] is not None:
        item = known[id] = read_execution(row[_EXECUTION:], graph_of)
    if item is not None:
        ok, failed, skipped = row[12:15]
        item.view.rows[key] = Row(
            key, NodeStatus.RUNNING, attempt=row[5], losses=row[7], ok=ok, failed=failed, skipped=skipped
        )
        item.times[key] = Times(
            row[1], fence=row[6], ready_at=ready_at, alone=bool(row[11]), deadline_at=deadline
        )
    queued = (clock.read(row[17]) - ready_at).total_seconds() * 1000 if ready_at is not None else None
    return Claim(
        run_id=row[1],
        execution_id=id,
        version_id=row[_EXECUTION + 1],
        key=key,
        attempt=row[5],
        fence=row[6],
        losses=row[7],
        queued=max(0.0, round(queued, 1)) if queued is not None else None,
        left=(deadline - clock.read(row[17])).total_seconds() if deadline is not None else None,
        input=row[18],
        parked=row[16],
        known=item,
    )


def _claimable(connection: BaseDatabaseWrapper, claimer: Claimer) -> tuple[str, list[Any]]:
    due = f"status = 'ready' AND NOT held AND lane = %s AND available_at <= {clock.sql(connection)}"
    if len(claimer.queues) == 1:  # an equality keeps the index's order: no sort
        return f"{due} AND queue = %s", [claimer.lane, claimer.queues[0]]
    condition, param = sql.one_of(connection, "queue", claimer.queues, "text")
    return f"{due} AND {condition}", [claimer.lane, param]


def anything_due(claimer: Claimer, *, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Say whether something may be claimed now, without taking a lock."""
    connection = connections[using]
    condition, params = _claimable(connection, claimer)
    return bool(execute(connection, f"SELECT 1 FROM orchestration_noderun WHERE {condition} LIMIT 1", params))


def next_due(claimer: Claimer, *, using: str = DEFAULT_DB_ALIAS) -> float | None:
    """Return the seconds until the next row may be claimed (0 if one may now), or None when none is to come."""
    connection = connections[using]
    return _read_due(execute(connection, *_due_statement(connection, claimer)))


def _due_statement(connection: BaseDatabaseWrapper, claimer: Claimer) -> Statement:
    condition, param = sql.one_of(connection, "queue", claimer.queues, "text")
    text = (
        f"SELECT min(available_at), {clock.sql(connection)} FROM orchestration_noderun"
        f" WHERE status = 'ready' AND NOT held AND lane = %s AND {condition}"
    )
    return text, [claimer.lane, param]


def _read_due(rows: Rows) -> float | None:
    first, now = rows[0]
    return max(0.0, (clock.read(first) - clock.read(now)).total_seconds()) if first is not None else None
