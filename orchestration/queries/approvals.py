"""What waits for an approval."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import QuerySet

from orchestration.engine.states import NodeStatus
from orchestration.models import Wait
from security.principals import Principal

from .lists import executions

MOST = 500  # looked at, the oldest first


def approvals(principal: Principal, may_decide: Callable[[Principal, Wait], bool]) -> list[tuple[Wait, bool]]:
    """Return what asks, the oldest first, each with whether the principal may decide about it.

    Whoever is asked sees it, though they may not view the execution.
    """
    rows = list(_asking()[:MOST])
    seen = set(
        executions(principal).filter(pk__in={row.execution_id for row in rows}).values_list("pk", flat=True)
    )
    found = ((row, may_decide(principal, row)) for row in rows)
    return [(row, may) for row, may in found if may or row.execution_id in seen]


def _asking() -> QuerySet[Wait]:
    parked = {"node_run__status": NodeStatus.WAITING, "node_run__superseded": False}
    rows = Wait.objects.filter(kind="approval", **parked)
    return rows.select_related("execution__workflow", "node_run").order_by("pk")
