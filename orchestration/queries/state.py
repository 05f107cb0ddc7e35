"""Shared state, as it is now."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, Substr

from orchestration.engine.errors import UnknownState
from orchestration.engine.state import EXECUTION, WORKFLOW
from orchestration.models import StateEntry
from orchestration.store import clock
from security.principals import Principal

from .events import instant
from .lists import executions

PREVIEW = 200  # characters of a value that a list shows


def state(
    scope: str, owner: str, search: str | None = None, after: str | None = None
) -> QuerySet[StateEntry]:
    """Return the values that are there, of an execution (its id), of a workflow (its name), or of all; by key.

    `search` is in their keys, `after` is the key that they come behind.
    """
    rows = StateEntry.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=clock.now()), scope=scope, owner=owner
    )
    rows = rows.filter(key__contains=search) if search else rows
    return (rows.filter(key__gt=after) if after else rows).order_by("key")


def state_entry(scope: str, owner: str, key: str) -> StateEntry:
    """Return the value of a key. Raises UnknownState."""
    found = state(scope, owner).filter(key=key).first()
    if found is None:
        raise UnknownState(key=key, where="here")
    return found


def previewed(rows: QuerySet[StateEntry]) -> QuerySet[StateEntry]:
    """Return the rows without their values, each with the beginning of its own as `preview`."""
    return rows.defer("value").annotate(preview=Substr(Cast("value", TextField()), 1, PREVIEW))


def writers(principal: Principal, entries: Iterable[StateEntry]) -> set[uuid.UUID]:
    """Return which of the executions that wrote these values the principal may view."""
    ids = {entry.by_execution for entry in entries if entry.by_execution}
    return set(executions(principal).filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()


def state_json(entry: StateEntry, seen: set[uuid.UUID]) -> dict[str, Any]:
    """Return an entry as every door shows it, without its value; `seen` are the writers that may be named."""
    by = entry.by_execution if entry.by_execution in seen else None
    return {
        "key": entry.key,
        "scope": entry.scope,
        "workflow": entry.owner if entry.scope == WORKFLOW else None,
        "execution": entry.owner if entry.scope == EXECUTION else None,
        "version": entry.version,
        "expires_at": instant(entry.expires_at) if entry.expires_at else None,
        "changed_at": instant(entry.updated_at),
        "changed_by": {
            "person": entry.person or None,
            "execution": str(by) if by else None,
            "node": entry.by_node if by else None,
        },
    }
