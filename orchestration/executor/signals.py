"""Messages to executions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from django.db import connection, transaction

from orchestration import inputs, models
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import Igon7Error, InvalidOption
from orchestration.engine.signals import NAME_LIMIT, check_name
from orchestration.store import signals
from orchestration.store.origins import Origin, of_executions
from orchestration.store.signals import Message
from orchestration.store.sql import Statement
from orchestration.store.versions import graph_of
from security import actions, audit
from security.policies import authorise
from security.principals import Principal

from .acting import authorise_control, check_reason, joined, resource_of, visible_many
from .control import RESERVED
from .starting import begin, key_of, order_of, resolve


def send_signal(
    execution_id: uuid.UUID | str,
    name: str,
    payload: Any = None,
    *,
    principal: Principal,
    id: str | None = None,
    reason: str = "",
) -> None:
    """Send a signal; once this returns it is kept, and whoever waits for its name, now or later, is given it.

    `id` is the sender's own: what is sent again under it is accepted once. `reason` is kept in the audit. The reserved
    names cancel, terminate, pause and resume do what they say; their payload may carry {"reason": text}, and
    {"rollback": true} to cancel. Raises IllegalMove when the execution has ended, UnknownExecution, InvalidSignal when
    the payload does not fit the schema that the workflow declares for it, InvalidOption, NotSerialisable,
    PayloadTooLarge, Denied.
    """
    if name in RESERVED:
        _obey(execution_id, name, payload, principal, reason)
        return
    [execution] = visible_many([execution_id], principal).values()
    authorise_control(principal, [execution])
    message, said = _message(execution, name, payload, id, principal), check_reason(reason)
    with joined(execution.id) as more:
        about = {**more, **({"reason": said} if said else {})}
        audited = partial(_audited, principal, {execution.id: execution.workflow}, about=about)
        [no] = signals.send([message], also=audited)
        if no is not None:
            raise no


def send_signals(
    messages: Iterable[tuple[uuid.UUID | str, str, Any]],
    *,
    principal: Principal,
    ids: Sequence[str | None] | None = None,
) -> list[Igon7Error | None]:
    """Send many signals, (execution, name, payload), and return for each None or why it was not accepted.

    All are checked before the first is sent. Raises InvalidSignal, InvalidOption, NotSerialisable, PayloadTooLarge,
    UnknownExecution, Denied.
    """
    asked = list(messages)
    executions = visible_many([id for id, _, _ in asked], principal)
    authorise_control(principal, executions.values())
    sent_ids = list(ids) if ids is not None else [None] * len(asked)
    ready = [
        _message(executions[str(id)], name, payload, sent_id, principal)
        for (id, name, payload), sent_id in zip(asked, sent_ids, strict=True)
    ]
    workflows = {each.id: each.workflow for each in executions.values()}
    return signals.send(ready, also=partial(_audited, principal, workflows))


def _message(execution: Origin, name: Any, payload: Any, sent_id: Any, principal: Principal) -> Message:
    declared = graph_of(execution.version_id).signals.get(check_name(name))
    text = inputs.check_signal(execution.workflow, name, declared, payload)
    return Message(execution.id, name, text, principal.name, _sent_id(sent_id))


def _audited(
    principal: Principal,
    workflows: Mapping[uuid.UUID, str],
    accepted: list[Message],
    about: Mapping[str, Any] = MappingProxyType({}),
) -> list[Statement]:
    resources = [resource_of(each.execution_id, workflows[each.execution_id]) for each in accepted]
    details = {"name": ", ".join(sorted({each.name for each in accepted})), **about}
    return [audit.statement(connection, principal, "execution.signal", resources, details)]


def signal_with_start(
    workflow: str | Workflow,
    input: Any = None,
    *,
    signal: str,
    payload: Any = None,
    idempotency_key: str,
    principal: Principal,
    priority: int = 3,
    tags: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
) -> uuid.UUID:
    """Start an execution under the key, unless there is one, and send it the signal: both or neither.

    Raises what `start` and `send_signal` raise.
    """
    found = resolve(workflow, principal)
    if row := models.Workflow.objects.filter(name=found.name).first():
        authorise(principal, actions.EXECUTION_CONTROL, models.Execution(workflow=row))
    order = order_of(found, input, principal, priority, tags, labels, key_of(idempotency_key))
    with transaction.atomic():
        [started] = begin(found, [order], principal)
        [execution] = of_executions([started.id])
        message = _message(execution, signal, payload, None, principal)
        [no] = signals.send([message], also=partial(_audited, principal, {started.id: found.name}))
        if no is not None:
            raise no
    return started.id


def _sent_id(id: Any) -> str | None:
    if id is None or id == "":
        return None
    if not isinstance(id, str) or len(id) > NAME_LIMIT or "\0" in id:
        expected = f"a text of up to {NAME_LIMIT} characters"
        raise InvalidOption(option="the signal's id", value=id, expected=expected)
    return id


def _obey(execution_id: uuid.UUID | str, verb: str, payload: Any, principal: Principal, reason: str) -> None:
    given = payload or {}
    if not isinstance(given, Mapping) or not isinstance(given.get("reason", ""), str):
        raise InvalidOption(option="payload", value=payload, expected='an object such as {"reason": "…"}')
    rollback = {"rollback": True} if verb == "cancel" and given.get("rollback") is True else {}
    RESERVED[verb](
        execution_id, principal=principal, reason=str(given.get("reason", "")) or reason, **rollback
    )
