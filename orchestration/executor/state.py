"""Shared state, changed by hand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from orchestration import queries
from orchestration.engine import state as rules
from orchestration.engine.codec import dump_payload
from orchestration.engine.durations import Duration
from orchestration.engine.errors import InvalidOption, StateChanged, UnknownState
from orchestration.models import Execution, Workflow
from orchestration.store import state
from orchestration.store.state import Change, Place, Writer
from security import actions, audit
from security.objects import Resource
from security.policies import allowed, authorise
from security.principals import Principal

from .acting import check_reason


@dataclass(frozen=True, slots=True)
class StateOf:
    """Whose state it is: an execution's, a workflow's, or, of neither, everybody's."""

    execution: Execution | None = None
    workflow: Workflow | None = None

    @property
    def row(self) -> Execution | Workflow | None:
        return self.execution or self.workflow

    def place(self, key: str = "") -> Place:
        """Return where the value of a key is kept."""
        if self.execution is not None:
            return Place.of_execution(self.execution.id, key)
        if self.workflow is not None:
            return Place(rules.WORKFLOW, self.workflow.name, key)
        return Place(rules.GLOBAL, "", key)

    def __str__(self) -> str:
        if self.execution is not None:
            return f"in execution {self.execution.id}"
        return f'in workflow "{self.workflow.name}"' if self.workflow is not None else "that all share"


def state_of(
    *, principal: Principal, workflow: str | None = None, execution: uuid.UUID | str | None = None
) -> StateOf:
    """Return whose state is meant; none named: what all workflows share. Asks whether it may be viewed.

    Raises UnknownWorkflow, UnknownExecution, InvalidOption, Denied.
    """
    if execution and workflow:
        raise InvalidOption(option="workflow", value=workflow, expected="left out beside an execution")
    if execution:
        return StateOf(execution=queries.execution(principal, execution))
    if workflow:
        return StateOf(workflow=queries.workflow(principal, workflow))
    authorise(principal, actions.GLOBAL_STATE_VIEW)
    return StateOf()


def may_set_state(principal: Principal, whose: StateOf) -> bool:
    """Say whether the principal may change this state."""
    return allowed(principal, *_asked(whose))


def set_state(
    key: str,
    value: Any,
    *,
    principal: Principal,
    workflow: str | None = None,
    execution: uuid.UUID | str | None = None,
    ttl: Duration | None = None,
    version: int | None = None,
    reason: str = "",
) -> int:
    """Set a value of an execution, a workflow or, neither named, of all; return its version.

    With a `version`, only if that is still its version (0: if there is none): StateChanged. Raises what `state_of`
    raises, NotSerialisable, PayloadTooLarge.
    """
    text = dump_payload(value, f'The state "{rules.check_key(key)}"', settings.IGON7_STATE_LIMIT)
    seconds, expected = rules.check_ttl(ttl), _expected(version)
    whose = _authorised(principal, workflow, execution)
    asked = Change("set", whose.place(key), Writer(principal.name), text, seconds, expected)
    return _change(whose, asked, principal, reason, {"ttl": seconds})


def delete_state(
    key: str,
    *,
    principal: Principal,
    workflow: str | None = None,
    execution: uuid.UUID | str | None = None,
    version: int | None = None,
    reason: str = "",
) -> None:
    """Delete a value; with a `version`, only if that is still its version. Raises UnknownState, and as `set_state`."""
    rules.check_key(key)
    expected = _expected(version)
    whose = _authorised(principal, workflow, execution)
    asked = Change("delete", whose.place(key), Writer(principal.name), version=expected)
    _change(whose, asked, principal, reason, {})


def _expected(version: int | None) -> int | None:
    return rules.check_version(version) if version is not None else None


def _asked(whose: StateOf) -> tuple[str, Execution | Workflow | None]:
    action = actions.STATE_CHANGE if whose.row is not None else actions.GLOBAL_STATE_CHANGE
    return action, whose.row


def _authorised(principal: Principal, workflow: str | None, execution: uuid.UUID | str | None) -> StateOf:
    whose = state_of(principal=principal, workflow=workflow, execution=execution)
    authorise(principal, *_asked(whose))
    return whose


def _change(
    whose: StateOf, asked: Change, principal: Principal, reason: str, about: Mapping[str, Any]
) -> int:
    reason = check_reason(reason)
    with transaction.atomic():
        came = state.change(connection, asked)
        if came == "null":
            raise _why_not(whose, asked)
        told = {"key": asked.place.key, "version": int(came), "reason": reason, **about}
        resource = whose.row or Resource("orchestration.stateentry", "global", "global")
        details = {name: value for name, value in told.items() if value not in (None, "")}
        audit.record(principal, f"state.{asked.kind}", resource, details=details)
    return int(came)


def _why_not(whose: StateOf, asked: Change) -> UnknownState | StateChanged:
    found, key = state.find(asked.place), asked.place.key
    if found is None and not asked.version:
        return UnknownState(key=key, where=whose)
    is_now = f"is at version {found.version} now" if found is not None else "is not there any more"
    return StateChanged(key=key, found=is_now, expected=asked.version)
