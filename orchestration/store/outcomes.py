"""What outcomes do to executions that are in hand: decide, run the waves that follow, finish what is done."""

from __future__ import annotations

import datetime as dt
import json
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.decide import Result, decide, finish, wave
from orchestration.engine.follow import others_with_rows
from orchestration.engine.graph import Graph
from orchestration.engine.items import CONCLUDE
from orchestration.engine.states import NodeStatus, Outcome
from orchestration.engine.view import Birth, Command, Key

from . import items as items_
from . import sql, undoing
from .claim import Claim
from .locked import Locked, elapsed, load_rows
from .sql import execute
from .unread import unconsumed

_WITHOUT_A_BEGIN = (Outcome.LOST, Outcome.RELEASED, Outcome.BLOCKED, Outcome.SKIPPED)
WAVE = 500  # rows without a body that one transaction settles


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of a claim; `ago` is the seconds since the body ended."""

    claim: Claim
    result: Result
    ago: float = 0.0


def is_present(item: Locked, outcome: Settled) -> bool:
    """Say whether the claim is the row's present one."""
    row, times = item.view.rows.get(outcome.result.key), item.times.get(outcome.result.key)
    if row is None or times is None or row.status is not NodeStatus.RUNNING:
        return False
    return times.fence == outcome.claim.fence and times.id == outcome.claim.run_id


def settle_one(item: Locked, outcome: Settled) -> bool:
    """Decide what follows from the outcome and note it; False when the claim is not the row's present one."""
    if not is_present(item, outcome):
        return False
    times = item.times[outcome.result.key]
    times.parked = outcome.claim.parked
    at = item.now - dt.timedelta(seconds=max(0.0, outcome.ago))
    if outcome.result.outcome not in _WITHOUT_A_BEGIN:
        times.started_at = begin_of(item, outcome)
    result, first = outcome.result, outcome.result.began
    if first is not None:
        result = replace(result, whole=round((at - first).total_seconds() * 1000, 2))
    if result.outcome is not Outcome.SUCCEEDED:
        left = (times.deadline_at - item.now).total_seconds() if times.deadline_at is not None else None
        result = replace(result, jitter=random.random(), left=left)
    item.run(decide(item.graph, item.view, result), at)
    if first is not None and times.started_at is not None:
        times.started_at = first
    return True


def begin_of(item: Locked, outcome: Settled) -> dt.datetime:
    """Return when the body began to run, this time."""
    times = item.times[outcome.result.key]
    if times.started_at is not None:
        return times.started_at
    ended = item.now - dt.timedelta(seconds=max(0.0, outcome.ago))
    began = ended - dt.timedelta(milliseconds=outcome.result.duration or 0.0)
    # Two clocks measure to within a hair; a node never shows as begun before it was released.
    return max(began, times.ready_at) if times.ready_at is not None else began


def close(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> None:
    """Run the waves that the decisions set off, and finish what has nothing open left."""
    left = WAVE
    while left and (batch := [(item, key) for item in items for key in item.due][:left]):
        byid = {item.id: item for item, _ in batch}
        pairs = dependents((item.graph, item.id, key) for item, key in batch)
        pairs = [(id, child) for id, child in pairs if Key(child) not in byid[id].view.rows]
        if pairs:
            load_rows(connection, byid, in_pairs(connection), [as_pairs(connection, pairs)])
        for item, key in batch:
            item.due.remove(key)
            if item.view.rows[key].verdict == CONCLUDE:
                items_.load_failed(connection, item, key.node)
            left -= _settled_by(item, wave(item.graph, item.view, key))
    for item in items:
        undoing.go_on(connection, item)
        if not undoing.begin(connection, item) and (commands := finish(item.view, elapsed(item))):
            if not item.view.failures:
                item.output = _output(connection, item)
            item.run(commands)
        if item.unread and item.events and item.view.status.is_terminal:
            item.run(unconsumed(connection, item))


def _settled_by(item: Locked, commands: list[Command]) -> int:
    """Carry out what follows from a verdict; return how many rows it settled or bore."""
    item.run(commands)
    return max(1, sum(isinstance(command, Birth) for command in commands))


def _output(connection: BaseDatabaseWrapper, item: Locked) -> str | None:
    """Return the output as JSON text: the named node's result, or every sink's by name; None past the limit."""
    nodes = [item.graph.output] if item.graph.output is not None else list(item.graph.sinks)
    rows = item.view.rows.items()
    found = {key.node: (row.result, row.items) for key, row in rows if key in item.touched and key.index < 0}
    if others := [node for node in nodes if node not in found]:
        found |= _results(connection, item, others)
    limit = settings.IGON7_PAYLOAD_LIMIT
    texts = {
        node: items_.output_of(connection, item, node, count, limit) if count and text is None else text
        for node, (text, count) in found.items()
        if node in nodes
    }
    if item.graph.output is not None:
        return _if_fits(texts.get(item.graph.output), limit)
    if any(texts.get(node) is None and count for node, (_, count) in found.items()):
        return None  # a map's results that are past the limit themselves
    parts = [
        f"{json.dumps(node, ensure_ascii=False)}:{texts[node]}"
        for node in nodes
        if texts.get(node) is not None
    ]
    return _if_fits("{" + ",".join(parts) + "}", limit)


def _if_fits(text: str | None, limit: int) -> str | None:
    return text if text is not None and len(text.encode()) <= limit else None


def _results(
    connection: BaseDatabaseWrapper, item: Locked, nodes: list[str]
) -> dict[str, tuple[str | None, int | None]]:
    """Return each node's result, and of a map how many items it has."""
    condition, param = sql.one_of(connection, "n.node", nodes, "text")
    text = (
        f"SELECT n.node, {sql.json_text(connection, 'n.result')}, n.items FROM orchestration_noderun n"
        f' WHERE n.execution_id = %s AND n."index" = -1 AND NOT n.superseded AND {condition}'
    )
    rows = execute(connection, text, [sql.key(connection, item.id), param])
    return {row[0]: (row[1], row[2]) for row in rows}


# --- dependents that may have a row already --------------------------------------------------------


def dependents(settled: Iterable[tuple[Graph, uuid.UUID, Key]]) -> list[tuple[uuid.UUID, str]]:
    """Return (execution, node) of the dependents that other predecessors may have made already."""
    pairs = {(id, other): None for graph, id, key in settled for other in others_with_rows(graph, key)}
    return list(pairs)


_PAIR = {"execution_id": "uuid", "node": "text"}


def in_pairs(connection: BaseDatabaseWrapper, *, items: bool = False) -> str:
    """Return the condition (on n) for the parameter that `as_pairs` makes; with `items`, also the rows of maps'."""
    pairs = sql.recordset(connection.vendor, _PAIR)
    own = "" if items else ' AND n."index" = -1'
    return f"(n.execution_id, n.node) IN (SELECT r.execution_id, r.node FROM {pairs}){own}"


def as_pairs(connection: BaseDatabaseWrapper, pairs: Iterable[tuple[uuid.UUID, str]]) -> str:
    return sql.records(connection, pairs)
