"""The verbs. Each asks `security`, acts through the store, and writes its audit row in the same commit.

The console, the API and the command line call these and nothing below them. Call them outside a transaction: a
denial is recorded in one of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from security import actions, audit
from security.errors import Denied
from security.objects import Resource
from security.policies import allowed, authorise, visible_to
from security.principals import Principal

from . import inputs, models, registry
from .engine import verbs
from .engine.attention import DECISIONS
from .engine.builder import Workflow
from .engine.codec import dump_payload
from .engine.errors import (
    IllegalMove,
    InvalidInput,
    InvalidOption,
    UnknownExecution,
    UnknownSignal,
    UnknownWorkflow,
)
from .engine.policies import check_priority
from .engine.states import ExecutionStatus
from .store import acts, versions
from .store import start as store_start
from .store.sql import Statement
from .store.start import Order, Started

BATCH = 100  # executions in one transaction: workers begin with the first while the next are written
KEY_LIMIT = 200


# --- starting --------------------------------------------------------------------------------------


def start(
    workflow: str | Workflow,
    input: Any = None,
    *,
    principal: Principal,
    idempotency_key: str | None = None,
    priority: int = 3,
    tags: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
) -> uuid.UUID:
    """Start one execution and return its id.

    Raises UnknownWorkflow, UnknownTask, InvalidInput, PayloadTooLarge, NotSerialisable, InvalidOption,
    IdempotencyConflict and Denied.
    """
    options = {"idempotency_key": idempotency_key, "priority": priority, "tags": tags, "labels": labels}
    return start_or_get(workflow, input, principal=principal, **options).id


def start_or_get(
    workflow: str | Workflow,
    input: Any = None,
    *,
    principal: Principal,
    idempotency_key: Any = None,
    priority: Any = 3,
    tags: Any = (),
    labels: Any = None,
) -> Started:
    """Do as `start`, and say whether the idempotency key had an execution already."""
    found = _resolve(workflow, principal)
    order = _order(found, input, principal, priority, tags, labels, _key(idempotency_key))
    return _start(found, [order], principal)[0]


def start_many(
    workflow: str | Workflow,
    inputs: Sequence[Any],
    *,
    principal: Principal,
    priority: int = 3,
    tags: Iterable[str] = (),
) -> list[uuid.UUID]:
    """Start an execution for each input, 100 in a transaction, and return their ids in the order of the inputs.

    Every input is checked before the first starts. Raises what `start` raises; InvalidInput names the input's place.
    """
    found = _resolve(workflow, principal)
    shared = tuple(tags)
    orders = []
    for number, value in enumerate(inputs):
        try:
            orders.append(_order(found, value, principal, priority, shared, None, None))
        except InvalidInput as error:
            raise _numbered(number, error) from None
    started: list[Started] = []
    for first in range(0, len(orders), BATCH):
        started += _start(found, orders[first : first + BATCH], principal)
    return [one.id for one in started]


def _numbered(number: int, error: InvalidInput) -> InvalidInput:
    """Say which of many inputs it is that cannot be taken."""
    return InvalidInput(**{**error.fields, "detail": f"input {number}: {error.fields['detail']}"})


def _resolve(workflow: str | Workflow, principal: Principal) -> Workflow:
    """Return the workflow, once the principal may run it; what they may not even view is unknown to them."""
    name = workflow if isinstance(workflow, str) else workflow.name
    row = versions.known_workflow(name) or models.Workflow.objects.filter(name=name).first()
    try:
        authorise(principal, actions.WORKFLOW_RUN, row or Resource("orchestration.workflow", "", name))
    except Denied:
        if principal.kind == "anonymous" or (row and allowed(principal, actions.WORKFLOW_VIEW, row)):
            raise
        raise UnknownWorkflow(
            name=name, hint="Check the name, or ask for the permission to see it."
        ) from None
    if isinstance(workflow, str):
        return registry.require(workflow)
    return registry.check_value(workflow)


def _order(
    workflow: Workflow,
    value: Any,
    principal: Principal,
    priority: int,
    tags: Iterable[str],
    labels: Mapping[str, str] | None,
    key: str | None,
) -> Order:
    return Order(
        inputs.check(workflow.name, workflow.input_schema, value),
        principal.to_json(),
        principal.name,
        principal.user_id,
        check_priority(priority),
        tuple(dict.fromkeys([*workflow.tags, *_tags(tags)])),
        _labels(labels),
        key,
    )


def _start(workflow: Workflow, orders: Sequence[Order], principal: Principal) -> list[Started]:
    version = versions.version_of(workflow)

    def audited(ids: list[uuid.UUID]) -> list[Statement]:
        resources = [_resource(id, workflow.name) for id in ids]
        about = {"version": version.number}
        return [audit.statement(connection, principal, actions.WORKFLOW_RUN, resources, about)]

    return store_start.start(version, orders, also=audited)


def _tags(tags: Any) -> list[str]:
    listed = [tags] if isinstance(tags, str) else list(tags)
    for tag in listed:
        if not isinstance(tag, str) or not tag.strip() or len(tag) > 100 or "\0" in tag:
            raise InvalidOption(option="tag", value=tag, expected="a text of 1 to 100 characters")
    return [tag.strip() for tag in listed]


def _labels(labels: Any) -> dict[str, str]:
    pairs = labels.items() if isinstance(labels, Mapping) else [("", labels)] if labels is not None else []
    for pair in pairs:
        if (
            not all(isinstance(part, str) and len(part) <= 100 and "\0" not in part for part in pair)
            or not pair[0]
        ):
            expected = "a mapping of texts of up to 100 characters to such texts"
            raise InvalidOption(option="labels", value=labels, expected=expected)
    return dict(pairs)


def _key(key: Any) -> str | None:
    if key is None or key == "":
        return None
    if not isinstance(key, str) or len(key) > KEY_LIMIT or "\0" in key:
        raise InvalidOption(
            option="idempotency_key", value=key, expected=f"a text of up to {KEY_LIMIT} characters"
        )
    return key


# --- controlling -----------------------------------------------------------------------------------


def cancel(execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "") -> None:
    """Cancel: what has not begun never does, what runs is asked to stop. Raises IllegalMove, Denied."""
    _act("cancel", execution_id, principal, reason, acts.cancel)


def terminate(execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "") -> None:
    """End at once: running bodies are interrupted and their results refused. Raises IllegalMove, Denied."""
    _act("terminate", execution_id, principal, reason, acts.terminate)


def pause(execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "") -> None:
    """Start nothing new until it is resumed. Raises IllegalMove, Denied."""
    _act("pause", execution_id, principal, reason, acts.pause)


def resume(execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "") -> None:
    """Let a paused execution go on. Raises IllegalMove, Denied."""
    _act("resume", execution_id, principal, reason, acts.resume)


def retry(
    execution_id: uuid.UUID | str, *, principal: Principal, node: str | None = None, reason: str = ""
) -> None:
    """Run again what failed or was cancelled (or `node` alone) and what follows; keep the rest.

    Raises IllegalMove, Denied.
    """
    _act("retry", execution_id, principal, reason, lambda id, about: acts.retry(id, about, node), node=node)


def attend(
    execution_id: uuid.UUID | str,
    node: str,
    decision: str,
    *,
    principal: Principal,
    result: Any = None,
    reason: str = "",
) -> None:
    """Decide about a node that needs attention: "retry", "supply" (its `result`), "skip" or "fail".

    Raises InvalidOption, NotSerialisable, PayloadTooLarge, IllegalMove, Denied.
    """
    if decision not in DECISIONS:
        raise InvalidOption(option="decision", value=decision, expected="one of " + ", ".join(DECISIONS))
    text = None
    if decision == "supply":
        text = dump_payload(result, f'The result of node "{node}"', settings.IGON7_PAYLOAD_LIMIT)
    elif result is not None:
        raise InvalidOption(
            option="result", value=result, expected='left out, unless the decision is "supply"'
        )
    _act(
        "attend",
        execution_id,
        principal,
        reason,
        lambda id, about: acts.attend(id, node, decision, about, text),
        node=node,
        decision=decision,
    )


RESERVED: dict[str, Callable[..., None]] = {
    "cancel": cancel,
    "terminate": terminate,
    "pause": pause,
    "resume": resume,
}
VERBS: dict[str, Callable[..., None]] = {**RESERVED, "retry": retry}


def send_signal(
    execution_id: uuid.UUID | str,
    name: str,
    payload: Mapping[str, Any] | None = None,
    *,
    principal: Principal,
) -> None:
    """Send a signal; the reserved names cancel, terminate, pause and resume do what they say.

    `payload` may carry {"reason": text}. Raises UnknownSignal for any other name, and what the verb raises.
    """
    verb = RESERVED.get(name)
    if verb is None:
        workflow = _visible(execution_id, principal).workflow.name
        raise UnknownSignal(workflow=workflow, name=name, known=", ".join(RESERVED))
    given = payload or {}
    if not isinstance(given, Mapping) or not isinstance(given.get("reason", ""), str):
        raise InvalidOption(option="payload", value=payload, expected='an object such as {"reason": "…"}')
    verb(execution_id, principal=principal, reason=str(given.get("reason", "")))


def can(principal: Principal, execution: models.Execution) -> dict[str, str | None]:
    """Return for each verb None when it is possible now, else the sentence that says why not. Writes nothing."""
    if not allowed(principal, actions.EXECUTION_CONTROL, execution):
        return dict.fromkeys(VERBS, "You may not control the executions of this workflow.")
    return {verb: _why_not(verb, execution) for verb in VERBS}


def _why_not(verb: str, execution: models.Execution) -> str | None:
    try:
        verbs.check(verb, ExecutionStatus(execution.status), execution.id)
    except IllegalMove as no:
        return str(no)
    return None


def _act(
    verb: str,
    execution_id: uuid.UUID | str,
    principal: Principal,
    reason: str,
    act: Callable[[uuid.UUID, dict[str, Any]], None],
    **details: Any,
) -> None:
    execution = _visible(execution_id, principal)
    authorise(principal, actions.EXECUTION_CONTROL, execution)
    about, joint = {"by": principal.name, "reason": check_reason(reason)}, _joint.get()
    with transaction.atomic():
        if joint:
            joint.write(execution.id)
            details |= joint.details
        act(execution.id, about)
        given = {name: value for name, value in details.items() if value is not None}
        resource = _resource(execution.id, execution.workflow.name)
        audit.record(principal, f"execution.{verb}", resource, details={**given, "reason": about["reason"]})


@dataclass(frozen=True, slots=True)
class Joint:
    """What else commits with a verb: `write` runs first in its transaction, `details` go into its audit row."""

    write: Callable[[uuid.UUID], None]
    details: Mapping[str, Any]


_joint: ContextVar[Joint | None] = ContextVar("joint", default=None)


@contextmanager
def together_with(joint: Joint) -> Iterator[None]:
    """Let what is written with each verb of this block commit with it, or not at all."""
    before = _joint.set(joint)
    try:
        yield
    finally:
        _joint.reset(before)


def _visible(execution_id: uuid.UUID | str, principal: Principal) -> models.Execution:
    rows = visible_to(principal, models.Execution.objects.select_related("workflow"))
    try:
        return rows.get(pk=uuid.UUID(str(execution_id)))
    except (ValueError, models.Execution.DoesNotExist):
        raise UnknownExecution(id=execution_id) from None


def check_reason(reason: Any) -> str:
    """Return the reason as it is kept. Raises InvalidOption."""
    if not isinstance(reason, str) or len(reason) > 2000:
        raise InvalidOption(
            option="reason", value=str(reason)[:80], expected="a text of up to 2,000 characters"
        )
    return reason.replace("\0", "").strip()


def _resource(id: uuid.UUID, workflow: str) -> Resource:
    return Resource("orchestration.execution", str(id), workflow)
