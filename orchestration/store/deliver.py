"""Bringing parked bodies what they wait for, under the locks of their executions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.parking import wake
from orchestration.engine.view import Key

from . import journal, sql, wakeups
from .locked import Locked, read_rows, read_uuid, row_columns
from .sql import Rows, Statement
from .write import statements


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


@dataclass(slots=True)
class Delivery:
    """What is brought: entries for the journal, and the waits that are over."""

    entries: list[list[object]] = field(default_factory=list)
    over: list[int] = field(default_factory=list)

    def bring(
        self,
        item: Locked,
        wait: Waiting,
        reason: str,
        *,
        came: str = journal.VALUE,
        value: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Give a parked row what it waits for; it goes on, unless something else has woken it just now."""
        self.entries.append([wait.run_id, wait.key, wait.kind, came, value, item.now])
        self.over.append(wait.id)
        if item.view.rows[wait.node].parked:
            item.run(wake(item.view, wait.node, reason, about))

    def statements(self, connection: BaseDatabaseWrapper) -> list[Statement]:
        """Return what writes it."""
        writing: list[Statement] = []
        if self.entries:
            writing.append(journal.insert(connection, self.entries))
        if self.over:
            condition, ids = sql.one_of(connection, "id", self.over, "bigint")
            writing.append((f"DELETE FROM orchestration_wait WHERE {condition}", [ids]))
        return writing


def writing(connection: BaseDatabaseWrapper, items: Iterable[Locked], delivery: Delivery) -> list[Statement]:
    """Return what persists the deliveries (no row is born by them), and lets idle workers know."""
    changed = [item for item in items if item.events]
    found = [*(statements(connection, changed) if changed else ()), *delivery.statements(connection)]
    lanes = {item.graph.nodes[key.node].lane for item in changed for key in item.ready}
    return [*found, *wakeups.statements(connection, lanes)]


def asking(connection: BaseDatabaseWrapper, condition: str, params: list[Any]) -> Statement:
    """Return what reads the waits (w) of parked rows that meet the condition, the longest first; see `read`."""
    text = (
        'SELECT w.id, w.execution_id, w.node_run_id, w.key, w.kind, w.name, n.node, n."index", n.for_node,'
        f" n.attempt, {sql.json_text(connection, 'w.about')}, {row_columns(connection)}"
        " FROM orchestration_wait w JOIN orchestration_noderun n ON n.id = w.node_run_id"
        f" WHERE {condition} AND n.status = 'waiting' AND NOT n.superseded ORDER BY w.id"
    )
    return text, params


def read(items: dict[uuid.UUID, Locked], rows: Rows) -> list[Waiting]:
    """Return the waits of rows that `asking` read, of these executions, whose views then have the parked rows."""
    read_rows(items, [row[_COLUMNS:] for row in rows])
    found = [_waiting(row) for row in rows if read_uuid(row[1]) in items]
    return [wait for wait in found if _is_parked(items[wait.execution_id], wait.node)]


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
    )


_COLUMNS = 11  # of a wait, before those of its row


def of_executions(connection: BaseDatabaseWrapper, ids: Iterable[uuid.UUID]) -> tuple[str, Any]:
    """Return the condition that a wait (w) is of one of these executions."""
    return sql.one_of(connection, "w.execution_id", [sql.key(connection, id) for id in ids], "uuid")
