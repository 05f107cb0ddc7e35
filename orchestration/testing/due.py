"""When the database has something to do next: what the test's clock jumps to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable

from django.db.models import Min, Q

from orchestration.engine.states import NodeStatus
from orchestration.models import Execution, NodeRun
from orchestration.store import clock, timers
from orchestration.store.claim import next_due
from orchestration.store.limits import PATIENCE
from orchestration.store.locked import Claimer


def next_ready(claimers: Iterable[Claimer]) -> float | None:
    """Return the seconds until something may be claimed; 0 where something may be now."""
    return min((due for claimer in claimers if (due := next_due(claimer)) is not None), default=None)


def next_for_the_sweep(held: Collection[int]) -> float | None:
    """Return the seconds to the end of a lease (of what is not held here), a limit, a wait or an execution's time."""
    waits = Q(status=NodeStatus.READY, held=False)
    runs = Q(status=NodeStatus.RUNNING)
    found = NodeRun.objects.filter(superseded=False, finished_at=None).aggregate(
        lease=Min("lease_until", filter=runs & ~Q(pk__in=held)),
        queued=Min("expires_at", filter=waits | Q(status=NodeStatus.WAITING)),
        late=Min("expires_at", filter=runs),
    )
    if found["late"] is not None:
        found["late"] += dt.timedelta(seconds=PATIENCE)
    found |= Execution.objects.filter(finished_at=None).aggregate(whole=Min("deadline_at"))
    now = clock.now()
    coming = [(moment - now).total_seconds() for moment in found.values() if moment is not None]
    if (wakes := timers.next_due()) is not None:
        coming.append(wakes)
    return min(coming, default=None)
