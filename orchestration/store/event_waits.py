"""Bodies that wait for an event: what came before they began to, and bringing them what comes."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine import conditions
from orchestration.engine.conditions import equal_to, holds, key_of
from orchestration.engine.grammar import Condition, parse
from orchestration.engine.parking import Wait
from orchestration.engine.view import Emit, Key

from . import clock, deliver, events, sql
from .events import Kept
from .locked import Locked, lock_statement, read_locked, read_uuid
from .outcomes import Settled
from .sql import Statement, execute
from .transaction import Transaction, transaction
from .versions import graph_of

BATCH = 200  # executions that one transaction locks
PAGE = 100  # events that are looked at in one go
ROUNDS = 5  # in which executions that somebody else has locked are tried again
_PLAIN = re.compile(r"[\w-]{1,100}", re.ASCII)
_AGAIN = 0.02  # seconds before they are
Found = dict[tuple[int, str], Kept]  # by node run and key of the wait
Receipts = list[list[object]]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which events a wait is for: `lookback` is seconds; None: since the execution began."""

    condition: Condition | None = None
    lookback: float | None = None
    text: str = field(default="", compare=False)

    def fits(self, event: Kept, began: dt.datetime | None, since: dt.datetime) -> bool:
        """Say whether the event is one, for a wait that began then in an execution that began then."""
        return event.accepted_at >= self.least(began, since) and (
            self.condition is None or holds(self.condition, event.value())
        )

    def least(self, began: dt.datetime | None, since: dt.datetime) -> dt.datetime:
        """Return the time before which no event counts."""
        if self.lookback is None:
            return began or since
        return since - dt.timedelta(seconds=self.lookback)


@lru_cache(maxsize=2000)
def sought(about: str | None) -> Sought:
    """Return what a wait's `about` says: {"match": a condition, or fields and their values; "lookback": seconds}."""
    given = json.loads(about) if about else {}
    match = given.get("match")
    if match is None:
        return Sought(None, given.get("lookback"))
    condition = parse(match) if isinstance(match, str) else equal_to(match)
    return Sought(condition, given.get("lookback"), condition.text)


def place(wait: Wait) -> tuple[str, str]:
    """Return by which fields, and which values in them, an event finds the wait; "" where it has to look."""
    return conditions.place(sought(wait.about).condition) if wait.kind == "event" else ("", "")


# --- parking: what came before ---------------------------------------------------------------------


def look_back(
    turn: Transaction,
    items: Mapping[uuid.UUID, Locked],
    waiting: Sequence[Settled],
    known: Mapping[int, set[str]],
) -> Found:
    """Return for each wait for an event the first that came before, and that its node was not given yet."""
    pairs = [
        (o, w)
        for o in waiting
        for w in o.result.waits
        if w.kind == "event" and w.key not in known[o.claim.run_id]
    ]
    if not pairs:
        return {}
    began = _begun(turn, [o.claim.run_id for o, _ in pairs])
    found: Found = {}
    given: set[tuple[uuid.UUID, Key, uuid.UUID]] = set()
    for outcome, wait in pairs:
        item, node = items[outcome.claim.execution_id], outcome.result.key
        asked = sought(wait.about)
        since = began.get((outcome.claim.run_id, wait.key), item.now)
        for event in _came(turn, item, node, wait, asked.least(item.started_at, since)):
            if (item.id, node, event.id) not in given and asked.fits(event, item.started_at, since):
                found[outcome.claim.run_id, wait.key] = event
                given.add((item.id, node, event.id))
                break
    return found


def _begun(turn: Transaction, run_ids: Sequence[int]) -> dict[tuple[int, str], dt.datetime]:
    """Enter the gate, and return since when those wait that go on waiting."""
    condition, ids = sql.one_of(turn.connection, "node_run_id", run_ids, "bigint")
    text = f"SELECT node_run_id, key, since FROM orchestration_wait WHERE kind = 'event' AND {condition}"
    *_, rows = turn.run([*events.enter(turn.connection), (text, [ids])])
    return {(row[0], row[1]): clock.read(row[2]) for row in rows}


