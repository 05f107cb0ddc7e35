"""What a process remembers of executions whose nodes it runs: inputs and results, as JSON text, bounded by size."""

from __future__ import annotations

import json
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from orchestration.engine.states import NodeStatus
from orchestration.store import items, sql
from orchestration.store.sql import execute

BOUND = 16 * 1024 * 1024


class Memory:
    """An LRU of JSON texts by key, safe between threads, at most `bound` characters in all."""

    def __init__(self, bound: int = BOUND) -> None:
        self._texts: OrderedDict[Any, str] = OrderedDict()
        self._bound, self._size = bound, 0
        self._lock = threading.Lock()

    def get(self, key: Any) -> str | None:
        with self._lock:
            text = self._texts.get(key)
            if text is not None:
                self._texts.move_to_end(key)
            return text

    def put(self, key: Any, text: str) -> None:
        with self._lock:
            self._size += len(text) - len(self._texts.pop(key, ""))
            self._texts[key] = text
            while self._size > self._bound and self._texts:
                _, dropped = self._texts.popitem(last=False)
                self._size -= len(dropped)


inputs = Memory()


def input_of(execution_id: uuid.UUID) -> Any:
    """Return the execution's input and principal, read once while remembered (they never change)."""
    text = inputs.get(execution_id)
    if text is None:
        columns = f"{sql.json_text(connection, 'input')}, {sql.json_text(connection, 'principal')}"
        query = f"SELECT {columns} FROM orchestration_execution WHERE id = %s"
        row = execute(connection, query, [sql.key(connection, execution_id)])[0]
        text = f'{{"input":{row[0] or "null"},"principal":{row[1]}}}'
        inputs.put(execution_id, text)
    return json.loads(text)


def error_of(execution_id: uuid.UUID, nodes: Sequence[str]) -> dict[str, Any] | None:
    """Return the error, with its node, of the first of these nodes whose present row waits to be rescued."""
    condition, param = sql.one_of(connection, "node", nodes, "text")
    query = (
        f"SELECT node, {sql.json_text(connection, 'error')} FROM orchestration_noderun"
        f" WHERE execution_id = %s AND NOT superseded AND status = 'waiting' AND {condition}"
    )
    found: dict[str, str | None] = dict(
        execute(connection, query, [sql.key(connection, execution_id), param])
    )
    node = next((node for node in nodes if node in found), None)
    return {"node": node, **json.loads(found[node] or "{}")} if node is not None else None


def times_undone(execution_id: uuid.UUID, undo: str, whom: str, index: int = -1) -> int:
    """Return how often this undo has succeeded in what has been set aside since."""
    query = (
        'SELECT count(*) FROM orchestration_noderun WHERE execution_id = %s AND node = %s AND "index" = %s'
        " AND for_node = %s AND superseded AND status = 'succeeded'"
    )
    return int(execute(connection, query, [sql.key(connection, execution_id), undo, index, whom])[0][0])


def results_of(execution_id: uuid.UUID, nodes: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Return status and result (JSON text) of the present rows of these nodes; of a map, its items' in one list."""
    condition, param = sql.one_of(connection, "node", list(nodes), "text")
    query = (
        f"SELECT node, status, {sql.json_text(connection, 'result')}, items FROM orchestration_noderun"
        f' WHERE execution_id = %s AND NOT superseded AND "index" = -1 AND {condition}'
    )
    rows = execute(connection, query, [sql.key(connection, execution_id), param])
    found = {row[0]: (row[1], row[2]) for row in rows}
    for node, status, _, count in rows:
        if count and status == NodeStatus.SUCCEEDED:
            found[node] = (status, items.results(execution_id, node, count))
    return found


def result_of_item(execution_id: uuid.UUID, node: str, index: int) -> tuple[str, str | None] | None:
    """Return status and result (JSON text) of one of a map's items."""
    query = (
        f"SELECT status, {sql.json_text(connection, 'result')} FROM orchestration_noderun WHERE execution_id = %s"
        ' AND NOT superseded AND node = %s AND "index" = %s'
    )
    rows = execute(connection, query, [sql.key(connection, execution_id), node, index])
    return (rows[0][0], rows[0][1]) if rows else None
