"""Sending events to everyone who listens."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import InvalidOption
from orchestration.engine.triggers import check_event_name
from orchestration.store import events as store
from orchestration.store.events import Accepted, NewEvent
from orchestration.store.sql import Statement
from security import actions, audit
from security.objects import Resource
from security.policies import authorise
from security.principals import Principal

from .delivering import deliver_soon

BY_WORKFLOWS = "/workflows/"  # what the source of events that bodies emit begins with
ID_LIMIT = 200
SOURCE_LIMIT = 500
MOST = 1000  # events sent at once


@dataclass(frozen=True, slots=True)
class Message:
    """An event to send. `id` is the sender's own: with one `source`, it is accepted once."""

    name: str
    data: Any = None
    id: str | None = None
    source: str | None = None
    subject: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


def emit_event(
    name: str,
    data: Any = None,
    *,
    principal: Principal,
    id: str | None = None,
    source: str | None = None,
    subject: str = "",
) -> Accepted:
    """Send an event; once this returns it is kept, and reaches whoever listens, now or within a second.

    What is sent again under the same `id` and `source` is accepted once: `existed` says so. Raises InvalidOption,
    NotSerialisable, PayloadTooLarge, Denied.
    """
    return emit_events([Message(name, data, id, source, subject)], principal=principal)[0]


def emit_events(messages: Sequence[Message], *, principal: Principal) -> list[Accepted]:
    """Send events, all or none; raises what `emit_event` raises."""
    authorise(principal, actions.EVENT_EMIT)
    if len(messages) > MOST:
        raise InvalidOption(option="the number of events", value=len(messages), expected=f"at most {MOST}")
    ready = [_new(each, principal) for each in messages]
    if not ready:
        return []
    names = ", ".join(sorted({each.name for each in ready}))[:1000]

    def audited(ids: list[uuid.UUID]) -> list[Statement]:
        resources = [Resource("orchestration.event", str(id), names) for id in ids]
        return [audit.statement(connection, principal, actions.EVENT_EMIT, resources, {"name": names})]

    accepted = store.accept(ready, also=audited)
    deliver_soon([each.id for each in accepted if not each.existed])
    return accepted


def _new(message: Message, principal: Principal) -> NewEvent:
    name = check_event_name(message.name)
    text = dump_payload(message.data, f'The data of event "{name}"', settings.IGON7_PAYLOAD_LIMIT)
    return NewEvent(
        name,
        _source(message.source, principal),
        check_event_id(message.id) or str(uuid.uuid4()),
        text,
        _text("subject", message.subject, SOURCE_LIMIT),
        dict(message.attributes),
        principal.name,
        principal.user_id,
    )


def _source(source: Any, principal: Principal) -> str:
    if source is None or source == "":
        return f"/{'system' if principal.kind == 'system' else 'people'}/{quote(principal.name)}"
    found = _text("source", source, SOURCE_LIMIT)
    if found.startswith(BY_WORKFLOWS):
        expected = f"another one: those that begin with {BY_WORKFLOWS} are of events that workflows emit"
        raise InvalidOption(option="the event's source", value=source, expected=expected)
    return found


def check_event_id(id: Any) -> str | None:
    """Return the sender's id of an event, or None. Raises InvalidOption."""
    if id is None or id == "":
        return None
    return _text("id", id, ID_LIMIT)


def _text(option: str, given: Any, limit: int) -> str:
    if (
        not isinstance(given, str)
        or len(given) > limit
        or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in given)
    ):
        expected = f"a text of up to {limit} characters without control characters"
        raise InvalidOption(option=f"the event's {option}", value=given, expected=expected)
    return given
