"""What an act would do, without doing it: nothing is locked, and nothing is written."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine import verbs
from orchestration.engine.decide import wave
from orchestration.engine.errors import UnknownExecution
from orchestration.engine.states import NODE_TERMINAL, NodeStatus
from orchestration.models import Child, NodeRun

from . import again, fork, sql, undoing
from .locked import LIVE, Locked, execution_columns, load_rows, read_execution
from .sql import execute
from .versions import graph_of

SHOWN = 50  # names in each list
Preview = dict[str, Any]


def preview(
    id: uuid.UUID,
    verb: str,
    *,
    node: str | None = None,
    rollback: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> Preview:
    """Return, by what would become of them, the nodes that the act concerns: {"count", "nodes" (the first 50)} each.

    "again" ran before and runs again, "then" runs after those, or for the first time, "kept" stays,
    "cancelled" never begins, "stopped" is asked to stop, "undone" is undone, "held" waits; "children" are executions
    that end with it.
    Raises IllegalMove, UnknownExecution.
    """
    connection = connections[using]
    item = _read(connection, id)
    if verb in ("fork", "rerun"):
        return _of_fork(connection, item, node if verb == "fork" else None)
    if verb in ("retry", "skip", "supply", "fail"):
        return _of_retry(connection, item, verb, node)
    verbs.check(verb, item.view.status, id)
    return _of_verb(connection, item, verb, rollback)


def _read(connection: BaseDatabaseWrapper, id: uuid.UUID) -> Locked:
    text = f"SELECT {execution_columns(connection)} FROM orchestration_execution e WHERE e.id = %s"
    rows = execute(connection, text, [sql.key(connection, id)])
    if not rows:
        raise UnknownExecution(id=id)
    return read_execution(rows[0], graph_of)


def _of_fork(connection: BaseDatabaseWrapper, item: Locked, node: str | None) -> Preview:
    kept = fork.plan(connection, item.id, item.graph, node).kept if node is not None else {}
    plain = [name for name in item.graph.nodes if not item.graph.is_companion(name)]
    return {"kept": _listed(kept), "again": _listed(name for name in plain if name not in kept)}


def _of_retry(connection: BaseDatabaseWrapper, item: Locked, verb: str, node: str | None) -> Preview:
    if verb == "retry" and item.view.status.is_terminal:
        again.reopen(connection, item, {}, node, keep=False)
    else:
        again.decide(connection, item, node or "", verb, {}, None, keep=False)
    while item.due:  # skips and upstream failures travel on, in memory
        item.run(wave(item.graph, item.view, item.due.pop()))
    ends = {
        key.node for key, row in item.view.rows.items() if row.status in NODE_TERMINAL and key in item.touched
    }
    maps = {
        key for key, row in item.view.rows.items() if row.items is not None
    }  # some of whose items are kept
    before = [
        row for row, _ in item.superseded if not item.graph.is_companion(row.key.node) and row.key not in maps
    ]
    born = [
        str(key)
        for key in item.view.rows
        if item.times[key].id is None and not item.graph.is_companion(key.node) and key not in maps
    ]
    ran = [str(row.key) for row in before if row.attempt and row.key.node not in ends]
    first = dict.fromkeys([*(str(row.key) for row in before if not row.attempt), *born])
    return {
        "again": _listed(ran),
        "then": _listed(name for name in first if name not in ran and name not in ends),
        "kept": {"count": max(0, _count(item.id, NODE_TERMINAL) - len(before)), "nodes": []},
    }


def _of_verb(connection: BaseDatabaseWrapper, item: Locked, verb: str, rollback: bool) -> Preview:
    load_rows(connection, {item.id: item}, f"n.execution_id = %s AND {LIVE}", [sql.key(connection, item.id)])
    before = {key: row.status for key, row in item.view.rows.items()}
    running = [key.node for key, status in before.items() if status is NodeStatus.RUNNING]
    waiting = [key.node for key, status in before.items() if status is not NodeStatus.RUNNING]
    if verb in ("pause", "resume"):
        return {"held" if verb == "pause" else "again": _listed(waiting), "kept": _listed(running)}
    undone = undoing.succeeded(connection, item) if rollback and item.graph.undos else []
    return {
        "cancelled": _listed(waiting),
        "stopped": _listed(running),
        "undone": _listed(key.node for key in undone),
        "kept": {"count": _count(item.id, NODE_TERMINAL), "nodes": []},
        **_children(item),
    }


def _children(item: Locked) -> Preview:
    """Return how many executions end with this one, where there are any."""
    if not item.children:
        return {}
    rows = Child.objects.filter(parent=item.id, open=True, asked=False).exclude(on_close="abandon")
    count = rows.count()
    return {"children": {"count": count, "nodes": []}} if count else {}


def _listed(names: Iterable[str]) -> dict[str, Any]:
    found = list(names)
    return {"count": len(found), "nodes": found[:SHOWN]}


def _count(id: uuid.UUID, statuses: Iterable[NodeStatus]) -> int:
    rows = NodeRun.objects.filter(execution_id=id, superseded=False, for_node="", status__in=sorted(statuses))
    return rows.count()
