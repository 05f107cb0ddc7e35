"""Events: a message to everyone who listens is kept, then given to whom it concerns. The row itself is what is still
to be done: `delivered_at` is empty until everybody has been given it (see docs/decisions.md).

Nothing falls between an event and a wait for it. Who parks holds GATE, shared, from before it looks for events until it
has committed; who gives an event passes through GATE once the event is committed, before it looks for waits. So either
the one has seen the event, or the other sees the wait.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from . import clock, ids, journal, sql
from .claim import Claim
from .journal import Entry
from .locked import read_uuid
from .sql import Rows, Statement, execute
from .transaction import transaction

AGAIN = "UPDATE SET value = excluded.value"  # who does not hear that it was kept asks again
GATE = 0x69676F6E37  # the key of an advisory lock: "igon7"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to accept; `data` is JSON text, `source` and `sent_id` are its sender's and accepted once."""

    name: str
    source: str
    sent_id: str
    data: str
    subject: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    sender: str = ""
    user_id: int | None = None
    workflow_id: int | None = None
    execution_id: uuid.UUID | None = None
    node: str = ""
    hops: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """Under which id an event is kept; `existed` when its sender had sent it before."""

    id: uuid.UUID
    existed: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as it is kept; `data` is JSON text."""

    id: uuid.UUID
    name: str
    source: str
    sent_id: str
    subject: str
    data: str | None
    accepted_at: dt.datetime
    hops: int
    sender: str

    def envelope(self) -> str:
        """Return what bodies are given, as JSON text."""
        about = {
            "name": self.name,
            "id": self.sent_id,
            "source": self.source,
            "subject": self.subject or None,
        }
        told = sql.to_json({**about, "time": self.accepted_at.isoformat()})
        return f'{told[:-1]},"data":{self.data or "null"}}}'

    def value(self) -> Any:
        return json.loads(self.data) if self.data is not None else None

    def told(self) -> dict[str, Any]:
        """Return what an execution's log says of it."""
        return {"id": str(self.id), "name": self.name, "source": self.source, "hops": self.hops}


_EVENT = {
    "id": "uuid",
    "name": "text",
    "source": "text",
    "sent_id": "text",
    "subject": "text",
    "attributes": "jsonb",
    "data": "json",
    "sender": "text",
    "user_id": "int",
    "workflow_id": "int",
    "execution_id": "uuid",
    "node": "text",
    "hops": "int",
}
_COLUMNS = "ev.id, ev.name, ev.source, ev.sent_id, ev.subject, {data}, ev.accepted_at, ev.hops, ev.sender"


def columns(connection: BaseDatabaseWrapper) -> str:
    """Return the columns (of ev) that `read` reads."""
    return _COLUMNS.format(data=sql.json_text(connection, "ev.data"))


def read(rows: Rows) -> list[Kept]:
    """Return the events of rows of `columns`."""
    return [_kept(*row) for row in rows]


def _kept(
    id: Any,
    name: str,
    source: str,
    sent: str,
    subject: str,
    data: str | None,
    at: Any,
    hops: int,
    sender: str,
) -> Kept:
    return Kept(read_uuid(id), name, source, sent, subject, data, clock.read(at), hops, sender)


# --- accepting -------------------------------------------------------------------------------------


def accept(
    events: Sequence[NewEvent],
    also: Callable[[list[uuid.UUID]], list[Statement]] = lambda ids: [],
    using: str = DEFAULT_DB_ALIAS,
) -> list[Accepted]:
    """Keep the events, all or none; `also` gives what commits with those that are new."""
    connection = connections[using]
    with transaction(connection) as turn:
        [rows] = turn.run([_insertion(connection, events)])
        new = {(row[1], row[2]): read_uuid(row[0]) for row in rows}
        known = _known(connection, [each for each in events if (each.source, each.sent_id) not in new])
        turn.finish(also(list(new.values())) if new else [])
    found, seen = list[Accepted](), set[tuple[str, str]]()
    for each in events:
        about = (each.source, each.sent_id)
        found.append(Accepted(new.get(about) or known[about], about not in new or about in seen))
        seen.add(about)
    return found


def emit(claim: Claim, entry: Entry, new: NewEvent, using: str = DEFAULT_DB_ALIAS) -> uuid.UUID | None:
    """Keep an event of a body that runs, with its entry in the journal; None when it was kept before.

    Raises PermissionError when the claim is ours no longer.
    """
    connection = connections[using]
    with transaction(connection) as turn:
        kept, hops, source = turn.run(
            [
                journal.keeping(connection, claim, entry, AGAIN),
                _hops(connection, claim),
                _emitter(connection, claim),
            ]
        )
        if not kept:
            raise PermissionError
        [(workflow_id,)] = source
        about = {"workflow_id": workflow_id, "execution_id": claim.execution_id, "hops": (hops[0][0] or 0)}
        [rows] = turn.finish([_insertion(connection, [replace(new, **about)])])
    return read_uuid(rows[0][0]) if rows else None


def _insertion(connection: BaseDatabaseWrapper, events: Sequence[NewEvent]) -> Statement:
    names = ", ".join(_EVENT)
    text = (
        f"INSERT INTO orchestration_event ({names}, accepted_at) SELECT {names}, {clock.sql(connection)}"
        f" FROM {sql.recordset(connection.vendor, _EVENT)} WHERE true"
        " ON CONFLICT (source, sent_id) DO NOTHING RETURNING id, source, sent_id"
    )
    return text, [sql.records(connection, map(_values, events))]


