"""What a heartbeat keeps (leases, begun marks, progress, log lines), and what the sweep finds when one stopped.

Lease renewals, progress and log lines are not state: they check the fence on the node run's row and take no
execution lock.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from orchestration.engine.decide import Result
from orchestration.engine.errors import NodeLost
from orchestration.engine.states import NodeStatus, Outcome
from orchestration.engine.view import Emit, Key, Start

from . import clock, sql
from .claim import Claim
from .locked import load_rows, lock, read_uuid
from .outcomes import Settled
from .sql import execute
from .versions import graph_of
from .write import write

_HELD = {"id": "id", "fence": "int"}


@dataclass(frozen=True, slots=True)
class Line:
    """A log line; `number` counts from 1 within the node run and fence, `at` is the worker's ISO time in UTC."""

    number: int
    at: dt.datetime
    level: int
    message: str


def renew(claims: Sequence[Claim], lease: float, using: str = DEFAULT_DB_ALIAS) -> set[int]:
    """Extend the leases by `lease` seconds from now; return the run ids that are still ours."""
    connection = connections[using]
    own = "n.id" if sql.is_postgres(connection) else "id"
    text = (
        f"UPDATE orchestration_noderun AS n SET lease_until = {clock.sql(connection, lease)}"
        f" FROM {sql.recordset(connection.vendor, _HELD)}"
        f" WHERE n.id = r.id AND n.fence = r.fence AND n.status = 'running' RETURNING {own}"
    )
    return {row[0] for row in execute(connection, text, [_held(claims)])}


def look(claims: Sequence[Claim], using: str = DEFAULT_DB_ALIAS) -> dict[int, str]:
    """Return the execution's status for each claim that is still ours."""
    connection = connections[using]
    text = (
        f"SELECT n.id, e.status FROM {sql.recordset(connection.vendor, _HELD)}"
        " JOIN orchestration_noderun n ON n.id = r.id AND n.fence = r.fence AND n.status = 'running'"
        " JOIN orchestration_execution e ON e.id = n.execution_id"
    )
    return dict(execute(connection, text, [_held(claims)]))


def _held(claims: Sequence[Claim]) -> str:
    return sql.to_json([(claim.run_id, claim.fence) for claim in claims])


