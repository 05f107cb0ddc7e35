"""Children: executions that bodies have started, and what becomes of the calls that wait for them.

A call of a body (`Call`) has places, one for each execution it asks for; whatever happens to the body, each place is
filled once. A call is over when none of its children is open.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.states import ExecutionStatus
from orchestration.engine.view import Emit
from orchestration.models import WorkflowVersion

from . import ids, journal, sql, wakeups
from .claim import Claim
from .deliver import Waiting
from .locked import Locked, lock_statement, read_locked, read_uuid
from .sql import Statement, execute
from .start import Order, execution_values, insertion, prepare
from .transaction import Transaction, transaction
from .versions import graph_of
from .write import births, statements

REASON = "its children have ended"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a body that starts children; `key` is its place in the journal, `name` what it is shown as."""

    claim: Claim
    key: str
    kind: str  # child: it waits for them; start_child: it does not
    name: str
    on_close: str
    depth: int

    @property
    def awaited(self) -> bool:
        return self.kind == "child"


@dataclass(frozen=True, slots=True)
class Place:
    """One child to be started."""

    number: int
    version: WorkflowVersion
    order: Order


@dataclass(frozen=True, slots=True)
class Ended:
    """What a parent is told of a child; `output` is JSON text."""

    id: uuid.UUID
    workflow: str
    status: str
    output: str | None
    error: Any


Started = dict[int, uuid.UUID]
Also = Callable[[list[tuple[Place, uuid.UUID]]], list[Statement]]


def started(call: Call, using: str = DEFAULT_DB_ALIAS) -> Started:
    """Return the present child of each place of the call."""
    return {row[0]: read_uuid(row[1]) for row in execute(connections[using], *_asking(call))}


def start(
    call: Call, places: Sequence[Place], also: Also, using: str = DEFAULT_DB_ALIAS
) -> tuple[Started, ExecutionStatus] | None:
    """Start what none has been started for, in one transaction under the parent's lock.

    Return the children of the call's places and the parent's status: one that is being cancelled starts nothing. None
    when the claim is not the node run's present one. `also` gives what commits with it.
    """
    connection, claim = connections[using], call.claim
    with transaction(connection) as turn:
        locked, held, rows = turn.run(
            [lock_statement(connection, [claim.execution_id], brief=True), _holding(claim), _asking(call)]
        )
        if not held or not (items := read_locked(locked, graph_of)):
            return None
        item, known = items[claim.execution_id], {row[0]: read_uuid(row[1]) for row in rows}
        todo = [place for place in places if place.number not in known]
        if item.view.status is ExecutionStatus.CANCELLING or not todo:
            return known, item.view.status
        # In the order of their places: ids of the same millisecond have none of their own.
        fresh = sorted(ids.time_ordered() for _ in todo)
        new = [_prepare(item, place, id) for place, id in zip(todo, fresh, strict=True)]
        pairs = [(place, child.id) for place, child in zip(todo, new, strict=True)]
        item.run([_told(call, pairs)])
        turn.finish(
            [
                *statements(connection, [item]),
                *_births(connection, item, todo, new),
                *_links(connection, call, item, pairs),
                *also(pairs),
                *wakeups.statements(connection, _lanes(new)),
            ]
        )
    return known | {place.number: id for place, id in pairs}, item.view.status


def begin_again(call: Call, using: str = DEFAULT_DB_ALIAS) -> None:
    """Let the places of those that did not succeed be filled anew: a later try of the body comes to the call.

    Where a person has retried such a child meanwhile, and it has succeeded, that counts.
    """
    connection, run_id = connections[using], call.claim.run_id
    taking = _take_over("c.node_run_id = %s AND c.key = %s")
    forgetting = "DELETE FROM orchestration_journalentry WHERE node_run_id = %s AND key = %s"
    with transaction(connection) as turn:
        locking = lock_statement(connection, [call.claim.execution_id], brief=True)
        _, held = turn.run([locking, _holding(call.claim)])
        if held:
            turn.finish([(taking, [run_id, call.key]), (forgetting, [run_id, call.key])])