def _came(turn: Transaction, item: Locked, node: Key, wait: Wait, least: dt.datetime) -> Iterator[Kept]:
    """Yield the events of the name since then that the node was not given, the oldest first."""
    connection, after = turn.connection, (least, uuid.UUID(int=0))
    mark = "::timestamptz" if sql.is_postgres(connection) else ""
    fitting, values = _fitting(connection, sought(wait.about).condition)
    text = (
        f"SELECT {events.columns(connection)} FROM orchestration_event ev WHERE ev.name = %s {fitting}"
        f" AND (ev.accepted_at, ev.id) > (%s{mark}, %s) AND NOT {_was_given('ev.id', '%s', '%s', '%s')}"
        f" ORDER BY ev.accepted_at, ev.id LIMIT {PAGE}"
    )
    while True:
        at = str(connection.ops.adapt_datetimefield_value(after[0]))
        place = [at, sql.key(connection, after[1])]
        params = [wait.name, *values, *place, sql.key(connection, item.id), node.node, node.index]
        [rows] = turn.run([(text, params)])
        found = events.read(rows)
        yield from found
        if len(found) < PAGE:
            return
        after = (found[-1].accepted_at, found[-1].id)


_ROW = ("w.execution_id", "n.node", 'n."index"')


def _fitting(connection: BaseDatabaseWrapper, condition: Condition | None) -> tuple[str, list[Any]]:
    """Return what leaves out most events for which the condition does not hold, so that they need not be read here."""
    text, params = "", list[Any]()
    for path, value in conditions.equalities(condition).items():
        names = [step for step in path if isinstance(step, str) and _PLAIN.fullmatch(step)]
        if len(names) < len(path) or not (
            isinstance(value, str) or (type(value) is int and abs(value) < 2**53)
        ):
            continue
        if sql.is_postgres(connection):
            text += " AND ev.data::jsonb #> %s::text[] = %s::jsonb"
            params += [names, json.dumps(value)]
        else:
            text += " AND json_extract(ev.data, %s) = %s"
            params += ["$" + "".join(f'."{name}"' for name in names), value]
    return text, params


def _was_given(event: str, execution: str, node: str, index: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM orchestration_receipt g WHERE g.event_id = {event} AND g.execution_id = {execution}"
        f" AND g.node = {node} AND g.\"index\" = {index} AND g.outcome = 'woke')"
    )


def received(item: Locked, key: Key, attempt: int, event: Kept) -> list[object]:
    """Note that a body has been given an event; return the receipt's row."""
    item.run([Emit("event.received", key, attempt, event.told())])
    return [event.id, "woke", item.id, key.node, key.index, item.now]


_RECEIPT = {
    "event_id": "uuid",
    "outcome": "text",
    "execution_id": "uuid",
    "node": "text",
    "index": "int",
    "at": "time",
}


def receipts(connection: BaseDatabaseWrapper, rows: Receipts) -> Statement:
    """Return what writes receipts of bodies."""
    names = ", ".join(f'"{name}"' for name in _RECEIPT)
    values = ", ".join(f'r."{name}"' for name in _RECEIPT)
    text = (
        f"INSERT INTO orchestration_receipt ({names}, workflow_id, why) SELECT {values}, e.workflow_id, ''"
        f" FROM {sql.recordset(connection.vendor, _RECEIPT)} JOIN orchestration_execution e ON e.id = r.execution_id"
    )
    return text, [sql.records(connection, rows)]


# --- delivering: what comes ------------------------------------------------------------------------