def begun(
    claim: Claim,
    ago: float,
    worker: str,
    first: dt.datetime | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> bool:
    """Write `node.started` for a body that began `ago` seconds ago; False when the claim is ours no longer.

    `first` is when its attempt began, where it has waited since.
    """
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        for item in lock(connection, [claim.execution_id], graph_of, brief=True).values():
            load_rows(connection, {item.id: item}, "n.id = %s", [claim.run_id])
            row, times = item.view.rows.get(claim.key), item.times.get(claim.key)
            ours = row is not None and row.status is NodeStatus.RUNNING and times is not None
            if not ours or row is None or times is None or times.fence != claim.fence or row.started:
                return False
            at = item.now - dt.timedelta(seconds=ago)
            item.run([Start(claim.key), Emit("node.started", claim.key, row.attempt, {"worker": worker})], at)
            times.started_at = first or times.started_at
            write(connection, [item])
            return True
    return False


def report_progress(claim: Claim, progress: dict[str, Any], using: str = DEFAULT_DB_ALIAS) -> None:
    """Keep the body's latest progress, if the claim is still ours."""
    connection = connections[using]
    text = (
        "UPDATE orchestration_noderun SET progress = %s WHERE id = %s AND fence = %s AND status = 'running'"
    )
    execute(connection, text, [sql.to_json(progress), claim.run_id, claim.fence])


_LINE = {"number": "int", "at": "time", "level": "int", "message": "text"}


def write_lines(claim: Claim, lines: Sequence[Line], using: str = DEFAULT_DB_ALIAS) -> None:
    """Keep log lines of this claim's body. Writing the same numbers twice keeps them once."""
    connection = connections[using]
    rows = [(line.number, line.at, line.level, line.message) for line in lines]
    text = (
        "INSERT INTO orchestration_logline"
        ' (execution_id, node_run_id, fence, node, "index", attempt, number, at, level, message)'
        ' SELECT n.execution_id, n.id, %s, n.node, n."index", %s, r.number, r.at, r.level, r.message'
        f" FROM {sql.recordset(connection.vendor, _LINE)}, orchestration_noderun n"
        " WHERE n.id = %s AND n.fence = %s ORDER BY r.number ON CONFLICT DO NOTHING"
    )
    # A line's text is the author's; NUL is the one character PostgreSQL's text cannot hold.
    data = sql.records(connection, rows).replace("\\u0000", "\\ufffd")
    execute(connection, text, [claim.fence, claim.attempt, data, claim.run_id, claim.fence])


# --- for the sweep ---------------------------------------------------------------------------------


def expired(limit: int = 200, *, pid: int | None = None, worker: uuid.UUID | None = None,
            using: str = DEFAULT_DB_ALIAS) -> list[Settled]:  # fmt: skip
    """Return outcome *lost* for leases that have ended, or for all of a cluster, or of its process, that is dead."""
    connection = connections[using]
    due, params = f"n.lease_until <= {clock.sql(connection)}", list[Any]()
    if worker is not None:
        due, params = "n.worker = %s", [sql.key(connection, worker)]
        if pid is not None:
            due, params = f"{due} AND n.pid = %s", [*params, pid]
    text = (
        'SELECT n.id, n.execution_id, n.node, n."index", n.for_node, n.attempt, n.fence, n.losses, n.alone, n.worker,'
        " e.version_id FROM orchestration_noderun n JOIN orchestration_execution e ON e.id = n.execution_id"
        f" WHERE n.status = 'running' AND {due} ORDER BY n.execution_id, n.id LIMIT %s"
    )
    return [_lost(row) for row in execute(connection, text, [*params, limit])]


def _lost(row: Sequence[Any]) -> Settled:
    key = Key(row[2], row[3], row[4])
    claim = Claim(row[0], read_uuid(row[1]), row[10], key, row[5], row[6], row[7])
    error = NodeLost(losses=row[7] + 1)
    about = {"type": "NodeLost", "types": ["NodeLost"], "code": error.code, "message": str(error)}
    result = Result(key, Outcome.LOST, error=about, worker=str(row[9] or ""), alone=bool(row[8]))
    return Settled(claim, result)


def overdue(limit: int = 100, using: str = DEFAULT_DB_ALIAS) -> list[uuid.UUID]:
    """Return executions whose own deadline has passed."""
    connection = connections[using]
    text = (
        "SELECT id FROM orchestration_execution WHERE finished_at IS NULL AND deadline_at IS NOT NULL"
        f" AND deadline_at <= {clock.sql(connection)} ORDER BY deadline_at LIMIT %s"
    )
    return [read_uuid(row[0]) for row in execute(connection, text, [limit])]


def unsettled(limit: int = 100, using: str = DEFAULT_DB_ALIAS) -> list[uuid.UUID]:
    """Return executions with a skip or upstream failure that a dead process left unsettled."""
    text = "SELECT DISTINCT execution_id FROM orchestration_noderun WHERE verdict <> '' LIMIT %s"
    return [read_uuid(row[0]) for row in execute(connections[using], text, [limit])]


def blocked(using: str = DEFAULT_DB_ALIAS) -> list[tuple[uuid.UUID, int, str]]:
    """Return (execution, version, node) of what waits for its code."""
    text = (
        "SELECT DISTINCT n.execution_id, e.version_id, n.node FROM orchestration_noderun n"
        " JOIN orchestration_execution e ON e.id = n.execution_id WHERE n.status = 'blocked' LIMIT 1000"
    )
    return [(read_uuid(row[0]), row[1], row[2]) for row in execute(connections[using], text, [])]
