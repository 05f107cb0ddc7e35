"""Bringing parked bodies what they wait for, under the locks of their executions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.parking import wake
from orchestration.engine.view import Key

from . import clock, journal, sql
from .locked import Locked, load_rows, read_uuid
from .parking import consume, consumed
from .sql import Statement, execute
from .wakeups import wake as wake_workers
from .write import note_ids, statements


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait of a parked node run."""

    id: int
    execution_id: uuid.UUID
    run_id: int
    key: str
    kind: str
    name: str
    node: Key
    attempt: int
    about: str | None = None
    is_due: bool = False


@dataclass(slots=True)
class Delivery:
    """What is brought: entries for the journal, the waits that are over, the signals that were read."""

    entries: list[list[object]] = field(default_factory=list)
    over: list[int] = field(default_factory=list)
    read: list[list[object]] = field(default_factory=list)

    def bring(
        self,
        item: Locked,
        wait: Waiting,
        reason: str,
        *,
        came: str = journal.VALUE,
        value: str | None = None,
    ) -> None:
        """Give a parked row what it waits for; it goes on, unless something else has woken it just now."""
        self.entries.append([wait.run_id, wait.key, wait.kind, came, value, item.now])
        self.over.append(wait.id)
        if item.view.rows[wait.node].parked:
            item.run(wake(item.view, wait.node, reason))

    def consume(
        self, item: Locked, wait: Waiting, signal: int, value: str | None, sent_id: str | None
    ) -> None:
        """Give a parked row a signal."""
        self.read.append([signal, wait.run_id, item.now])
        consumed(item, wait.node, wait.attempt, wait.name, sent_id)
        self.bring(item, wait, f'signal "{wait.name}"', value=value)

    def statements(self, connection: BaseDatabaseWrapper) -> list[Statement]:
        """Return what writes it."""
        writing: list[Statement] = []
        if self.entries:
            writing.append(journal.insert(connection, self.entries))
        if self.over:
            condition, ids = sql.one_of(connection, "id", self.over, "bigint")
            writing.append((f"DELETE FROM orchestration_wait WHERE {condition}", [ids]))
        if self.read:
            writing.append(consume(connection, self.read))
        return writing


def write(connection: BaseDatabaseWrapper, items: Sequence[Locked], delivery: Delivery) -> None:
    """Persist the deliveries, and let idle workers know."""
    changed = [item for item in items if item.events]
    writing = statements(connection, changed) if changed else []
    found = sql.run(connection, [*writing, *delivery.statements(connection)])
    if writing:
        note_ids(changed, found[len(writing) - 1])
        wake_workers(connection)


def waits(
    connection: BaseDatabaseWrapper, items: dict[uuid.UUID, Locked], condition: str, params: list[Any]
) -> list[Waiting]:
    """Return the waits (w) of parked rows that meet the condition, the longest first, their rows in the views."""
    text = (
        'SELECT w.id, w.execution_id, w.node_run_id, w.key, w.kind, w.name, n.node, n."index", n.for_node,'
        f" n.attempt, {sql.json_text(connection, 'w.about')},"
        f" COALESCE(w.wake_at <= {clock.sql(connection)}, {'false' if sql.is_postgres(connection) else '0'})"
        " FROM orchestration_wait w JOIN orchestration_noderun n ON n.id = w.node_run_id"
        f" WHERE {condition} AND n.status = 'waiting' AND NOT n.superseded ORDER BY w.id"
    )
    found = [_waiting(row) for row in execute(connection, text, params)]
    mine = [wait for wait in found if wait.execution_id in items]
    if mine:
        own, ids = sql.one_of(connection, "n.id", sorted({wait.run_id for wait in mine}), "bigint")
        load_rows(connection, items, own, [ids])
    return [wait for wait in mine if _is_parked(items[wait.execution_id], wait.node)]


def _is_parked(item: Locked, key: Key) -> bool:
    row = item.view.rows.get(key)
    return row is not None and row.parked


def _waiting(row: Sequence[Any]) -> Waiting:
    return Waiting(
        row[0],
        read_uuid(row[1]),
        row[2],
        row[3],
        row[4],
        row[5],
        Key(row[6], row[7], row[8]),
        row[9],
        row[10],
        bool(row[11]),
    )


def of_executions(connection: BaseDatabaseWrapper, ids: Iterable[uuid.UUID]) -> tuple[str, Any]:
    """Return the condition that a wait (w) is of one of these executions."""
    return sql.one_of(connection, "w.execution_id", [sql.key(connection, id) for id in ids], "uuid")
