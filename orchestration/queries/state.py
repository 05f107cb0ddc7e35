"""Shared state, as it is now."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from orchestration.models import StateEntry
from orchestration.store import clock


def state(scope: str, owner: str) -> QuerySet[StateEntry]:
    """Return the values that are there, of an execution (its id), of a workflow (its name), or of all; by key."""
    rows = StateEntry.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=clock.now()), scope=scope, owner=owner
    )
    return rows.order_by("key")