def carry(connection: BaseDatabaseWrapper, pairs: Sequence[tuple[int, int]]) -> None:
    """Give each new node run the children of an old one, pairs of (old, new), but for those that did not succeed."""
    if not pairs:
        return
    text = (
        "UPDATE orchestration_child AS c SET node_run_id = r.new"
        f" FROM {sql.recordset(connection.vendor, {'old': 'id', 'new': 'id'})} WHERE c.node_run_id = r.old"
    )
    execute(connection, text, [sql.records(connection, pairs)])
    whose, ids = sql.one_of(connection, "c.node_run_id", [new for _, new in pairs], "bigint")
    execute(connection, _take_over(whose), [ids])


def _take_over(whose: str) -> str:
    """Return what replaces those that did not succeed, or are about to end, unless a retry has mended them since."""
    return (
        "UPDATE orchestration_child AS c SET replaced = (c.open OR e.status <> 'succeeded'), status = e.status,"
        " output = CASE WHEN e.status = 'succeeded' THEN e.output END FROM orchestration_execution e"
        f" WHERE e.id = c.execution_id AND {whose} AND c.awaited AND NOT c.replaced"
        " AND (c.asked OR NOT c.open) AND c.status <> 'succeeded'"
    )


def forget(connection: BaseDatabaseWrapper, run_id: int | None) -> None:
    """Let the node run start all of its children anew: it is given another input."""
    execute(connection, "UPDATE orchestration_child SET replaced = true WHERE node_run_id = %s", [run_id])


def depth_of(execution_id: uuid.UUID, using: str = DEFAULT_DB_ALIAS) -> int:
    """Return how many executions there are above this one."""
    connection = connections[using]
    text = "SELECT depth FROM orchestration_child WHERE execution_id = %s"
    rows = execute(connection, text, [sql.key(connection, execution_id)])
    return int(rows[0][0]) if rows else 0


# --- calls that are over ---------------------------------------------------------------------------


def over(connection: BaseDatabaseWrapper, run_ids: Sequence[int]) -> Statement:
    """Return what reads (node run, key, how many did not succeed) of those node runs' calls that are over."""
    condition, ids = sql.one_of(connection, "node_run_id", run_ids, "bigint")
    text = (
        "SELECT node_run_id, key, sum(CASE WHEN status = 'succeeded' THEN 0 ELSE 1 END)"
        f" FROM orchestration_child WHERE {condition} AND awaited AND NOT replaced GROUP BY node_run_id, key"
        " HAVING sum(CASE WHEN open THEN 1 ELSE 0 END) = 0"
    )
    return text, [ids]


Over = dict[tuple[int, str], str]


def read_over(rows: sql.Rows) -> Over:
    """Return how each call that is over came out; one with failures is asked anew by the next try of the body."""
    return {(row[0], row[1]): journal.REFUSED if row[2] else journal.VALUE for row in rows}


def over_of(turn: Transaction, waits: Sequence[Waiting]) -> Iterator[tuple[Waiting, str]]:
    """Return those of the waits whose call is over, and how it came out."""
    if not waits:
        return
    [rows] = turn.run([over(turn.connection, [wait.run_id for wait in waits])])
    known = read_over(rows)
    for wait in waits:
        if (came := known.get((wait.run_id, wait.key))) is not None:
            yield wait, came


