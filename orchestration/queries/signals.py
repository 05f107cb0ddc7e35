"""What an execution was told, and what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from orchestration.engine.states import EXECUTION_TERMINAL, NodeStatus
from orchestration.models import Execution, Signal, Wait

from .events import instant

UNREAD, CONSUMED, UNCONSUMED = "unread", "consumed", "unconsumed"


def signals(execution_id: uuid.UUID) -> QuerySet[Signal]:
    """Return the signals that the execution was sent, in order of receipt."""
    rows = Signal.objects.filter(execution=execution_id).select_related("node_run")
    return rows.defer("node_run__input", "node_run__result", "node_run__error").order_by("id")


def signal_state(signal: Signal, execution: Execution) -> str:
    """Return whether somebody has read it, may still, or never did."""
    if signal.consumed_at is not None:
        return CONSUMED
    return UNCONSUMED if execution.status in EXECUTION_TERMINAL else UNREAD


def signal_json(signal: Signal, execution: Execution) -> dict[str, Any]:
    """Return {number, name, payload, by, id, state, received_at, consumed_at, node, index}; `id` is its sender's."""
    run = signal.node_run
    return {
        "number": signal.pk,
        "name": signal.name,
        "payload": signal.payload,
        "by": signal.sender,
        "id": signal.sent_id,
        "state": signal_state(signal, execution),
        "received_at": instant(signal.received_at),
        "consumed_at": instant(signal.consumed_at),
        "node": run.node if run else None,
        "index": run.index if run and run.index >= 0 else None,
    }


def awaited_signals(execution_ids: Iterable[uuid.UUID]) -> list[str]:
    """Return the names of the signals that parked bodies of these executions wait for now."""
    parked = {"node_run__status": NodeStatus.WAITING, "node_run__superseded": False}
    rows = Wait.objects.filter(execution__in=list(execution_ids), kind="signal", **parked)
    return sorted(set(rows.values_list("name", flat=True)))
