"""Signals: a message to one execution is kept, in order of receipt, until a body asks for its name."""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.errors import Igon7Error, IllegalMove, UnknownExecution
from orchestration.engine.view import Emit

from . import clock, deliver, sql
from .locked import Locked, lock_statement, read_locked, read_uuid
from .parking import consumed
from .sql import Statement
from .transaction import transaction
from .versions import graph_of

BATCH = 200  # executions that one transaction locks


@dataclass(frozen=True, slots=True)
class Message:
    """A signal to send; `payload` is JSON text, `sent_id` the sender's own, by which it is accepted once."""

    execution_id: uuid.UUID
    name: str
    payload: str
    sender: str = ""
    sent_id: str | None = None


Known = set[tuple[uuid.UUID, str | None]]
Also = Callable[[list[Message]], list[Statement]]


def send(
    messages: Sequence[Message], also: Also | None = None, using: str = DEFAULT_DB_ALIAS
) -> list[Igon7Error | None]:
    """Accept each message, or return why not: its execution has ended, or there is none.

    `also` gives what commits with those that were accepted.
    """
    results: list[Igon7Error | None] = []
    for first in range(0, len(messages), BATCH):
        results += _send(messages[first : first + BATCH], also, using)
    return results


def _send(messages: Sequence[Message], also: Also | None, using: str) -> list[Igon7Error | None]:
    connection = connections[using]
    ids = sorted({message.execution_id for message in messages})
    with transaction(connection) as turn:
        named = [_asking_known(connection, messages)] if any(m.sent_id for m in messages) else []
        locking, telling = lock_statement(connection, ids), (f"SELECT {clock.sql(connection)}", list[Any]())
        locked, [[now]], waits, *known = turn.run(
            [locking, telling, _asking_waits(connection, messages), *named]
        )
        items = read_locked(locked, graph_of)
        for item in items.values():
            item.now = clock.read(now)
        found = (
            {(read_uuid(row[0]), row[1]) for row in known[0]}
            if known
            else set[tuple[uuid.UUID, str | None]]()
        )
        results = [_refusal(items.get(message.execution_id), message, found) for message in messages]
        accepted = [message for message, no in zip(messages, results, strict=True) if no is None]
        fresh = _fresh(accepted, found)
        if fresh:
            delivery, rows = _deliver(items, deliver.read(items, waits), fresh)
            told = [_insert(connection, rows), *(also(fresh) if also else ())]
            writing = deliver.writing(connection, items.values(), delivery)
            turn.finish(sql.as_one(connection, [*told, *writing]))
    return results


def _fresh(messages: Sequence[Message], known: Known) -> list[Message]:
    """Return the messages but for those that were accepted before, or come twice."""
    fresh, seen = list[Message](), set(known)
    for message in messages:
        about = (message.execution_id, message.sent_id)
        if message.sent_id is None or about not in seen:
            fresh.append(message)
            seen.add(about)
    return fresh


def _refusal(item: Locked | None, message: Message, known: Known) -> Igon7Error | None:
    if item is None:
        return UnknownExecution(id=message.execution_id)
    if item.view.status.is_terminal and (item.id, message.sent_id) not in known:
        verb, hint = f'take the signal "{message.name}"', "Nothing in it waits any more."
        return IllegalMove(id=item.id, state=item.view.status.value, verb=verb, hint=hint)
    return None


def _asking_known(connection: BaseDatabaseWrapper, messages: Sequence[Message]) -> Statement:
    """Return what reads which of the messages that their senders have named were accepted before."""
    named = [message for message in messages if message.sent_id is not None]
    keys = [sql.key(connection, message.execution_id) for message in named]
    whose, ids = sql.one_of(connection, "execution_id", keys, "uuid")
    sent, param = sql.one_of(connection, "sent_id", [message.sent_id for message in named], "text")
    return f"SELECT execution_id, sent_id FROM orchestration_signal WHERE {whose} AND {sent}", [ids, param]


def _asking_waits(connection: BaseDatabaseWrapper, messages: Sequence[Message]) -> Statement:
    whose, ids = deliver.of_executions(connection, {message.execution_id for message in messages})
    named, names = sql.one_of(connection, "w.name", sorted({message.name for message in messages}), "text")
    return deliver.asking(connection, f"w.kind = 'signal' AND {whose} AND {named}", [ids, names])


def _deliver(
    items: dict[uuid.UUID, Locked], waits: Sequence[deliver.Waiting], fresh: Sequence[Message]
) -> tuple[deliver.Delivery, list[list[object]]]:
    """Give each signal to whoever has waited for it the longest; nobody waits where an older one is unread.

    Return what is brought, and the signals' rows.
    """
    delivery, rows = deliver.Delivery(), list[list[object]]()
    waiting: dict[tuple[uuid.UUID, str], deque[deliver.Waiting]] = defaultdict(deque)
    for wait in waits:
        waiting[(wait.execution_id, wait.name)].append(wait)
    for place, message in enumerate(fresh):
        item, sent_id = items[message.execution_id], message.sent_id
        item.unread += 1
        told = {"name": message.name, "by": message.sender, **({"id": sent_id} if sent_id else {})}
        item.run([Emit("signal.received", data=told)])
        queue = waiting[(item.id, message.name)]
        brought = queue.popleft() if queue else None
        if brought is not None:
            consumed(item, brought.node, brought.attempt, brought.name, sent_id)
            delivery.bring(item, brought, f'signal "{message.name}"', value=message.payload)
        read = [item.now, brought.run_id] if brought is not None else [None, None]
        about = [item.id, message.name, message.payload, message.sender, sent_id]
        rows.append([place, *about, item.now, *read])
    return delivery, rows


_SIGNAL = {
    "place": "int",
    "execution_id": "uuid",
    "name": "text",
    "payload": "json",
    "sender": "text",
    "sent_id": "text",
    "received_at": "time",
    "consumed_at": "time",
    "node_run_id": "id",
}


def _insert(connection: BaseDatabaseWrapper, rows: Sequence[Sequence[object]]) -> Statement:
    """Return what writes signals, numbered in the order of their places."""
    names = ", ".join(name for name in _SIGNAL if name != "place")
    text = (
        f"INSERT INTO orchestration_signal ({names}) SELECT {names}"
        f" FROM {sql.recordset(connection.vendor, _SIGNAL)} WHERE true ORDER BY r.place"
    )
    return text, [sql.records(connection, rows)]
