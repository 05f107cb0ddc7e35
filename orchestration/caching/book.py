"""What the database knows of the cache: what has been invalidated, which entries there are, how often they serve."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from django.db import connection
from django.db.models import Q

from orchestration import models
from orchestration.engine.codec import canonical
from orchestration.engine.policies import CachePolicy
from orchestration.store import clock, sql
from orchestration.store.sql import execute

COUNTS_KEPT = dt.timedelta(days=30)


# --- generations: invalidation that needs no list of keys ------------------------------------------


def namespaces(workflow: str, node: str, body: str, policy: CachePolicy) -> list[str]:
    """Return what an entry can be invalidated by, as names of generations."""
    own = (
        [_name("body", body)]
        if policy.scope == "global"
        else [_name("workflow", workflow), of_node(workflow, node)]
    )
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


def drop_entries(nodes: Iterable[tuple[str, str]]) -> int:
    """Take the entries of these nodes (workflow, node) out of the book, and their values out of the table."""
    wanted = Q(pk__in=[])
    for workflow, node in nodes:
        wanted |= Q(workflow=workflow, node=node)
    keys = list(models.CacheEntry.objects.filter(wanted).values_list("key", flat=True))
    models.CacheEntry.objects.filter(wanted).delete()
    return len(keys)


# --- entries and counts ----------------------------------------------------------------------------


def note_entry(
    key: str, workflow: str, node: str, policy: CachePolicy, execution: str, size: int, at: dt.datetime
) -> None:
    """Enter a result that a store has taken."""
    about = {
        "store": policy.store,
        "scope": policy.scope,
        "workflow": workflow,
        "node": node,
        "execution": execution,
    }
    times = {"size": size, "at": at, "expires_at": at + dt.timedelta(seconds=policy.ttl)}
    models.CacheEntry.objects.bulk_create(
        [models.CacheEntry(key=key, **about, **times)],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=[*about, *times],
    )


def count(workflow: str, node: str, *, hit: bool) -> None:
    """Count one look into the cache."""
    minute = clock.counted(connection).replace(second=0, microsecond=0)
    text = (
        "INSERT INTO orchestration_cachecount (workflow, node, minute, hits, misses) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (workflow, node, minute) DO UPDATE SET"
        " hits = orchestration_cachecount.hits + excluded.hits,"
        " misses = orchestration_cachecount.misses + excluded.misses"
    )
    moment = minute.isoformat() if sql.is_postgres(connection) else minute.replace(tzinfo=None).isoformat(" ")
    execute(connection, text, [workflow, node, moment, int(hit), int(not hit)])


def forget_old() -> None:
    """Delete the entries whose time is over, and counts that nobody asks for any more."""
    now = clock.now()
    models.CacheEntry.objects.filter(expires_at__lte=now).delete()
    models.CacheCount.objects.filter(minute__lt=now - COUNTS_KEPT).delete()
