"""All that can be done to an execution, by name, and whether it is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestration import models
from orchestration.engine import verbs
from orchestration.engine.errors import IllegalMove
from orchestration.engine.states import ExecutionStatus
from security import actions
from security.policies import allowed
from security.principals import Principal

from .anew import fork, rerun
from .control import RESERVED, retry
from .signals import send_signal

VERBS: dict[str, Callable[..., Any]] = {
    **RESERVED,
    "retry": retry,
    "rerun": rerun,
    "fork": fork,
    "signal": send_signal,
}
STARTING = ("rerun", "fork")  # what starts another execution: whoever may run the workflow may do it


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