def results(run_id: int, key: str, limit: int, using: str = DEFAULT_DB_ALIAS) -> list[Ended] | int:
    """Return how the call's children ended, in order; or, where their results are larger than `limit`, how large."""
    connection = connections[using]
    whose = "c.node_run_id = %s AND c.key = %s AND NOT c.replaced"
    size = f"SELECT coalesce(sum(length({sql.json_text(connection, 'c.output')})), 0)"
    text = (
        f"SELECT c.execution_id, w.name, c.status, {sql.json_text(connection, 'c.output')},"
        f" {sql.json_text(connection, 'c.error')} FROM orchestration_child c"
        " JOIN orchestration_execution e ON e.id = c.execution_id JOIN orchestration_workflow w"
        f" ON w.id = e.workflow_id WHERE {whose} ORDER BY c.place"
    )
    [[large]] = execute(connection, f"{size} FROM orchestration_child c WHERE {whose}", [run_id, key])
    if large > limit:
        return int(large)
    rows = execute(connection, text, [run_id, key])
    return [Ended(read_uuid(row[0]), row[1], row[2], row[3], row[4]) for row in rows]


# --- how -------------------------------------------------------------------------------------------


def _holding(claim: Claim) -> Statement:
    text = "SELECT 1 FROM orchestration_noderun WHERE id = %s AND fence = %s AND status = 'running'"
    return text, [claim.run_id, claim.fence]


def _asking(call: Call) -> Statement:
    text = "SELECT place, execution_id FROM orchestration_child WHERE node_run_id = %s AND key = %s AND NOT replaced"
    return text, [call.claim.run_id, call.key]


def _prepare(parent: Locked, place: Place, id: uuid.UUID) -> Locked:
    return prepare(place.version, _order(parent, place), parent.now, id)


def _order(parent: Locked, place: Place) -> Order:
    return replace(place.order, parent=parent.id, priority=parent.priority)


def _told(call: Call, pairs: Sequence[tuple[Place, uuid.UUID]]) -> Emit:
    """Return the line of the parent's log: whatever is decided by an older state of it has to look again."""
    about: dict[str, Any] = {"name": call.name, "count": len(pairs), "on_parent_close": call.on_close}
    if len(pairs) == 1:
        about["execution"] = str(pairs[0][1])
    return Emit("child.started", call.claim.key, call.claim.attempt, about)


def _births(
    connection: BaseDatabaseWrapper, parent: Locked, places: Sequence[Place], new: Sequence[Locked]
) -> list[Statement]:
    rows = [
        execution_values(place.version, _order(parent, place), child)
        for place, child in zip(places, new, strict=True)
    ]
    counted = "UPDATE orchestration_execution SET children = children + %s WHERE id = %s"
    return [
        (counted, [len(rows), sql.key(connection, parent.id)]),
        insertion(connection, rows),
        *births(connection, new),
    ]


_CHILD = {
    "execution_id": "uuid",
    "parent_id": "uuid",
    "node_run_id": "id",
    "key": "text",
    "place": "int",
    "depth": "int",
    "awaited": "bool",
    "on_close": "text",
}


def _links(
    connection: BaseDatabaseWrapper, call: Call, parent: Locked, pairs: Sequence[tuple[Place, uuid.UUID]]
) -> list[Statement]:
    """Return what ties the children to the call; one that does not wait for its child remembers its id."""
    names, run_id = ", ".join(_CHILD), call.claim.run_id
    text = (
        f"INSERT INTO orchestration_child ({names}, open, asked, replaced, status)"
        f" SELECT {names}, true, false, false, '' FROM {sql.recordset(connection.vendor, _CHILD)}"
    )
    rows = [
        [id, parent.id, run_id, call.key, place.number, call.depth, call.awaited, call.on_close]
        for place, id in pairs
    ]
    linking: list[Statement] = [(text, [sql.records(connection, rows)])]
    if not call.awaited:
        entries = [
            [run_id, call.key, call.kind, journal.VALUE, sql.to_json(str(id)), parent.now] for _, id in pairs
        ]
        linking.append(journal.insert(connection, entries))
    return linking


def _lanes(new: Sequence[Locked]) -> set[str]:
    return {item.graph.nodes[key.node].lane for item in new for key in item.ready}
