"""What is cached, how often that serves, and where a node's result came from."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from orchestration import registry
from orchestration.engine.graph import Graph, NodeSpec
from orchestration.engine.view import Key
from orchestration.models import (
    CacheCount,
    CacheEntry,
    CacheFlight,
    CacheWait,
    Execution,
    ExecutionEvent,
    Workflow,
)
from orchestration.store import sql
from orchestration.store.versions import graph_of
from security.principals import Principal

from .events import instant
from .lists import executions, workflows

LOOKED_BACK = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class CacheUse:
    """A node with a cache: the entries that its workflow has put in, and how often it was looked into, in 24 hours.

    `rate` is the share of looks that were hits, from 0 to 1; None where there were none.
    """

    spec: NodeSpec
    entries: int
    hits: int
    misses: int

    @property
    def rate(self) -> float | None:
        looks = self.hits + self.misses
        return self.hits / looks if looks else None

    @property
    def percent(self) -> float | None:
        return None if self.rate is None else 100 * self.rate


def cached_nodes(workflow: Workflow) -> dict[str, NodeSpec]:
    """Return the nodes with a cache of the workflow's current version, by id."""
    return nodes_with_cache(graph_of(workflow.current_id)) if workflow.current_id else {}


def nodes_with_cache(graph: Graph) -> dict[str, NodeSpec]:
    return {spec.id: spec for spec in graph.nodes.values() if spec.cache is not None}


def with_tag(tag: str) -> list[str]:
    """Return the names of the installed workflows that have a node whose cache has the tag."""
    return [
        name
        for name, workflow in registry.all().items()
        if any(spec.cache and tag in spec.cache.tags for spec in workflow.graph.nodes.values())
    ]


def cache_use(workflow: Workflow) -> list[CacheUse]:
    """Return how the caches of the workflow's nodes are used."""
    specs = cached_nodes(workflow)
    if not specs:
        return []
    valid = CacheEntry.objects.filter(workflow=workflow.name, expires_at__gt=timezone.now())
    kept = dict(valid.order_by().values_list("node").annotate(Count("pk")))
    looks = {
        node: (hits, misses)
        for node, hits, misses in _counts(workflow.name, LOOKED_BACK)
        .values_list("node")
        .annotate(Sum("hits"), Sum("misses"))
    }
    return [CacheUse(spec, kept.get(id, 0), *looks.get(id, (0, 0))) for id, spec in specs.items()]


def cache_hit_rate(within: timedelta, workflow: str | None = None, node: str | None = None) -> float | None:
    """Return the share of looks into caches that were hits, from 0 to 1; None where there were no looks."""
    rows = _counts(workflow, within)
    found = (rows.filter(node=node) if node else rows).aggregate(hits=Sum("hits"), misses=Sum("misses"))
    looks = (found["hits"] or 0) + (found["misses"] or 0)
    return (found["hits"] or 0) / looks if looks else None


def _counts(workflow: str | None, within: timedelta) -> QuerySet[CacheCount]:
    rows = CacheCount.objects.filter(minute__gt=timezone.now() - within).order_by()
    return rows.filter(workflow=workflow) if workflow is not None else rows


def cache_entries(
    principal: Principal, workflow: str | None = None, node: str | None = None
) -> QuerySet[CacheEntry]:
    """Return the entries that stand, of workflows that the principal may view, the newest first."""
    seen = workflows(principal).order_by()
    names = (seen.filter(name=workflow) if workflow else seen).values("name")
    rows = CacheEntry.objects.filter(workflow__in=names, expires_at__gt=timezone.now())
    return (rows.filter(node=node) if node else rows).order_by("-at", "key")


def entry_json(entry: CacheEntry) -> dict[str, Any]:
    """Return an entry as every door shows it."""
    about = {name: getattr(entry, name) for name in ("workflow", "node", "store", "scope", "tags", "size")}
    return {
        **about,
        "execution": str(entry.execution),
        "at": instant(entry.at),
        "expires_at": instant(entry.expires_at),
    }


# --- of one execution ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """Where a result came from: the execution that computed it, and when it was kept."""

    execution: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        return {"execution": self.execution, "at": instant(self.at)}


def sources(execution: Execution, graph: Graph) -> dict[Key, Source]:
    """Return where the results came from that nodes of the execution took over; asks only where a node has a cache."""
    nodes = [*nodes_with_cache(graph)]
    if not nodes:
        return {}
    found: dict[Key, Source] = {}
    rows = ExecutionEvent.objects.filter(execution=execution, node__in=nodes, type="node.completed").order_by(
        "seq"
    )
    for node, index, data in rows.values_list("node", "index", "data"):
        key = Key(str(node), -1 if index is None else index, data.get("for", ""))
        found.pop(key, None)
        if told := data.get("cached"):
            found[key] = Source(told["execution"], datetime.fromisoformat(told["at"]))
    return found


def refreshes(execution_id: uuid.UUID) -> bool:
    """Say whether the execution was started to renew what is cached; its first event knows."""
    data = sql.json_text(connection, "data")
    text = f"SELECT {data} FROM orchestration_executionevent WHERE execution_id = %s AND seq = 1"  # noqa: S608
    first = sql.execute(connection, text, [sql.key(connection, execution_id)])
    return bool(first and json.loads(first[0][0]).get("refresh"))


def awaited(execution: Execution, graph: Graph) -> dict[int, str]:
    """Return for each node run that waits for a result which is being computed, the execution that computes it."""
    if not nodes_with_cache(graph):
        return {}
    own = dict(
        CacheWait.objects.filter(run_id__in=execution.nodes.filter(status="ready").values("pk")).values_list(
            "run_id", "key"
        )
    )
    flights = dict(CacheFlight.objects.filter(key__in=own.values()).values_list("key", "execution"))
    return {run: str(flights[key]) for run, key in own.items() if key in flights}


def visible_source(principal: Principal, source: Source | None) -> uuid.UUID | None:
    """Return the execution that a result came from, if it is still there and the principal may view it."""
    if source is None:
        return None
    return executions(principal).filter(pk=source.execution).values_list("pk", flat=True).first()
