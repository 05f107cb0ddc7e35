"""What the database knows of the cache: what has been invalidated, which entries there are, how often they serve."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence

from django.db import connection
from django.db.models import QuerySet

from orchestration import models
from orchestration.engine.codec import canonical
from orchestration.engine.graph import NodeSpec
from orchestration.engine.policies import CachePolicy
from orchestration.store import clock, sql
from orchestration.store.sql import execute

from .lightly import returning

COUNTS_KEPT = dt.timedelta(days=30)


# --- generations: invalidation that needs no list of keys ------------------------------------------


def namespaces(workflow: str, node: str, body: str, policy: CachePolicy) -> list[str]:
    """Return what an entry can be invalidated by, as names of generations."""
    shared = policy.scope == "global"
    own = [of_body(body)] if shared else [of_workflow(workflow), of_node(workflow, node)]
    return own + [of_tag(tag) for tag in policy.tags]


def of_workflow(workflow: str) -> str:
    return _name("workflow", workflow)


def of_node(workflow: str, node: str) -> str:
    return _name("node", workflow, node)


def of_body(body: str) -> str:
    return _name("body", body)


def of_tag(tag: str) -> str:
    return _name("tag", tag)


def _name(*parts: str) -> str:
    return canonical(parts)


def generations(names: Sequence[str]) -> list[int]:
    """Return how often each of these has been invalidated."""
    condition, param = sql.one_of(connection, "name", names, "text")
    text = f"SELECT name, number FROM orchestration_cachegeneration WHERE {condition}"
    found: dict[str, int] = dict(execute(connection, text, [param]))
    return [found.get(name, 0) for name in names]


def raise_generations(names: Iterable[str]) -> None:
    """Let no entry be found any more that has one of these names; in one order, so that two at once do not deadlock."""
    for name in sorted(set(names)):
        text = (
            "INSERT INTO orchestration_cachegeneration (name, number) VALUES (%s, 1)"
            " ON CONFLICT (name) DO UPDATE SET number = orchestration_cachegeneration.number + 1"
        )
        execute(connection, text, [name])


def strike(entries: QuerySet[models.CacheEntry]) -> dict[str, list[str]]:
    """Take entries out of the book, and return their keys by store."""
    found: dict[str, list[str]] = {}
    for store, key in entries.values_list("store", "key"):
        found.setdefault(store, []).append(key)
    entries.delete()
    return found


# --- entries and counts ----------------------------------------------------------------------------


_ENTRY = (
    "key",
    "store",
    "scope",
    "workflow",
    "node",
    "body",
    "tags",
    "execution",
    "size",
    "at",
    "expires_at",
)


def note_entry(key: str, workflow: str, spec: NodeSpec, execution: str, size: int, at: dt.datetime) -> None:
    """Enter a result of a node with a cache that a store has taken."""
    policy = spec.cache
    assert policy is not None
    about = [policy.store, policy.scope, workflow, spec.id, spec.body, sql.to_json(policy.tags)]
    until = at + dt.timedelta(seconds=policy.ttl)
    values = [key, *about, sql.key(connection, uuid.UUID(execution)), size, _moment(at), _moment(until)]
    renewed = ", ".join(f"{name} = excluded.{name}" for name in _ENTRY[1:])
    text = (
        f"INSERT INTO orchestration_cacheentry ({', '.join(_ENTRY)}) VALUES ({', '.join(['%s'] * len(_ENTRY))})"
        f" ON CONFLICT (key) DO UPDATE SET {renewed} {returning(connection, 'key')}"
    )
    execute(connection, text, values)


def _moment(at: dt.datetime) -> str:
    return (
        at.isoformat()
        if sql.is_postgres(connection)
        else at.replace(tzinfo=None).isoformat(" ", "microseconds")
    )


def count(workflow: str, node: str, *, hit: bool) -> None:
    """Count one look into the cache."""
    minute = clock.counted(connection).replace(second=0, microsecond=0)
    text = (
        "INSERT INTO orchestration_cachecount (workflow, node, minute, hits, misses) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (workflow, node, minute) DO UPDATE SET"
        " hits = orchestration_cachecount.hits + excluded.hits,"
        f" misses = orchestration_cachecount.misses + excluded.misses {returning(connection, 'hits')}"
    )
    execute(connection, text, [workflow, node, _moment(minute), int(hit), int(not hit)])


def forget_old() -> None:
    """Delete the entries whose time is over, and counts that nobody asks for any more."""
    now = clock.now()
    models.CacheEntry.objects.filter(expires_at__lte=now).delete()
    models.CacheCount.objects.filter(minute__lt=now - COUNTS_KEPT).delete()
