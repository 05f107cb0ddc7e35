"""Executions that executions start: for whom the parent acts, and never more."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import connection

from orchestration import queries
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import ChildTooDeep, InvalidInput
from orchestration.engine.states import ExecutionStatus
from orchestration.store import children as store
from orchestration.store import versions
from orchestration.store.children import Call, Place, Started
from orchestration.store.claim import Claim
from orchestration.store.sql import Statement
from security import actions, audit
from security.principals import Principal

from .acting import resource_of
from .starting import BATCH, numbered, order_of, resolve

Wanted = Sequence[tuple[str | Workflow, Any]]


def start_children(
    claim: Claim,
    key: str,
    kind: str,
    name: str,
    wanted: Wanted,
    *,
    on_close: str,
    principal: Principal,
) -> tuple[Started, ExecutionStatus] | None:
    """Start what the call of a body asks for and has not been started; see `store.children.start`.

    All is checked before the first starts. Raises what `start` raises, and ChildTooDeep.
    """
    call = Call(claim, key, kind, name, on_close, store.depth_of(claim.execution_id) + 1)
    known = store.started(call)
    todo = [number for number in range(len(wanted)) if number not in known]
    if not todo:
        return known, ExecutionStatus.RUNNING
    if call.depth > settings.IGON7_CHILD_DEPTH:
        raise _too_deep(claim.execution_id, wanted[todo[0]][0])
    places, also = _places(wanted, todo, principal), _audited(principal, claim.execution_id)
    for first in range(0, len(places), BATCH):
        said = store.start(call, places[first : first + BATCH], also)
        if said is None or said[1] is ExecutionStatus.CANCELLING:
            return said
    return said


def _places(wanted: Wanted, todo: Sequence[int], principal: Principal) -> list[Place]:
    found: dict[str | int, Workflow] = {}
    places = []
    for number in todo:
        asked, value = wanted[number]
        same = asked if isinstance(asked, str) else id(asked)
        workflow = found.get(same) or found.setdefault(same, resolve(asked, principal))
        try:
            order = order_of(workflow, value, principal, 3, (), None, None)
        except InvalidInput as error:
            raise (numbered(number, error) if len(wanted) > 1 else error) from None
        places.append(Place(number, versions.version_of(workflow), order))
    return places


def _audited(principal: Principal, parent: uuid.UUID) -> store.Also:
    def audited(pairs: list[tuple[Place, uuid.UUID]]) -> list[Statement]:
        resources = [resource_of(id, place.version.workflow.name) for place, id in pairs]
        return [
            audit.statement(connection, principal, actions.WORKFLOW_RUN, resources, {"parent": str(parent)})
        ]

    return audited


def _too_deep(parent: uuid.UUID, asked: str | Workflow) -> ChildTooDeep:
    names = [*queries.names_above(parent), asked if isinstance(asked, str) else asked.name]
    if len(names) > 8:
        names = [*names[:4], "…", *names[-3:]]
    return ChildTooDeep(limit=settings.IGON7_CHILD_DEPTH, chain=" → ".join(names))
