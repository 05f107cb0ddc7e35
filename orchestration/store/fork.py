"""Forking: a new execution that takes over another's results up to a node, and runs from there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine import redo
from orchestration.engine.graph import Graph
from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Key, View
from orchestration.models import WorkflowVersion

from . import ids, sql, state
from .items import carry_to
from .locked import Locked, lock_one
from .settle import settle_waves
from .sql import Statement, execute, run
from .start import Order, about_start, execution_values, insertion
from .versions import graph_of
from .wakeups import wake
from .write import births

KEPT = (NodeStatus.SUCCEEDED, NodeStatus.RECOVERED, NodeStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fork takes over: the ids of rows to copy, their keys and statuses; the nodes that run are the others."""

    rows: dict[Key, tuple[int, NodeStatus, int]]  # id, status, attempt

    @property
    def kept(self) -> dict[str, NodeStatus]:
        rows = self.rows.items()
        return {key.node: status for key, (_, status, _) in rows if not key.for_node and key.index < 0}


def fork(
    source: uuid.UUID,
    version: WorkflowVersion,
    order: Order,
    node: str,
    about: dict[str, Any],
    using: str = DEFAULT_DB_ALIAS,
) -> uuid.UUID:
    """Start an execution like `source`, which may still run, from this node on; return its id.

    Raises UnknownExecution, IllegalMove.
    """
    connection, graph = connections[using], graph_of(version.pk)
    with transaction.atomic(using=using, savepoint=False):
        now = lock_one(connection, source).now  # what is read of it next is of one moment
        planned = plan(connection, source, graph, node)
        item = Locked(ids.time_ordered(), version.pk, graph, View(), 0, now, priority=order.priority)
        started = {**about_start(version, order), **about, "from": node}
        copied = [(key, status, attempt) for key, (_, status, attempt) in planned.rows.items()]
        item.run(redo.fork(graph, copied, started))
        rows = [execution_values(version, order, item)]
        run(
            connection,
            [
                insertion(connection, rows),
                _copy(connection, item, planned),
                state.copying(connection, source, item.id, {key.node for key in planned.rows}),
                *births(connection, [item]),
            ],
        )
        maps = [key.node for key in planned.rows if key.index < 0 and graph.nodes[key.node].items is not None]
        if maps:
            carry_to(connection, source, item.id, maps)
        wake(connection)
    settle_waves(item.id, using)
    return item.id


def plan(connection: BaseDatabaseWrapper, source: uuid.UUID, graph: Graph, node: str) -> Plan:
    """Return what a fork from this node takes over. Raises IllegalMove."""
    condition, param = sql.one_of(connection, "status", [status.value for status in KEPT], "text")
    undone, undo_names = sql.one_of(connection, "node", list(graph.undos), "text")
    text = (
        'SELECT id, node, "index", for_node, status, attempt FROM orchestration_noderun WHERE execution_id = %s'
        f" AND NOT superseded AND ({condition} OR status = 'failed' AND ({undone} OR \"index\" >= 0))"
        " ORDER BY started_at, id"
    )
    rows = execute(connection, text, [sql.key(connection, source), param, undo_names])
    found = {Key(*row[1:4]): (row[0], NodeStatus(row[4]), row[5]) for row in rows}
    kept = redo.kept_by_fork(graph, {key: status for key, (_, status, _) in found.items()}, source, node)
    return Plan({key: found[key] for key in found if key in kept})


_SAME = (
    '"node", "index", for_node, labels, queue, lane, priority, status, attempt, ok, failed, skipped, items, born,'
    " result, error"
)


def _copy(connection: BaseDatabaseWrapper, item: Locked, planned: Plan) -> Statement:
    at = "%s::timestamptz" if sql.is_postgres(connection) else "%s"
    now = str(connection.ops.adapt_datetimefield_value(item.now))
    condition, param = sql.one_of(connection, "id", [id for id, _, _ in planned.rows.values()], "bigint")
    false = "false" if sql.is_postgres(connection) else "0"
    text = (
        f"INSERT INTO orchestration_noderun (execution_id, generation, {_SAME}, superseded, verdict, held,"
        " available_at, losses, alone, fence, ready_at, started_at, finished_at)"
        f" SELECT %s, 1, {_SAME}, {false}, '', {false}, {at}, 0, {false}, 0, {at},"
        f" CASE WHEN started_at IS NULL THEN NULL ELSE {at} END, {at}"
        # In the order in which they began, by which they would be undone.
        f" FROM orchestration_noderun WHERE {condition} ORDER BY started_at, id"
    )
    return text, [sql.key(connection, item.id), now, now, now, now, param]
