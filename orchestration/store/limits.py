"""Nodes that have waited to begin, or tried, for longer than they may. The sweep looks for them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from orchestration.engine.decide import overdue
from orchestration.engine.errors import DeadlineExceeded, NodeTimeout, QueueTimeout
from orchestration.engine.graph import NodeSpec
from orchestration.engine.policies import type_names
from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Key

from . import clock, lines, sql
from .locked import Locked, load_rows, lock, read_uuid
from .outcomes import as_pairs, close, dependents, in_pairs
from .settle import settle_waves
from .sql import execute
from .versions import graph_of
from .wakeups import wake
from .write import write

PATIENCE = 10.0  # seconds past the deadline that a body's own worker has to stop it


def expiring(limit: int = 100, using: str = DEFAULT_DB_ALIAS) -> list[tuple[uuid.UUID, Key]]:
    """Return (execution, node run) of what may be overdue."""
    connection = connections[using]
    text = (
        'SELECT execution_id, node, "index", for_node FROM orchestration_noderun WHERE expires_at IS NOT NULL'
        f" AND finished_at IS NULL AND NOT superseded AND expires_at <= {clock.sql(connection)}"
        f" AND (status IN ('ready', 'waiting') AND NOT held OR expires_at <= {clock.sql(connection, -PATIENCE)})"
        " ORDER BY expires_at LIMIT %s"
    )
    return [(read_uuid(row[0]), Key(*row[1:])) for row in execute(connection, text, [limit])]


def expire(id: uuid.UUID, key: Key, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Fail a node that is overdue; False when it is not after all, or somebody else has its execution locked."""
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        items = lock(connection, [id], graph_of, skip=True)
        for item in items.values():
            nodes = dependents([(item.graph, id, key)])
            own = 'n.execution_id = %s AND n.node = %s AND n."index" = %s AND n.for_node = %s'
            load_rows(connection, items, own, [sql.key(connection, id), *key])
            load_rows(connection, items, in_pairs(connection), [as_pairs(connection, nodes)])
            lines.load(connection, item, key)
            if (error := _overdue(item, key)) is None:
                return False
            item.run(overdue(item.graph, item.view, key, _described(error)))
            close(connection, [item])
            write(connection, [item])
            wake(connection)
    for item in items.values():
        if item.unfinished:
            settle_waves(id, using)
    return bool(items)


def _overdue(item: Locked, key: Key) -> NodeTimeout | None:
    row, times, spec = item.view.rows.get(key), item.times.get(key), item.graph.nodes[key.node]
    if row is None or times is None or times.expires_at is None or times.expires_at > item.now:
        return None
    if row.status is NodeStatus.READY and not row.held:
        return _why(spec, over=times.deadline_at is not None and times.deadline_at <= item.now)
    late = row.status is NodeStatus.RUNNING or row.parked
    return DeadlineExceeded(deadline=spec.deadline) if late else None


def _why(spec: NodeSpec, *, over: bool) -> NodeTimeout:
    return DeadlineExceeded(deadline=spec.deadline) if over else QueueTimeout(timeout=spec.queue_timeout)


def _described(error: NodeTimeout) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "types": type_names(error),
        "code": error.code,
        "message": str(error),
    }
