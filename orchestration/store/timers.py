"""Timers of parked rows: a sleep that is over, a wait whose time has run out. Compared on the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from . import clock, deliver, journal, sql
from .locked import lock_statement, read_locked, read_uuid
from .sql import Statement, execute
from .transaction import transaction
from .versions import graph_of

BATCH = 200  # executions that one transaction locks
LEFT_OVER = 300.0  # seconds between two looks for waits that nobody comes to

# A row that is not parked any more has its waits for nothing, once it has ended; one that runs may come back to them.
_DUE = (
    "orchestration_wait w JOIN orchestration_noderun n ON n.id = w.node_run_id"
    " WHERE w.wake_at <= {now} AND (n.status = 'waiting' OR n.finished_at IS NOT NULL OR n.superseded)"
)


def due(limit: int = BATCH, using: str = DEFAULT_DB_ALIAS) -> list[uuid.UUID]:
    """Return executions with a wait whose time has come."""
    connection = connections[using]
    text = f"SELECT w.execution_id FROM {_DUE.format(now=clock.sql(connection))} ORDER BY w.wake_at LIMIT %s"
    return list(dict.fromkeys(read_uuid(row[0]) for row in execute(connection, text, [limit])))


def next_due(using: str = DEFAULT_DB_ALIAS) -> float | None:
    """Return the seconds until the next wait's time may have come, or None when none has one."""
    connection = connections[using]
    now = clock.sql(connection)
    text = f"SELECT min(wake_at), {now} FROM orchestration_wait WHERE wake_at > {now}"
    first, told = execute(connection, text, [])[0]
    return max(0.0, (clock.read(first) - clock.read(told)).total_seconds()) if first is not None else None


def fire(ids: Sequence[uuid.UUID], using: str = DEFAULT_DB_ALIAS) -> None:
    """Let bodies go on whose waits' time has come; executions that somebody else has locked are left out."""
    connection = connections[using]
    whose, keys = deliver.of_executions(connection, ids)
    due = f"{whose} AND w.wake_at <= {clock.sql(connection)}"
    with transaction(connection) as turn:
        locked, waits, over = turn.run(
            [
                lock_statement(connection, sorted(ids), skip=True),
                deliver.asking(connection, due, [keys]),
                _left_over(connection, whose, keys),
            ]
        )
        items, delivery = read_locked(locked, graph_of), deliver.Delivery()
        for wait in deliver.read(items, waits):
            came = journal.VALUE if wait.kind == "sleep" else journal.TIMEOUT
            delivery.bring(items[wait.execution_id], wait, _reason(wait), came=came)
        delivery.over += [row[0] for row in over if read_uuid(row[1]) in items]
        turn.finish(deliver.writing(connection, items.values(), delivery))


def forget_left_over(limit: int = 1000, using: str = DEFAULT_DB_ALIAS) -> int:
    """Delete waits of rows that have ended or were set aside, whose bodies will not come to them; return how many."""
    connection = connections[using]
    text = (
        "SELECT w.id FROM orchestration_wait w JOIN orchestration_noderun n ON n.id = w.node_run_id"
        " WHERE n.finished_at IS NOT NULL OR n.superseded ORDER BY w.id LIMIT %s"
    )
    over = [row[0] for row in execute(connection, text, [limit])]
    if over:
        condition, ids = sql.one_of(connection, "id", over, "bigint")
        execute(connection, f"DELETE FROM orchestration_wait WHERE {condition}", [ids])
    return len(over)


def _reason(wait: deliver.Waiting) -> str:
    return "it has slept" if wait.kind == "sleep" else f'no {wait.kind} "{wait.name}" came in time'


def _left_over(connection: BaseDatabaseWrapper, whose: str, keys: object) -> Statement:
    due = _DUE.format(now=clock.sql(connection))
    return f"SELECT w.id, w.execution_id FROM {due} AND n.status <> 'waiting' AND {whose}", [keys]
