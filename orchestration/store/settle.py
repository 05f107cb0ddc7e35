"""Settling: record outcomes, decide what they release, and claim what runs next, in one transaction."""

from __future__ import annotations

import datetime as dt
import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.decide import ALONE_AFTER, Result, decide, dependents_with_rows, finish, wave
from orchestration.engine.states import NodeStatus, Outcome
from orchestration.engine.view import Key

from . import sql
from .claim import Claim, claim_within
from .locked import Claimer, Locked, elapsed, load_rows, lock
from .sql import execute
from .versions import graph_of
from .wakeups import wake
from .write import write

WAVE = 500  # rows without a body that one transaction settles


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of a claim; `ago` is the seconds since the body ended."""

    claim: Claim
    result: Result
    ago: float = 0.0


@dataclass(slots=True)
class Report:
    """What became of a settle: rows claimed along, outcomes refused (an old fence) and left for another try."""

    claimed: list[Claim] = field(default_factory=list)
    refused: list[Settled] = field(default_factory=list)
    left: list[Settled] = field(default_factory=list)
    unfinished: list[uuid.UUID] = field(default_factory=list)


def settle(
    outcomes: Sequence[Settled],
    claimer: Claimer | None = None,
    *,
    take: int = 0,
    keep_child: bool = False,
    lost_too: bool = True,
    using: str = DEFAULT_DB_ALIAS,
) -> Report:
    """Settle the outcomes; with a claimer, claim up to `take` rows along.

    With `keep_child`, a single child released to this seat's lane and queue is born running to it. Outcomes of
    executions that somebody else has locked come back in `left`; the first execution is waited for.
    """
    connection = connections[using]
    report = Report()
    with transaction.atomic(using=using, savepoint=False):
        items = _lock_all(connection, [o.claim.execution_id for o in outcomes])
        mine = [o for o in outcomes if o.claim.execution_id in items]
        report.left = [o for o in outcomes if o.claim.execution_id not in items]
        _load(connection, items, mine)
        for outcome in mine:
            _settle_one(items[outcome.claim.execution_id], outcome, report)
        changed = [item for item in items.values() if item.touched or item.events]
        close(connection, changed)
        child = _keep_child(changed, claimer) if keep_child and claimer and take else None
        if changed:
            write(connection, changed, claimer)
        report.unfinished = [item.id for item in changed if item.due]
        report.claimed = _claim_along(connection, changed, claimer, take, child, lost_too)
    return report


def settle_alone(outcome: Settled, using: str = DEFAULT_DB_ALIAS) -> Report:
    """Settle one outcome and every wave that follows from it."""
    report = settle([outcome], using=using)
    for execution_id in report.unfinished:
        settle_waves(execution_id, using=using)
    return report


def settle_waves(execution_id: uuid.UUID, using: str = DEFAULT_DB_ALIAS) -> None:
    """Settle skips and upstream failures that earlier transactions left, ≤ 500 in each, until none is left."""
    connection = connections[using]
    more = True
    while more:
        with transaction.atomic(using=using, savepoint=False):
            items = lock(connection, [execution_id], graph_of)
            for item in items.values():
                condition = "n.execution_id = %s AND n.verdict <> ''"
                load_rows(connection, items, condition, [sql.key(connection, execution_id)])
                close(connection, [item])
                if item.touched:
                    write(connection, [item])
                    wake(connection)
            more = any(item.due for item in items.values())


def _lock_all(connection: BaseDatabaseWrapper, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Locked]:
    """Wait for the first execution's lock; take others only where nobody holds them, so that no ring can form."""
    first, *rest = dict.fromkeys(ids)
    items = lock(connection, [first], graph_of)
    if rest:
        items |= lock(connection, rest, graph_of, skip=True)
    return items


def _load(
    connection: BaseDatabaseWrapper, items: dict[uuid.UUID, Locked], outcomes: Sequence[Settled]
) -> None:
    """Read the settled rows, and those dependents that other predecessors may have made already."""
    if not outcomes:
        return
    condition, ids = sql.one_of(connection, "n.id", [o.claim.run_id for o in outcomes], "bigint")
    params = [ids]
    pairs = _dependents(items, ((o.claim.execution_id, o.result.key) for o in outcomes))
    if pairs:
        condition += f" OR {_in_pairs(connection)}"
        params.append(_pairs(connection, pairs))
    load_rows(connection, items, condition, params)


def _dependents(items: dict[uuid.UUID, Locked], keys) -> list[tuple[uuid.UUID, str]]:  # type: ignore[no-untyped-def]
    pairs = {
        (id, child): None
        for id, key in keys
        for child in dependents_with_rows(items[id].graph, key.node)
        if Key(child) not in items[id].view.rows
    }
    return list(pairs)


