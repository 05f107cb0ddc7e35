"""Signals: a message to one execution is kept, in order of receipt, until a body asks for its name."""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.errors import Igon7Error, IllegalMove, UnknownExecution
from orchestration.engine.view import Emit

from . import deliver, sql
from .locked import Locked, lock, read_uuid
from .sql import Statement, execute
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
    with transaction.atomic(using=using, savepoint=False):
        items = lock(connection, sorted({message.execution_id for message in messages}), graph_of)
        known = _known(connection, messages)
        results = [_refusal(items.get(message.execution_id), message, known) for message in messages]
        accepted = [message for message, no in zip(messages, results, strict=True) if no is None]
        if accepted:
            ids = _insert(connection, items, accepted, known)
            fresh = [(id, message) for id, message in zip(ids, accepted, strict=True) if id is not None]
            delivery = _deliver(connection, items, fresh)
            deliver.write(connection, list(items.values()), delivery)
            for text, params in also([message for _, message in fresh]) if also and fresh else ():
                execute(connection, text, params)
    return results


def _refusal(item: Locked | None, message: Message, known: Known) -> Igon7Error | None:
    if item is None:
        return UnknownExecution(id=message.execution_id)
    if item.view.status.is_terminal and (item.id, message.sent_id) not in known:
        verb, hint = f'take the signal "{message.name}"', "Nothing in it waits any more."
        return IllegalMove(id=item.id, state=item.view.status.value, verb=verb, hint=hint)
    return None


_SIGNAL = {
    "place": "int",
    "execution_id": "uuid",
    "name": "text",
    "payload": "json",
    "sender": "text",
    "sent_id": "text",
    "received_at": "time",
}


def _insert(
    connection: BaseDatabaseWrapper,
    items: dict[uuid.UUID, Locked],
    messages: Sequence[Message],
    known: Known,
) -> list[int | None]:
    """Write the messages; return their ids, None for one that was accepted before."""
    ids: list[int | None] = []
    fresh: list[list[object]] = []
    for place, message in enumerate(messages):
        item, about = items[message.execution_id], (message.execution_id, message.sent_id)
        if message.sent_id is not None and about in known:
            ids.append(None)
            continue
        known.add(about)
        ids.append(0)
        row = [place, item.id, message.name, message.payload, message.sender, message.sent_id, item.now]
        fresh.append(row)
    if fresh:
        names = ", ".join(name for name in _SIGNAL if name != "place")
        text = (
            f"INSERT INTO orchestration_signal ({names}) SELECT {names}"
            f" FROM {sql.recordset(connection.vendor, _SIGNAL)} WHERE true ORDER BY r.place RETURNING id"
        )
        # They are numbered in the order in which they are inserted, which is that of their places.
        given = sorted(row[0] for row in execute(connection, text, [sql.records(connection, fresh)]))
        numbers = iter(given)
        ids = [next(numbers) if id is not None else None for id in ids]
    return ids


def _known(connection: BaseDatabaseWrapper, messages: Sequence[Message]) -> Known:
    """Return which of the messages that their senders have named were accepted before."""
    if not (named := [message for message in messages if message.sent_id is not None]):
        return set()
    keys = [sql.key(connection, message.execution_id) for message in named]
    whose, ids = sql.one_of(connection, "execution_id", keys, "uuid")
    sent, param = sql.one_of(connection, "sent_id", [message.sent_id for message in named], "text")
    text = f"SELECT execution_id, sent_id FROM orchestration_signal WHERE {whose} AND {sent}"
    return {(read_uuid(row[0]), row[1]) for row in execute(connection, text, [ids, param])}


def _deliver(
    connection: BaseDatabaseWrapper, items: dict[uuid.UUID, Locked], fresh: Sequence[tuple[int, Message]]
) -> deliver.Delivery:
    """Give each signal to whoever has waited for it the longest; nobody waits where an older one is unread."""
    delivery = deliver.Delivery()
    whose, ids = deliver.of_executions(connection, {message.execution_id for _, message in fresh})
    named, names = sql.one_of(connection, "w.name", sorted({message.name for _, message in fresh}), "text")
    waiting: dict[tuple[uuid.UUID, str], deque[deliver.Waiting]] = defaultdict(deque)
    for wait in deliver.waits(connection, items, f"w.kind = 'signal' AND {whose} AND {named}", [ids, names]):
        waiting[(wait.execution_id, wait.name)].append(wait)
    for id, message in fresh:
        item = items[message.execution_id]
        item.unread += 1
        told = {"name": message.name, "by": message.sender}
        item.run(
            [Emit("signal.received", data={**told, **({"id": message.sent_id} if message.sent_id else {})})]
        )
        if queue := waiting[(item.id, message.name)]:
            delivery.consume(item, queue.popleft(), id, message.payload, message.sent_id)
    return delivery
