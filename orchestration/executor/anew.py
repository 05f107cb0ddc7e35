"""Executions made of others, and what an act would do."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from orchestration import inputs
from orchestration.engine.errors import InvalidOption
from orchestration.store import fork as store_fork
from orchestration.store.preview import preview as store_preview
from orchestration.store.start import Order
from orchestration.store.versions import graph_of
from security import actions, audit
from security.policies import authorise
from security.principals import Principal

from . import admission
from .acting import SAME, check_reason, commit, resource_of, visible
from .starting import begin, order_of, resolve

PREVIEWED = ("cancel", "terminate", "pause", "resume", "retry", "skip", "supply", "fail", "rerun", "fork")


def rerun(
    execution_id: uuid.UUID | str, *, principal: Principal, input: Any = SAME, reason: str = ""
) -> uuid.UUID:
    """Start the workflow's present version anew, with the same input or another; return the new execution's id.

    Raises what `start` raises.
    """
    source = visible(execution_id, principal)
    workflow = resolve(source.workflow.name, principal)
    given = source.input if input is SAME else input
    order = order_of(workflow, given, principal, source.priority, source.tags, source.labels, None)
    about = {"from": str(source.id), "edited": input is not SAME, "reason": check_reason(reason)}
    with commit(source.id) as more:
        started = begin(workflow, [replace(order, forked_from=source.id)], principal)[0]
        details = {**about, **more}
        audit.record(principal, "execution.rerun", resource_of(started.id, workflow.name), details=details)
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
    source = visible(execution_id, principal)
    authorise(principal, actions.WORKFLOW_RUN, source.workflow)
    admission.check_start(graph_of(source.version_id), principal)
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
    with commit(source.id) as more:
        id = store_fork.fork(source.id, version, order, node, about)
        details = {"from": str(source.id), "node": node, **about, **more}
        audit.record(principal, "execution.fork", resource_of(id, source.workflow.name), details=details)
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
    execution = visible(execution_id, principal)
    authorise(principal, actions.EXECUTION_CONTROL, execution)
    return store_preview(execution.id, verb, node=node, rollback=rollback)
