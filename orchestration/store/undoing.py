"""Compensation under the lock: which rows are to be undone, and which undo comes next."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.compensation import compensate, is_due, undo_of
from orchestration.engine.compensation import go_on as after
from orchestration.engine.states import ExecutionStatus, NodeStatus
from orchestration.engine.view import Key

from . import clock, sql
from .locked import Locked, load_rows
from .sql import execute

_TO_COME = "execution_id = %s AND status = 'pending' AND for_node <> ''"
_DONE = (NodeStatus.SUCCEEDED, NodeStatus.FAILED)


def begin(connection: BaseDatabaseWrapper, item: Locked) -> bool:
    """Begin to undo, where the execution would end now and something is to be undone; say whether that is so."""
    if not is_due(item.graph, item.view):
        return False
    keys = succeeded(connection, item)
    if item.view.status is not ExecutionStatus.PAUSED:  # where nothing new begins until it is resumed
        item.run(compensate(item.graph, keys))
    return bool(keys)


def go_on(connection: BaseDatabaseWrapper, item: Locked) -> None:
    """Release the undo that comes after one that has just ended, or leave the rest."""
    if item.view.status is not ExecutionStatus.COMPENSATING:
        return
    undos = [key for key in item.touched if key.node in item.graph.undos]
    for ended in [key for key in undos if item.view.rows[key].status in _DONE]:
        one = item.view.rows[ended].status is NodeStatus.SUCCEEDED
        condition = (
            f"n.id = (SELECT min(id) FROM orchestration_noderun WHERE {_TO_COME})" if one else f"n.{_TO_COME}"
        )
        load_rows(connection, {item.id: item}, condition, [sql.key(connection, item.id)])
        item.run(after(item.graph, item.view, ended))


def succeeded(connection: BaseDatabaseWrapper, item: Locked) -> list[Key]:
    """Return the rows that have succeeded and not been undone, the last begun first."""
    names = [*item.graph.undos, *item.graph.undos.values()]
    condition, param = sql.one_of(connection, "n.node", names, "text")
    text = (
        'SELECT n.node, n."index", n.for_node, n.started_at, n.id FROM orchestration_noderun n'
        f" WHERE n.execution_id = %s AND NOT n.superseded AND n.status = 'succeeded' AND {condition}"
    )
    rows = execute(connection, text, [sql.key(connection, item.id), param])
    began = {Key(*row[:3]): (clock.read(row[3]), row[4]) for row in rows}
    for key in item.touched:  # what succeeds in this very transaction is not written yet
        times = item.times[key]
        if key.node in names and item.view.rows[key].status is NodeStatus.SUCCEEDED:
            began[key] = times.started_at or item.now, times.id or 0
    open_ = [
        key
        for key in began
        if key.node not in item.graph.undos
        and not (
            item.graph.nodes[key.node].items is not None and key.index < 0
        )  # its items did what is to be undone
        and undo_of(item.graph, key) not in began
    ]
    return sorted(open_, key=lambda key: began[key], reverse=True)