def bring(event: Kept, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Give the event to every body that waits for it; False when some are left, whom somebody else has locked."""
    connection = connections[using]
    events.pass_through(connection)
    for round in range(ROUNDS):
        targets = _targets(connection, event)
        if not targets:
            return True
        if round:
            time.sleep(_AGAIN)
        for first in range(0, len(targets), BATCH):
            _bring(connection, event, targets[first : first + BATCH])
    return not _targets(connection, event)


def _targets(connection: BaseDatabaseWrapper, event: Kept) -> list[uuid.UUID]:
    """Return the executions with a parked body that waits for the event, in key order. Nothing is locked."""
    places = [(shape, key_of(shape, event.value())) for shape in _shapes(connection, event.name)]
    if not places:
        return []
    text = (
        f"SELECT w.execution_id, {sql.json_text(connection, 'w.about')}, w.since, e.started_at"
        f" FROM {sql.recordset(connection.vendor, _PLACE)}"
        " JOIN orchestration_wait w ON w.kind = 'event' AND w.name = %s AND w.shape = r.shape"
        " AND w.match_key = r.match_key"
        " JOIN orchestration_noderun n ON n.id = w.node_run_id"
        " JOIN orchestration_execution e ON e.id = w.execution_id"
        " WHERE n.status = 'waiting' AND NOT n.superseded"
        f" AND NOT {_was_given('%s', *_ROW)}"
    )
    params = [sql.records(connection, places), event.name, sql.key(connection, event.id)]
    rows = execute(connection, text, params)
    fitting = {
        read_uuid(row[0]) for row in rows if sought(row[1]).fits(event, _read(row[3]), clock.read(row[2]))
    }
    return sorted(fitting)


_PLACE = {"shape": "text", "match_key": "text"}


def _shapes(connection: BaseDatabaseWrapper, name: str) -> list[str]:
    """Return the shapes of the waits for events of this name: each is one step in the index, however many wait."""
    text = (
        "WITH RECURSIVE s(shape) AS ("
        "SELECT min(w.shape) FROM orchestration_wait w WHERE w.kind = 'event' AND w.name = %s"
        " UNION ALL SELECT (SELECT min(w.shape) FROM orchestration_wait w WHERE w.kind = 'event' AND w.name = %s"
        " AND w.shape > s.shape) FROM s WHERE s.shape IS NOT NULL) SELECT shape FROM s WHERE shape IS NOT NULL"
    )
    return [row[0] for row in execute(connection, text, [name, name])]


def _read(value: Any) -> dt.datetime | None:
    return clock.read(value) if value is not None else None


def _bring(connection: BaseDatabaseWrapper, event: Kept, ids: Sequence[uuid.UUID]) -> None:
    """Give the event to bodies of these executions; those that somebody else has locked are left out."""
    whose, keys = deliver.of_executions(connection, ids)
    condition = f"w.kind = 'event' AND w.name = %s AND {whose} AND NOT {_was_given('%s', *_ROW)}"
    since = (
        f"SELECT w.id, w.since FROM orchestration_wait w WHERE w.kind = 'event' AND w.name = %s AND {whose}"
    )
    with transaction(connection) as turn:
        locked, waits, times = turn.run(
            [
                lock_statement(connection, ids, skip=True),
                deliver.asking(connection, condition, [event.name, keys, sql.key(connection, event.id)]),
                (since, [event.name, keys]),
            ]
        )
        items, begun = read_locked(locked, graph_of), {row[0]: clock.read(row[1]) for row in times}
        delivery, rows = deliver.Delivery(), Receipts()
        for wait in deliver.read(items, waits):
            item = items[wait.execution_id]
            if wait.id in begun and sought(wait.about).fits(event, item.started_at, begun[wait.id]):
                if any(row[2:5] == [item.id, wait.node.node, wait.node.index] for row in rows):
                    continue  # one body that waits twice: each event is given to it once
                rows.append(received(item, wait.node, wait.attempt, event))
                delivery.bring(item, wait, f'event "{event.name}"', value=event.envelope())
        more = [receipts(connection, rows)] if rows else []
        turn.finish([*deliver.writing(connection, items.values(), delivery), *more])
