"""Starting: insert executions with their roots READY. What a graph's size is does not matter to it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from orchestration.engine.decide import begin
from orchestration.engine.errors import IdempotencyConflict
from orchestration.engine.states import EXECUTION_TERMINAL
from orchestration.engine.view import View
from orchestration.models import Execution, WorkflowVersion

from . import clock, ids, sql, wakeups
from .locked import Locked
from .sql import Statement, execute
from .transaction import transaction
from .versions import graph_of
from .write import births

KEY_KEPT = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Order:
    """One execution to be started; `input` is JSON text."""

    input: str
    principal: dict[str, Any]
    by: str
    user_id: int | None = None
    priority: int = 3
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    forked_from: uuid.UUID | None = None
    parent: uuid.UUID | None = None
    refresh: bool = False  # it renews what is cached; its first event says so
    event: dict[str, Any] | None = None  # what has started it; its first event says so


@dataclass(frozen=True, slots=True)
class Started:
    """The execution's id; `existed` when the idempotency key had one already."""

    id: uuid.UUID
    existed: bool = False


def start(
    version: WorkflowVersion,
    orders: Sequence[Order],
    using: str = DEFAULT_DB_ALIAS,
    *,
    also: Callable[[list[uuid.UUID]], list[Statement]] = lambda ids: [],
) -> list[Started]:
    """Insert the executions in one transaction, in a constant number of statements and one round trip.

    `also` gives statements that commit with the new ones. An idempotency key gives the execution that has it (while
    open, and for 24 h); with another input it raises IdempotencyConflict.
    """
    connection = connections[using]
    with transaction(connection) as turn:
        known = {}
        if keyed := {n: order for n, order in enumerate(orders) if order.idempotency_key is not None}:
            turn.run([])  # begins: what is found out now holds until the commit
            found = {n: _having_key(connection, version, order) for n, order in keyed.items()}
            known = {n: id for n, id in found.items() if id is not None}
        now = clock.counted(connection)
        items = {n: prepare(version, order, now) for n, order in enumerate(orders) if n not in known}
        if items:
            rows = [execution_values(version, orders[n], item) for n, item in items.items()]
            executions = insertion(connection, rows)
            new = list(items.values())
            lanes = {item.graph.nodes[key.node].lane for item in new for key in item.ready}
            others = [*also([item.id for item in new]), *wakeups.statements(connection, lanes)]
            turn.finish(sql.as_one(connection, [executions, *births(connection, new), *others]))
    return [Started(known[n], True) if n in known else Started(items[n].id) for n in range(len(orders))]


def prepare(version: WorkflowVersion, order: Order, now: dt.datetime, id: uuid.UUID | None = None) -> Locked:
    """Return an execution that begins, not yet written."""
    item = Locked(
        id or ids.time_ordered(), version.pk, graph_of(version.pk), View(), 0, now, priority=order.priority
    )
    item.run(begin(item.graph, item.view, about_start(version, order)))
    return item


def about_start(version: WorkflowVersion, order: Order) -> dict[str, Any]:
    """Return what the log's first event says."""
    about = {"workflow": version.workflow.name, "version": version.number, "by": order.by}
    about |= {"refresh": True} if order.refresh else {}
    about |= {"event": order.event} if order.event else {}
    about |= {"parent": str(order.parent)} if order.parent else {}
    return {**about, "forked_from": str(order.forked_from)} if order.forked_from else about


_EXECUTION = {
    "id": "uuid",
    "workflow_id": "int",
    "version_id": "int",
    "status": "text",
    "generation": "int",
    "seq": "int",
    "open_nodes": "int",
    "input": "json",
    "tags": "jsonb",
    "labels": "jsonb",
    "priority": "int",
    "principal": "jsonb",
    "started_by_id": "int",
    "idempotency_key": "text",
    "input_hash": "text",
    "forked_from_id": "uuid",
    "parent_id": "uuid",
    "created_at": "time",
    "started_at": "time",
    "deadline_at": "time",
}


def insertion(connection: BaseDatabaseWrapper, rows: Sequence[Sequence[Any]]) -> Statement:
    """Return what inserts executions of these values."""
    return _insert_text(connection.vendor), [sql.records(connection, rows)]


@cache
def _insert_text(vendor: str) -> str:
    names = ", ".join(_EXECUTION)
    values = ", ".join(sql.values(vendor, _EXECUTION).values())
    return (
        f"INSERT INTO orchestration_execution ({names}, failures, blocked_nodes, queue)"
        f" SELECT {values}, 0, 0, '' FROM {sql.source(vendor)} WHERE {sql.few(vendor)}"
    )


def execution_values(version: WorkflowVersion, order: Order, item: Locked) -> list[Any]:
    """Return the values of the execution's row."""
    timeout = item.graph.timeout
    return [
        item.id,
        version.workflow_id,
        version.pk,
        item.view.status,
        item.view.generation,
        item.seq,
        item.view.open,
        order.input,
        sql.to_json(order.tags),
        sql.to_json(order.labels),
        order.priority,
        sql.to_json(order.principal),
        order.user_id,
        order.idempotency_key,
        input_hash(order.input) if order.idempotency_key else "",
        order.forked_from,
        order.parent,
        item.now,
        item.now,
        item.now + dt.timedelta(seconds=timeout) if timeout is not None else None,
    ]


def input_hash(text: str) -> str:
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def _having_key(connection: BaseDatabaseWrapper, version: WorkflowVersion, order: Order) -> uuid.UUID | None:
    key = order.idempotency_key
    if key is None:
        return None
    if sql.is_postgres(connection):  # one at a time for one key; SQLite has one writer anyway
        name = f"{version.workflow_id}:{key}"
        execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [name])
    kept = Q(created_at__gt=clock.now(connection.alias) - KEY_KEPT) | ~Q(
        status__in=sorted(EXECUTION_TERMINAL)
    )
    rows = Execution.objects.using(connection.alias).filter(
        kept, workflow_id=version.workflow_id, idempotency_key=key
    )
    found = rows.order_by("-id").values_list("id", "input_hash").first()
    if found is None:
        return None
    if found[1] != input_hash(order.input):
        raise IdempotencyConflict(key=key, workflow=version.workflow.name, id=found[0])
    return found[0]