def _values(event: NewEvent) -> list[Any]:
    return [
        ids.time_ordered(),
        event.name,
        event.source,
        event.sent_id,
        event.subject,
        sql.to_json(dict(event.attributes)),
        event.data,
        event.sender,
        event.user_id,
        event.workflow_id,
        event.execution_id,
        event.node,
        event.hops,
    ]


_PAIR = {"source": "text", "sent_id": "text"}


def _known(connection: BaseDatabaseWrapper, events: Sequence[NewEvent]) -> dict[tuple[str, str], uuid.UUID]:
    if not events:
        return {}
    text = (
        "SELECT ev.id, ev.source, ev.sent_id FROM orchestration_event ev"
        f" JOIN {sql.recordset(connection.vendor, _PAIR)} ON ev.source = r.source AND ev.sent_id = r.sent_id"
    )
    pairs = sql.records(connection, [(each.source, each.sent_id) for each in events])
    return {(row[1], row[2]): read_uuid(row[0]) for row in execute(connection, text, [pairs])}


def _hops(connection: BaseDatabaseWrapper, claim: Claim) -> Statement:
    """Return what counts the executions, one started by the event of the other, that led to this one's events."""
    text = (
        "WITH RECURSIVE up(id, parent_id) AS (SELECT id, parent_id FROM orchestration_execution WHERE id = %s"
        " UNION ALL SELECT e.id, e.parent_id FROM orchestration_execution e JOIN up ON e.id = up.parent_id)"
        " SELECT max(ev.hops) + 1 FROM up JOIN orchestration_receipt r ON r.execution_id = up.id AND r.node = ''"
        " JOIN orchestration_event ev ON ev.id = r.event_id"
    )
    return text, [sql.key(connection, claim.execution_id)]


def _emitter(connection: BaseDatabaseWrapper, claim: Claim) -> Statement:
    text = "SELECT workflow_id FROM orchestration_execution WHERE id = %s"
    return text, [sql.key(connection, claim.execution_id)]


# --- reading ---------------------------------------------------------------------------------------


def still_open(
    only: Iterable[uuid.UUID] | None = None, limit: int = 100, using: str = DEFAULT_DB_ALIAS
) -> list[Kept]:
    """Return events that somebody may still have to be given, the oldest first."""
    connection = connections[using]
    condition, params = "true", list[Any]()
    if only is not None:
        condition, keys = sql.one_of(connection, "ev.id", [sql.key(connection, id) for id in only], "uuid")
        params = [keys]
    text = (
        f"SELECT {columns(connection)} FROM orchestration_event ev WHERE ev.delivered_at IS NULL AND {condition}"
        " ORDER BY ev.accepted_at, ev.id LIMIT %s"
    )
    return read(execute(connection, text, [*params, limit]))


def starter(execution_id: uuid.UUID, using: str = DEFAULT_DB_ALIAS) -> Kept | None:
    """Return the event that has started the execution, or the one that it was made from."""
    connection = connections[using]
    text = (
        "WITH RECURSIVE up(id, forked_from_id) AS ("
        " SELECT id, forked_from_id FROM orchestration_execution WHERE id = %s"
        " UNION ALL SELECT e.id, e.forked_from_id FROM orchestration_execution e JOIN up ON e.id = up.forked_from_id)"
        f" SELECT {columns(connection)} FROM up JOIN orchestration_receipt r ON r.execution_id = up.id AND r.node = ''"
        " JOIN orchestration_event ev ON ev.id = r.event_id LIMIT 1"
    )
    found = read(execute(connection, text, [sql.key(connection, execution_id)]))
    return found[0] if found else None


# --- the gate --------------------------------------------------------------------------------------


def enter(connection: BaseDatabaseWrapper) -> list[Statement]:
    """Return what a parking transaction says before it looks for events. SQLite has one writer anyway."""
    if not sql.is_postgres(connection):
        return []
    return [("SELECT pg_advisory_xact_lock_shared(%s::bigint)", [GATE])]


def pass_through(connection: BaseDatabaseWrapper) -> None:
    """Return once every transaction has ended that parks and may not have seen what is committed now."""
    if sql.is_postgres(connection):
        execute(connection, "SELECT pg_advisory_xact_lock(%s::bigint)", [GATE])


def listened_to(names: Iterable[str], using: str = DEFAULT_DB_ALIAS) -> set[str]:
    """Return the names of events that a workflow is started by, or that a body waits for."""
    connection = connections[using]
    pass_through(connection)
    text = (
        f"SELECT r.name FROM {sql.recordset(connection.vendor, {'name': 'text'})} WHERE"
        " EXISTS (SELECT 1 FROM orchestration_wait w WHERE w.kind = 'event' AND w.name = r.name)"
        " OR EXISTS (SELECT 1 FROM orchestration_trigger t WHERE t.event = r.name AND t.declared)"
    )
    return {
        row[0] for row in execute(connection, text, [sql.records(connection, [[name] for name in names])])
    }


def settled(ids: Sequence[uuid.UUID], using: str = DEFAULT_DB_ALIAS) -> None:
    """Note that everybody has been given these events."""
    if not ids:
        return
    connection = connections[using]
    which, keys = sql.one_of(connection, "id", [sql.key(connection, id) for id in ids], "uuid")
    now = clock.sql(connection)
    text = f"UPDATE orchestration_event SET delivered_at = {now} WHERE {which} AND delivered_at IS NULL"
    execute(connection, text, [keys])


def hold(connection: BaseDatabaseWrapper, id: uuid.UUID) -> bool:
    """Lock an event's row; False when somebody else has it, or has given it to everybody."""
    text = (
        "SELECT id FROM orchestration_event WHERE id = %s AND delivered_at IS NULL"
        f" {sql.for_update(connection, skip=True)}"
    )
    return bool(execute(connection, text, [sql.key(connection, id)]))
