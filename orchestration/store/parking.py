"""Parking under the lock: what a body waits for is noted with its outcome, and what has come already is given to it.

A wake-up is an entry in the journal. Whoever brings one (a signal, a timer) holds the execution's lock, as does the
settle that parks: so either finds what the other has written, and nothing falls between them.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.parking import Wait
from orchestration.engine.states import ExecutionStatus, Outcome
from orchestration.engine.view import Emit, Key

from . import event_waits, journal, sql
from .children import REASON, Over, over, read_over
from .locked import Locked, read_uuid
from .outcomes import Settled, begin_of, is_present
from .sql import Statement
from .transaction import Transaction

Unread = dict[tuple[uuid.UUID, str], deque[tuple[int, str | None, str | None]]]
_WAIT = {
    "execution_id": "uuid",
    "node_run_id": "id",
    "key": "text",
    "kind": "text",
    "name": "text",
    "about": "json",
    "since": "time",
    "wake_at": "time",
    "shape": "text",
    "match_key": "text",
}
_READ = {"id": "id", "node_run_id": "id", "at": "time"}


@dataclass(slots=True)
class Parking:
    """What is to be written of bodies that wait."""

    runs: list[int] = field(default_factory=list)
    waits: list[list[object]] = field(default_factory=list)
    entries: list[list[object]] = field(default_factory=list)
    read: list[list[object]] = field(default_factory=list)
    ran: list[list[object]] = field(default_factory=list)
    receipts: list[list[object]] = field(default_factory=list)  # of events

    def statements(self, connection: BaseDatabaseWrapper) -> list[Statement]:
        """Return what writes it."""
        if not self.runs:
            return []
        condition, ids = sql.one_of(connection, "node_run_id", self.runs, "bigint")
        writing = [_forget(connection, condition, ids, self.waits), _insert(connection, self.waits)]
        if self.entries:
            writing += [journal.insert(connection, self.entries), consume(connection, self.read)]
        if self.ran:
            writing.append(journal.insert(connection, self.ran, anew=True))
        if self.receipts:
            writing.append(event_waits.receipts(connection, self.receipts))
        own, ids = sql.one_of(connection, "id", self.runs, "bigint")
        counted = f"UPDATE orchestration_noderun SET parked = parked + 1 WHERE {own}"
        return [*writing, (counted, [ids])]


def meet(
    turn: Transaction, items: dict[uuid.UUID, Locked], outcomes: Sequence[Settled]
) -> tuple[list[Settled], Parking]:
    """Give each body that wants to wait what has come already; return the outcomes, and what is to be written."""
    parking = Parking()
    waiting = [o for o in outcomes if o.result.outcome is Outcome.SUSPENDED and _may_wait(items, o)]
    if not waiting:
        return list(outcomes), parking
    known, unread, ended = _read(turn, items, waiting)
    came = event_waits.look_back(turn, items, waiting, known)
    met = {id(outcome): _meet(items, outcome, known, unread, came, ended, parking) for outcome in waiting}
    return [met.get(id(outcome), outcome) for outcome in outcomes], parking


def _may_wait(items: dict[uuid.UUID, Locked], outcome: Settled) -> bool:
    item = items[outcome.claim.execution_id]
    return is_present(item, outcome) and item.view.status is not ExecutionStatus.CANCELLING


def _meet(
    items: dict[uuid.UUID, Locked],
    outcome: Settled,
    known: dict[int, set[str]],
    unread: Unread,
    came: event_waits.Found,
    ended: Over,
    parking: Parking,
) -> Settled:
    item, run_id, key = items[outcome.claim.execution_id], outcome.claim.run_id, outcome.result.key
    parking.runs.append(run_id)
    attempt = outcome.claim.attempt
    if (ran := outcome.result.ran) is not None:
        parking.ran.append([run_id, journal.ran_key(attempt), journal.RAN, journal.VALUE, str(ran), item.now])
    if outcome.result.began is None:
        began = json.dumps(begin_of(item, outcome).isoformat())
        parking.ran.append(
            [run_id, journal.began_key(attempt), journal.BEGAN, journal.VALUE, began, item.now]
        )
    woken = ""
    for wait in outcome.result.waits:
        if wait.key in known[run_id]:
            woken = woken or f"what it waits for is there ({wait.kind})"
        elif wait.kind == "signal" and (queue := unread.get((item.id, wait.name))):
            number, payload, sent_id = queue.popleft()
            parking.entries.append([run_id, wait.key, wait.kind, journal.VALUE, payload, item.now])
            parking.read.append([number, run_id, item.now])
            consumed(item, key, outcome.claim.attempt, wait.name, sent_id)
            woken = woken or f'signal "{wait.name}"'
        elif event := came.get((run_id, wait.key)):
            parking.entries.append([run_id, wait.key, wait.kind, journal.VALUE, event.envelope(), item.now])
            parking.receipts.append(event_waits.received(item, key, outcome.claim.attempt, event))
            woken = woken or f'event "{wait.name}"'
        elif wait.kind == "child" and (how := ended.get((run_id, wait.key))) is not None:
            tried = str(outcome.claim.attempt)
            parking.entries.append([run_id, wait.key, wait.kind, how, tried, item.now])
            woken = woken or REASON
        else:
            parking.waits.append(_row(item, run_id, wait))
    return replace(outcome, result=replace(outcome.result, woken=woken))


def consumed(item: Locked, key: Key, attempt: int, name: str, sent_id: str | None) -> None:
    """Note that a body has been given a signal."""
    item.unread -= 1
    told = {"name": name, **({"id": sent_id} if sent_id else {})}
    item.run([Emit("signal.consumed", key, attempt, told)])


def _row(item: Locked, run_id: int, wait: Wait) -> list[object]:
    until = item.now + dt.timedelta(seconds=wait.timeout) if wait.timeout is not None else None
    place = event_waits.place(wait)
    return [item.id, run_id, wait.key, wait.kind, wait.name, wait.about, item.now, until, *place]


def _read(
    turn: Transaction, items: dict[uuid.UUID, Locked], waiting: Sequence[Settled]
) -> tuple[dict[int, set[str]], Unread, Over]:
    """Return the journal's keys of the node runs, the oldest unread signals of the names they ask for, and which calls
    of theirs have no child that still runs."""
    connection = turn.connection
    condition, ids = sql.one_of(connection, "node_run_id", [o.claim.run_id for o in waiting], "bigint")
    asking: list[Statement] = [
        (f"SELECT node_run_id, key FROM orchestration_journalentry WHERE {condition}", [ids])
    ]
    told = [o.claim.execution_id for o in waiting if items[o.claim.execution_id].unread > 0]
    if told:
        names = [wait.name for o in waiting for wait in o.result.waits if wait.kind == "signal"]
        asking.append(_unread(connection, list(dict.fromkeys(told)), sorted(set(names)), len(names)))
    parents = [o.claim.run_id for o in waiting if any(wait.kind == "child" for wait in o.result.waits)]
    asking += [over(connection, parents)] if parents else []
    entries, *signals = turn.run(asking)
    ended = read_over(signals.pop()) if parents else {}
    known: dict[int, set[str]] = defaultdict(set)
    for run_id, key in entries:
        known[run_id].add(key)
    unread: Unread = defaultdict(deque)
    for row in signals[0] if signals else ():
        unread[(read_uuid(row[1]), row[2])].append((row[0], row[3], row[4]))
    return known, unread, ended


def _unread(
    connection: BaseDatabaseWrapper, ids: Sequence[uuid.UUID], names: Sequence[str], most: int
) -> Statement:
    whose, keys = sql.one_of(connection, "execution_id", [sql.key(connection, id) for id in ids], "uuid")
    named, param = sql.one_of(connection, "name", names, "text")
    text = (
        f"SELECT id, execution_id, name, {sql.json_text(connection, 'payload')}, sent_id FROM (SELECT s.*,"
        " row_number() OVER (PARTITION BY execution_id, name ORDER BY id) AS place FROM orchestration_signal s"
        f" WHERE {whose} AND {named} AND consumed_at IS NULL) AS s WHERE place <= %s ORDER BY id"
    )
    return text, [keys, param, most]


# --- the texts -------------------------------------------------------------------------------------


def _insert(connection: BaseDatabaseWrapper, waits: Sequence[Sequence[object]]) -> Statement:
    """Return what notes the waits; one that goes on keeps the time at which it began."""
    names = ", ".join(_WAIT)
    text = (
        f"INSERT INTO orchestration_wait ({names}) SELECT {names}"
        f" FROM {sql.recordset(connection.vendor, _WAIT)} WHERE true ON CONFLICT (node_run_id, key) DO NOTHING"
    )
    return text, [sql.records(connection, waits)]


def _forget(
    connection: BaseDatabaseWrapper, condition: str, ids: object, waits: Sequence[Sequence[object]]
) -> Statement:
    """Return what forgets the waits of these rows that they do not ask for any more."""
    kept = {"node_run_id": "id", "key": "text"}
    text = (
        f"DELETE FROM orchestration_wait WHERE {condition} AND NOT EXISTS (SELECT 1 FROM"
        f" {sql.recordset(connection.vendor, kept)} WHERE r.node_run_id = orchestration_wait.node_run_id"
        " AND r.key = orchestration_wait.key)"
    )
    return text, [ids, sql.records(connection, [(wait[1], wait[2]) for wait in waits])]


def consume(connection: BaseDatabaseWrapper, read: Sequence[Sequence[object]]) -> Statement:
    """Return what marks signals, rows of (id, node run, time), as read."""
    text = (
        "UPDATE orchestration_signal AS s SET consumed_at = r.at, node_run_id = r.node_run_id"
        f" FROM {sql.recordset(connection.vendor, _READ)} WHERE s.id = r.id"
    )
    return text, [sql.records(connection, read)]
