"""Invalidating cached results."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from orchestration import queries
from orchestration.caching import book, stores
from orchestration.engine.errors import InvalidOption
from orchestration.engine.graph import NodeSpec, suggest
from orchestration.models import CacheEntry, Workflow
from orchestration.queries.caching import cached_nodes, with_tag
from orchestration.queries.lookups import Holds
from security import actions, audit
from security.policies import authorise
from security.principals import Principal

from .acting import check_reason


def invalidate_cache(
    *,
    principal: Principal,
    workflow: str | None = None,
    node: str | None = None,
    tag: str | None = None,
    reason: str = "",
) -> int:
    """Let nobody take over what is cached of a workflow, of one of its nodes, or with a tag; return how much that was.

    What is being computed now is not found either. Entries that other workflows share with these nodes are among them.
    Raises InvalidOption, UnknownWorkflow and Denied (for a tag: unless all workflows that use it may be controlled).
    """
    reason = check_reason(reason)
    if (workflow is None) == (tag is None):
        raise InvalidOption(option="workflow", value=workflow, expected="named, or a tag in its place")
    if tag is not None:
        if node is not None:
            raise InvalidOption(option="node", value=node, expected="left out beside a tag")
        return _of_tag(tag, principal, reason)
    return _of_workflow(str(workflow), node, principal, reason)


def _of_workflow(name: str, node: str | None, principal: Principal, reason: str) -> int:
    row = queries.workflow(principal, name)
    authorise(principal, actions.CACHE_INVALIDATE, row)
    specs = cached_nodes(row)
    if (
        node is not None
        and node not in specs
        and not CacheEntry.objects.filter(workflow=name, node=node).exists()
    ):
        expected = f'a node of "{name}" with a cache. {suggest(str(node), specs)}'.strip()
        raise InvalidOption(option="node", value=node, expected=expected)
    concerned = [spec for spec in specs.values() if node in (None, spec.id)]
    names = [book.of_workflow(name) if node is None else book.of_node(name, node)]
    shared = [spec.body for spec in concerned if _is_shared(spec)]
    own = Q(workflow=name) if node is None else Q(workflow=name, node=node)
    entries = CacheEntry.objects.filter(own | Q(scope="global", body__in=shared))
    # An entry of the past may be shared under a body that the node has no more.
    shared += entries.filter(scope="global").values_list("body", flat=True)
    names += [book.of_body(body) for body in shared]
    return _invalidate(names, entries, [row], principal, {"node": node, "reason": reason})


def _is_shared(spec: NodeSpec) -> bool:
    return spec.cache is not None and spec.cache.scope == "global"


def _of_tag(tag: str, principal: Principal, reason: str) -> int:
    entries = CacheEntry.objects.filter(Holds(F("tags"), tag))
    names = {*with_tag(tag), *entries.values_list("workflow", flat=True)}
    rows = list(Workflow.objects.filter(name__in=names).order_by("name"))
    if not rows:
        raise InvalidOption(option="tag", value=tag, expected="the tag of a CachePolicy")
    for row in rows:
        authorise(principal, actions.CACHE_INVALIDATE, row)
    return _invalidate([book.of_tag(tag)], entries, rows, principal, {"tag": tag, "reason": reason})


def _invalidate(
    names: list[str],
    entries: QuerySet[CacheEntry],
    rows: list[Workflow],
    principal: Principal,
    about: dict[str, Any],
) -> int:
    with transaction.atomic():
        book.raise_generations(names)
        keys = book.strike(entries)
        count = sum(map(len, keys.values()))
        told = {name: value for name, value in about.items() if value} | {"entries": count}
        for row in rows:
            audit.record(principal, actions.CACHE_INVALIDATE, row, details=told)
    stores.forget(keys)
    return count
