"""The verbs. Each asks `security`, acts through the store, and writes its audit row in the same commit.

The console, the API and the command line call these and nothing below them. Call them outside a transaction: a
denial is recorded in one of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
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
from .store import acts, again, versions
from .store import fork as store_fork
from .store import start as store_start
from .store.preview import preview as store_preview
from .store.sql import Statement
from .store.start import Order, Started

BATCH = 100  # executions in one transaction: workers begin with the first while the next are written
KEY_LIMIT = 200
SAME: Any = object()  # an input that is not edited


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


def cancel(
    execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "", rollback: bool = False
) -> None:
    """Cancel: what has not begun never does, what runs is asked to stop; with `rollback`, then undo what succeeded.

    Raises IllegalMove, Denied.
    """
    act = partial(acts.cancel, rollback=rollback)
    _act("cancel", execution_id, principal, reason, act, rollback=rollback or None)


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
    execution_id: uuid.UUID | str,
    *,
    principal: Principal,
    node: str | None = None,
    input: Any = SAME,
    reason: str = "",
) -> None:
    """Run again what failed or was cancelled (or `node`, however it ended) and what follows; keep the rest.

    `input` is what the node then sees in the place of the execution's. Raises InvalidOption, NotSerialisable,
    PayloadTooLarge, IllegalMove, Denied.
    """
    if node is None and input is not SAME:
        raise InvalidOption(option="input", value=input, expected="left out, unless a node is named")
    text = _edited(input, node)
    act = lambda id, about: again.retry(id, about, node, text)  # noqa: E731
    _act("retry", execution_id, principal, reason, act, node=node, edited=text is not None or None)


def attend(
    execution_id: uuid.UUID | str,
    node: str,
    decision: str,
    *,
    principal: Principal,
    result: Any = None,
    input: Any = SAME,
    reason: str = "",
    reopen: bool = False,
) -> None:
    """Decide about one node: "retry" (with another `input`), "supply" (its `result`), "skip" or "fail".

    All four are for a node that needs attention; one that has not begun can be skipped or given a result, too. So can
    one that failed in an execution that has ended, with `reopen`: who decides about a node that waits, and comes too
    late, must not bring its execution back. Raises InvalidOption, NotSerialisable,
    PayloadTooLarge, IllegalMove, Denied.
    """
    if decision not in DECISIONS:
        raise InvalidOption(option="decision", value=decision, expected="one of " + ", ".join(DECISIONS))
    if decision != "supply" and result is not None:
        raise InvalidOption(
            option="result", value=result, expected='left out, unless the decision is "supply"'
        )
    if decision != "retry" and input is not SAME:
        raise InvalidOption(option="input", value=input, expected='left out, unless the decision is "retry"')
    what, limit = f'The result of node "{node}"', settings.IGON7_PAYLOAD_LIMIT
    text = dump_payload(result, what, limit) if decision == "supply" else None
    edited = _edited(input, node)
    act = lambda id, about: again.attend(id, node, decision, about, text, edited, ended_too=reopen)  # noqa: E731
    details = {
        "node": node,
        "decision": decision,
        "edited": edited is not None or None,
        "reopen": reopen or None,
    }
    _act("attend", execution_id, principal, reason, act, **details)


def _edited(input: Any, node: str | None) -> str | None:
    if input is SAME:
        return None
    return dump_payload(input, f'The input of node "{node}"', settings.IGON7_PAYLOAD_LIMIT)


def rerun(
    execution_id: uuid.UUID | str, *, principal: Principal, input: Any = SAME, reason: str = ""
) -> uuid.UUID:
    """Start the workflow's present version anew, with the same input or another; return the new execution's id.

    Raises what `start` raises.
    """
    source = _visible(execution_id, principal)
    workflow = _resolve(source.workflow.name, principal)
    given = source.input if input is SAME else input
    order = _order(workflow, given, principal, source.priority, source.tags, source.labels, None)
    about = {"from": str(source.id), "edited": input is not SAME, "reason": check_reason(reason)}
    with _commit(source.id) as more:
        started = _start(workflow, [replace(order, forked_from=source.id)], principal)[0]
        details = {**about, **more}
        audit.record(principal, "execution.rerun", _resource(started.id, workflow.name), details=details)
    return started.id


def fork(
    execution_id: uuid.UUID | str,
    node: str,
    *,
    principal: Principal,
    input: Any = SAME,
    reason: str = "",
) -> uuid.UUID:
    """Start an execution of the same version that takes over the results up to `node` and runs from there.

    The source is not touched, and may still run; the new one acts as who forks. Raises IllegalMove, UnknownExecution,
    InvalidInput, Denied.
    """
    source = _visible(execution_id, principal)
    authorise(principal, actions.WORKFLOW_RUN, source.workflow)
    version, edited = source.version, input is not SAME
    text = inputs.check(
        source.workflow.name, version.definition.get("input_schema"), source.input if not edited else input
    )
    order = Order(
        text,
        principal.to_json(),
        principal.name,
        principal.user_id,
        source.priority,
        tuple(source.tags),
        source.labels,
        forked_from=source.id,
    )
    about = {"reason": check_reason(reason), **({"edited": True} if edited else {})}
    with _commit(source.id) as more:
        id = store_fork.fork(source.id, version, order, node, about)
        details = {"from": str(source.id), "node": node, **about, **more}
        audit.record(principal, "execution.fork", _resource(id, source.workflow.name), details=details)
    return id


def preview(
    execution_id: uuid.UUID | str,
    verb: str,
    *,
    principal: Principal,
    node: str | None = None,
    rollback: bool = False,
) -> dict[str, Any]:
    """Return which nodes an act would run again, keep, cancel or undo (see `store.preview`); nothing is changed.

    Raises InvalidOption, IllegalMove, Denied.
    """
    if verb not in PREVIEWED:
        raise InvalidOption(option="verb", value=verb, expected="one of " + ", ".join(PREVIEWED))
    if node is None and verb in ("fork", "skip", "supply", "fail"):
        raise InvalidOption(option="node", value=node, expected=f"the id of the node to {verb}")
    execution = _visible(execution_id, principal)
    authorise(principal, actions.EXECUTION_CONTROL, execution)
    return store_preview(execution.id, verb, node=node, rollback=rollback)


PREVIEWED = ("cancel", "terminate", "pause", "resume", "retry", "skip", "supply", "fail", "rerun", "fork")
RESERVED: dict[str, Callable[..., None]] = {
    "cancel": cancel,
    "terminate": terminate,
    "pause": pause,
    "resume": resume,
}
VERBS: dict[str, Callable[..., Any]] = {**RESERVED, "retry": retry, "rerun": rerun, "fork": fork}
STARTING = ("rerun", "fork")  # what starts another execution: whoever may run the workflow may do it


def send_signal(
    execution_id: uuid.UUID | str,
    name: str,
    payload: Mapping[str, Any] | None = None,
    *,
    principal: Principal,
) -> None:
    """Send a signal; the reserved names cancel, terminate, pause and resume do what they say.

    `payload` may carry {"reason": text}, and {"rollback": true} to cancel. Raises UnknownSignal for any other name, and
    what the verb raises.
    """
    verb = RESERVED.get(name)
    if verb is None:
        workflow = _visible(execution_id, principal).workflow.name
        raise UnknownSignal(workflow=workflow, name=name, known=", ".join(RESERVED))
    given = payload or {}
    if not isinstance(given, Mapping) or not isinstance(given.get("reason", ""), str):
        raise InvalidOption(option="payload", value=payload, expected='an object such as {"reason": "…"}')
    rollback = {"rollback": True} if name == "cancel" and given.get("rollback") is True else {}
    verb(execution_id, principal=principal, reason=str(given.get("reason", "")), **rollback)


def can(principal: Principal, execution: models.Execution) -> dict[str, str | None]:
    """Return for each verb None when it is possible now, else the sentence that says why not. Writes nothing."""
    refused = {
        starts: None if may(principal, verb, execution) else sentence
        for starts, verb, sentence in (
            (False, "cancel", "You may not control the executions of this workflow."),
            (True, "rerun", "You may not run this workflow."),
        )
    }
    return {verb: refused[verb in STARTING] or _why_not(verb, execution) for verb in VERBS}


def may(principal: Principal, verb: str, execution: models.Execution) -> bool:
    """Say whether the principal may do the verb to an execution of this workflow, whatever its state."""
    if verb in STARTING:
        return allowed(principal, actions.WORKFLOW_RUN, execution.workflow)
    return allowed(principal, actions.EXECUTION_CONTROL, execution)


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
    about = {"by": principal.name, "reason": check_reason(reason)}
    with _commit(execution.id) as more:
        act(execution.id, about)
        given = {name: value for name, value in {**details, **more}.items() if value is not None}
        resource = _resource(execution.id, execution.workflow.name)
        audit.record(principal, f"execution.{verb}", resource, details={**given, "reason": about["reason"]})


@dataclass(frozen=True, slots=True)
class Joint:
    """What else commits with a verb: `write` runs first in its transaction, `details` go into its audit row."""

    write: Callable[[uuid.UUID], None]
    details: Mapping[str, Any]


_joint: ContextVar[Joint | None] = ContextVar("joint", default=None)


@contextmanager
def _commit(execution_id: uuid.UUID) -> Iterator[Mapping[str, Any]]:
    """Open the verb's transaction, in which its joint comes first, and give what that adds to the audit."""
    joint = _joint.get()
    with transaction.atomic():
        if joint:
            joint.write(execution_id)
        yield joint.details if joint else {}


@contextmanager
def together_with(joint: Joint) -> Iterator[None]:
    """Let what is written with each verb of this block commit with it, or not at all."""
    before = _joint.set(joint)
    try:
        yield
    finally:
        _joint.reset(before)


def _visible(execution_id: uuid.UUID | str, principal: Principal) -> models.Execution:
    rows = visible_to(principal, models.Execution.objects.select_related("workflow", "version"))
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
