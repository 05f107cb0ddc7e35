"""What every verb does: find what its principal may see, authorise, act, and audit in the same commit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from orchestration import models
from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import InvalidOption, UnknownExecution
from orchestration.store.origins import Origin, of_executions
from security import actions, audit
from security.objects import Resource
from security.policies import authorise, sees_everything, visible_to
from security.principals import Principal

SAME: Any = object()  # an input that is not edited


def act_on(
    verb: str,
    execution_id: uuid.UUID | str,
    principal: Principal,
    reason: str,
    act: Callable[[uuid.UUID, dict[str, Any]], None],
    *,
    also: Callable[[models.Execution], None] | None = None,
    **details: Any,
) -> None:
    execution = visible(execution_id, principal)
    authorise(principal, actions.EXECUTION_CONTROL, execution)
    if also is not None:
        also(execution)
    about = {"by": principal.name, "reason": check_reason(reason)}
    with commit(execution.id) as more:
        act(execution.id, about)
        given = {name: value for name, value in {**details, **more}.items() if value is not None}
        resource = resource_of(execution.id, execution.workflow.name)
        audit.record(principal, f"execution.{verb}", resource, details={**given, "reason": about["reason"]})


@dataclass(frozen=True, slots=True)
class Joint:
    """What else commits with a verb: `write` runs first in its transaction, `details` go into its audit row."""

    write: Callable[[uuid.UUID], None]
    details: Mapping[str, Any]


_joint: ContextVar[Joint | None] = ContextVar("joint", default=None)


@contextmanager
def commit(execution_id: uuid.UUID) -> Iterator[Mapping[str, Any]]:
    """Open the verb's transaction, in which its joint comes first, and give what that adds to the audit."""
    joint = _joint.get()
    with transaction.atomic():
        if joint:
            joint.write(execution_id)
        yield joint.details if joint else {}


@contextmanager
def joined(execution_id: uuid.UUID) -> Iterator[Mapping[str, Any]]:
    """Open a transaction as `commit` does, if the verb has a joint; else its own statement is one."""
    if _joint.get() is None:
        yield {}
        return
    with commit(execution_id) as details:
        yield details


@contextmanager
def together_with(joint: Joint) -> Iterator[None]:
    """Let what is written with each verb of this block commit with it, or not at all."""
    before = _joint.set(joint)
    try:
        yield
    finally:
        _joint.reset(before)


def visible(execution_id: uuid.UUID | str, principal: Principal) -> models.Execution:
    # Most verbs need neither what may be megabytes; the one that does reads it then.
    large = ("version__definition", "output")
    rows = visible_to(principal, models.Execution.objects.select_related("workflow", "version").defer(*large))
    try:
        return rows.get(pk=uuid.UUID(str(execution_id)))
    except (ValueError, models.Execution.DoesNotExist):
        raise UnknownExecution(id=execution_id) from None


def visible_many(ids: Collection[uuid.UUID | str], principal: Principal) -> dict[str, Origin]:
    """Return the executions by what they were called. Raises UnknownExecution."""
    keys = {str(id): _as_uuid(id) for id in ids}
    found: dict[uuid.UUID, Origin] = {}
    wanted = sorted(set(keys.values()))
    for first in range(0, len(wanted), 500):
        found |= {each.id: each for each in _seen(wanted[first : first + 500], principal)}
    if unknown := next((name for name, key in keys.items() if key not in found), None):
        raise UnknownExecution(id=unknown)
    return {name: found[key] for name, key in keys.items()}


def _seen(ids: Sequence[uuid.UUID], principal: Principal) -> list[Origin]:
    found = of_executions(ids)
    if sees_everything(principal):
        return found
    shown = visible_to(principal, models.Execution.objects.filter(pk__in=ids))
    visible = set(shown.values_list("pk", flat=True))
    return [each for each in found if each.id in visible]


def authorise_control(principal: Principal, executions: Iterable[Origin]) -> None:
    """Return when the principal may control all of them. Raises Denied."""
    for id, name in {each.workflow_id: each.workflow for each in executions}.items():
        workflow = models.Workflow(id=id, name=name)
        authorise(principal, actions.EXECUTION_CONTROL, models.Execution(workflow=workflow))


def _as_uuid(id: uuid.UUID | str) -> uuid.UUID:
    try:
        return uuid.UUID(str(id))
    except ValueError:
        raise UnknownExecution(id=id) from None


def check_reason(reason: Any) -> str:
    """Return the reason as it is kept. Raises InvalidOption."""
    if not isinstance(reason, str) or len(reason) > 2000:
        raise InvalidOption(
            option="reason", value=str(reason)[:80], expected="a text of up to 2,000 characters"
        )
    return reason.replace("\0", "").strip()


def resource_of(id: uuid.UUID, workflow: str) -> Resource:
    return Resource("orchestration.execution", str(id), workflow)


def edited_text(input: Any, node: str | None) -> str | None:
    if input is SAME:
        return None
    return dump_payload(input, f'The input of node "{node}"', settings.IGON7_PAYLOAD_LIMIT)