def _in_pairs(connection: BaseDatabaseWrapper) -> str:
    columns = {"execution_id": "uuid", "node": "text"}
    pairs = sql.recordset(connection.vendor, columns)
    return f"(n.execution_id, n.node) IN (SELECT r.execution_id, r.node FROM {pairs})"


def _pairs(connection: BaseDatabaseWrapper, pairs: list[tuple[uuid.UUID, str]]) -> str:
    return sql.records({"execution_id": sql.key(connection, id), "node": node} for id, node in pairs)


def _settle_one(item: Locked, outcome: Settled, report: Report) -> None:
    row, times = item.view.rows.get(outcome.result.key), item.times.get(outcome.result.key)
    mine = row is not None and row.status is NodeStatus.RUNNING and times is not None
    if not mine or times is None or times.fence != outcome.claim.fence or times.id != outcome.claim.run_id:
        report.refused.append(outcome)
        return
    at = item.now - dt.timedelta(seconds=max(0.0, outcome.ago))
    if (
        outcome.result.outcome not in (Outcome.LOST, Outcome.RELEASED, Outcome.BLOCKED)
        and times.started_at is None
    ):
        began = at - dt.timedelta(milliseconds=outcome.result.duration or 0.0)
        # Two clocks measure to within a hair; a node never shows as begun before it was released.
        times.started_at = max(began, times.ready_at) if times.ready_at is not None else began
    result = replace(outcome.result, jitter=random.random())
    item.run(decide(item.graph, item.view, result), at)


def close(connection: BaseDatabaseWrapper, items: Sequence[Locked]) -> None:
    """Run the waves that the decisions set off, and finish what has nothing open left."""
    left = WAVE
    while left and (batch := [(item, key) for item in items for key in item.due][:left]):
        byid = {item.id: item for item, _ in batch}
        pairs = _dependents(byid, ((item.id, key) for item, key in batch))
        if pairs:
            load_rows(connection, byid, _in_pairs(connection), [_pairs(connection, pairs)])
        for item, key in batch:
            item.due.remove(key)
            item.run(wave(item.graph, item.view, key))
        left -= len(batch)
    for item in items:
        commands = finish(item.view, elapsed(item))
        if commands:
            if not item.view.failures:
                item.output = _output(connection, item)
            item.run(commands)


def _output(connection: BaseDatabaseWrapper, item: Locked) -> str | None:
    """Return the output as JSON text: the named node's result, or every sink's by name; None past the limit."""
    nodes = [item.graph.output] if item.graph.output is not None else list(item.graph.sinks)
    condition, param = sql.one_of(connection, "n.node", nodes, "text")
    text = (
        f"SELECT n.node, {sql.json_text(connection, 'n.result')} FROM orchestration_noderun n"
        f" WHERE n.execution_id = %s AND NOT n.superseded AND {condition}"
    )
    found = dict(execute(connection, text, [sql.key(connection, item.id), param]))
    found |= {key.node: row.result for key, row in item.view.rows.items() if key in item.touched}
    if item.graph.output is not None:
        return found.get(item.graph.output)
    parts = [
        f"{json.dumps(node, ensure_ascii=False)}:{found[node]}"
        for node in nodes
        if found.get(node) is not None
    ]
    output = "{" + ",".join(parts) + "}"
    return output if len(output.encode()) <= settings.IGON7_PAYLOAD_LIMIT else None


# --- what runs next --------------------------------------------------------------------------------


def _keep_child(items: Sequence[Locked], claimer: Claimer) -> tuple[Locked, Key] | None:
    """Let the one child that was released be born running to this seat, where it may run it."""
    released = [(item, key) for item in items for key in item.ready]
    if len(released) != 1:
        return None
    item, key = released[0]
    row, times, spec = item.view.rows[key], item.times[key], item.graph.nodes[key.node]
    fits = spec.lane == claimer.lane and (item.queue or spec.queue) in claimer.queues
    if not fits or row.held or row.delay or row.losses >= ALONE_AFTER:
        return None
    row.status = NodeStatus.RUNNING
    row.attempt += 1
    times.fence, times.claimed, times.alone = times.fence + 1, True, False
    return item, key


def _claim_along(
    connection: BaseDatabaseWrapper,
    items: Sequence[Locked],
    claimer: Claimer | None,
    take: int,
    child: tuple[Locked, Key] | None,
    lost_too: bool,
) -> list[Claim]:
    claimed = []
    if child is not None:
        item, key = child
        times = item.times[key]
        assert times.id is not None
        version = item.version_id
        claimed.append(
            Claim(times.id, item.id, version, key, item.view.rows[key].attempt, times.fence, queued=0.0)
        )
    if claimer is not None and take > len(claimed):
        claimed += claim_within(connection, claimer, take - len(claimed), lost_too=lost_too and not claimed)
    if sum(len(item.ready) for item in items) > len(claimed):
        wake(connection)
    return claimed
