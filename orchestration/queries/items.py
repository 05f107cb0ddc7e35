"""Maps and their items: how far they are, and the items themselves in pages."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from orchestration.engine.errors import InvalidOption, UnknownMap
from orchestration.engine.states import NodeStatus
from orchestration.models import Execution, MapItem, NodeRun
from orchestration.store.versions import graph_of

from .nodes import items_of, run_json

MOST_ITEMS = 500  # items in one page
STATUSES = ("failed", "running", "waiting", "ready", "blocked", "pending", "succeeded", "cancelled")


@dataclass(frozen=True, slots=True)
class ItemsPage:
    """Some of a map's items, in their order; `next` is the index after which there are more."""

    items: list[NodeRun]
    next: int | None


def is_spread(run: NodeRun) -> bool:
    """Say whether the row is a map's and waits for its items."""
    return run.status == NodeStatus.WAITING and run.items is not None and run.error is None


def running_items(executions: Collection[uuid.UUID]) -> list[NodeRun]:
    """Return the items that run now in these executions: no more than workers have room for."""
    rows = NodeRun.objects.filter(
        status=NodeStatus.RUNNING, execution__in=executions, index__gte=0, superseded=False
    )
    return list(rows.defer("result", "error", "progress"))


def with_running_items(runs: Sequence[NodeRun]) -> list[NodeRun]:
    """Return the rows, and those of items that run where a map waits for them."""
    waiting = {run.execution_id for run in runs if is_spread(run)}
    return [*runs, *running_items(waiting)] if waiting else list(runs)


def items_page(
    execution: Execution, node: str, *, status: str | None = None, after: int = -1, limit: int = 100
) -> ItemsPage:
    """Return a map's items behind the index `after`, those of one status only where it is given.

    Raises InvalidOption.
    """
    if status is not None and status not in STATUSES:
        raise InvalidOption(option="status", value=status, expected="one of " + ", ".join(STATUSES))
    rows = _rows(execution, node).filter(index__gt=after).order_by("index")
    limit = max(1, min(limit, MOST_ITEMS))
    found = list((rows.filter(status=status) if status else rows)[: limit + 1])
    more = len(found) > limit
    return ItemsPage(found[:limit], found[limit - 1].index if more else None)


def _rows(execution: Execution, node: str) -> QuerySet[NodeRun]:
    return NodeRun.objects.filter(execution=execution, superseded=False, node=node, index__gte=0, for_node="")


def items_json(execution: Execution, node: str, runs: Sequence[NodeRun]) -> list[dict[str, Any]]:
    """Return items as the API shows them: what each is, how it stands, and what it gave."""
    values = _values(execution, node, [run.index for run in runs])
    return [_item_json(run, values) for run in runs]


def _item_json(run: NodeRun, values: dict[int, Any]) -> dict[str, Any]:
    shown = run_json(run)
    names = ("index", "status", "attempt", "started_at", "finished_at", "duration_ms", "progress")
    error = {name: run.error.get(name) for name in ("type", "message")} if run.error else None
    return {name: shown[name] for name in names} | {
        "item": values.get(run.index),
        "result": run.result,
        "error": error,
    }


def _values(execution: Execution, node: str, indices: Iterable[int]) -> dict[int, Any]:
    own = _own(execution, node)
    if own is None:
        return {}
    rows = MapItem.objects.filter(node_run=own.pk, fence=own.fence, index__in=list(indices))
    return dict(rows.values_list("index", "value"))


def _own(execution: Execution, node: str) -> NodeRun | None:
    rows = NodeRun.objects.filter(execution=execution, superseded=False, node=node, index=-1, for_node="")
    return rows.defer("result", "input").first()


def map_of(execution: Execution, node: str) -> dict[str, int] | None:
    """Return how far a map is, None where its items have not been found yet. Raises UnknownMap."""
    spec = graph_of(execution.version_id).nodes.get(node)
    if spec is None or spec.items is None:
        raise UnknownMap(node=node, id=execution.pk)
    own = _own(execution, node)
    return items_of(own) if own is not None else None


def item_counts(execution: Execution, node: str) -> dict[str, int]:
    """Return how many of a map's items stand at which status; those that have no row yet are pending."""
    rows = _rows(execution, node).values("status").annotate(count=Count("pk"))
    found = {row["status"]: row["count"] for row in rows.order_by()}
    own = _own(execution, node)
    unborn = (own.items or 0) - sum(found.values()) if own is not None else 0
    if unborn > 0:
        found[NodeStatus.PENDING.value] = found.get(NodeStatus.PENDING.value, 0) + unborn
    return found
