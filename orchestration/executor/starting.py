"""Starting executions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from orchestration import inputs, models, registry
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import InvalidInput, InvalidOption, UnknownWorkflow
from orchestration.engine.policies import check_priority
from orchestration.store import start as store_start
from orchestration.store import versions
from orchestration.store.sql import Statement
from orchestration.store.start import Order, Started
from security import actions, audit
from security.errors import Denied
from security.objects import Resource
from security.policies import allowed, authorise
from security.principals import Principal

from . import admission
from .acting import resource_of

BATCH = 100  # executions in one transaction: workers begin with the first while the next are written
KEY_LIMIT = 200


def start(
    workflow: str | Workflow,
    input: Any = None,
    *,
    principal: Principal,
    idempotency_key: str | None = None,
    priority: int = 3,
    tags: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    refresh: bool = False,
) -> uuid.UUID:
    """Start one execution and return its id; with `refresh`, it computes what is cached, and renews it.

    Raises UnknownWorkflow, UnknownTask, InvalidInput, PayloadTooLarge, NotSerialisable, InvalidOption,
    IdempotencyConflict and Denied.
    """
    options = {"idempotency_key": idempotency_key, "priority": priority, "tags": tags, "labels": labels}
    options["refresh"] = refresh
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
    refresh: Any = False,
) -> Started:
    """Do as `start`, and say whether the idempotency key had an execution already."""
    found = resolve(workflow, principal)
    order = order_of(found, input, principal, priority, tags, labels, key_of(idempotency_key), _flag(refresh))
    return begin(found, [order], principal)[0]


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
    found = resolve(workflow, principal)
    shared = tuple(tags)
    orders = []
    for number, value in enumerate(inputs):
        try:
            orders.append(order_of(found, value, principal, priority, shared, None, None))
        except InvalidInput as error:
            raise numbered(number, error) from None
    started: list[Started] = []
    for first in range(0, len(orders), BATCH):
        started += begin(found, orders[first : first + BATCH], principal)
    return [one.id for one in started]


def numbered(number: int, error: InvalidInput) -> InvalidInput:
    """Say which of many inputs it is that cannot be taken."""
    return InvalidInput(**{**error.fields, "detail": f"input {number}: {error.fields['detail']}"})


def resolve(workflow: str | Workflow, principal: Principal) -> Workflow:
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
    found = registry.require(workflow) if isinstance(workflow, str) else registry.check_value(workflow)
    registry.check_children(found)
    admission.check_start(found.graph, principal)
    return found


def order_of(
    workflow: Workflow,
    value: Any,
    principal: Principal,
    priority: int,
    tags: Iterable[str],
    labels: Mapping[str, str] | None,
    key: str | None,
    refresh: bool = False,
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
        refresh=refresh,
    )


def begin(workflow: Workflow, orders: Sequence[Order], principal: Principal) -> list[Started]:
    version = versions.version_of(workflow)

    def audited(ids: list[uuid.UUID]) -> list[Statement]:
        resources = [resource_of(id, workflow.name) for id in ids]
        about: dict[str, Any] = {"version": version.number}
        if any(order.refresh for order in orders):
            about["refresh"] = True
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


def _flag(refresh: Any) -> bool:
    if not isinstance(refresh, bool):
        raise InvalidOption(option="refresh", value=refresh, expected="true or false")
    return refresh


def key_of(key: Any) -> str | None:
    if key is None or key == "":
        return None
    if not isinstance(key, str) or len(key) > KEY_LIMIT or "\0" in key:
        raise InvalidOption(
            option="idempotency_key", value=key, expected=f"a text of up to {KEY_LIMIT} characters"
        )
    return key
