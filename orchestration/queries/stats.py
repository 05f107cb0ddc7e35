"""Numbers made of executions; each says what it was made of, so that a page can link to that list."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import TruncHour
from django.utils import timezone

from orchestration.engine.states import EXECUTION_TERMINAL, ExecutionStatus
from orchestration.models import Execution, Workflow
from security.principals import Principal

from .filters import ExecutionFilter
from .lists import executions

E = ExecutionStatus
HELD_UP = (E.BLOCKED.value, E.PAUSED.value)
MOVING = (E.RUNNING.value, E.QUEUED.value, E.CANCELLING.value, E.COMPENSATING.value)
HOURS = 24


@dataclass(frozen=True, slots=True)
class Hour:
    """The executions that were created within one hour, by the status they have now."""

    start: datetime
    end: datetime
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.counts.total()


@dataclass(frozen=True, slots=True)
class Summary:
    """What some executions amount to: durations in seconds, of those that succeeded; None where nothing ended."""

    ended: int
    succeeded: int
    success: float | None
    p50: float | None
    p95: float | None
    longest: float


def count(principal: Principal, filters: ExecutionFilter) -> int:
    """Return how many executions the list with these filters has."""
    return filters.apply(executions(principal)).order_by().count()


def by_hour(principal: Principal, hours: int = HOURS) -> list[Hour]:
    """Return the last hours, the oldest first and the current one last."""
    this = timezone.localtime().replace(minute=0, second=0, microsecond=0)
    starts = [this - timedelta(hours=back) for back in reversed(range(hours))]
    seen = ExecutionFilter(since=starts[0].isoformat()).apply(executions(principal)).order_by()
    rows = seen.annotate(hour=TruncHour("created_at")).values_list("hour", "status").annotate(Count("id"))
    found: dict[datetime, Counter[str]] = {}
    for hour, status, number in rows:
        found.setdefault(hour, Counter())[status] += number
    return [Hour(start, start + timedelta(hours=1), found.get(start, Counter())) for start in starts]


def recent(principal: Principal, workflows: Sequence[Workflow], limit: int) -> dict[int, list[Execution]]:
    """Return each workflow's last executions, the newest first, in two queries however many workflows there are."""
    own = Execution.objects.filter(workflow=OuterRef("pk")).order_by("-id").values("id")
    asked = Workflow.objects.filter(pk__in=[workflow.pk for workflow in workflows])
    found: dict[int, list[Execution]] = {workflow.pk: [] for workflow in workflows}
    wanted = Q(pk__in=[])
    for key, oldest in asked.annotate(oldest=Subquery(own[limit - 1 : limit])).values_list("pk", "oldest"):
        wanted |= Q(workflow=key, id__gte=oldest) if oldest else Q(workflow=key)
    for execution in executions(principal).filter(wanted).defer("input", "output"):
        found[execution.workflow_id].append(execution)
    return found


def summarise(rows: Iterable[Execution]) -> Summary:
    """Sum executions up; the percentiles are of the successful ones, by nearest rank."""
    ended = [row for row in rows if row.status in EXECUTION_TERMINAL]
    took = sorted(
        seconds for row in ended if row.status == E.SUCCEEDED and (seconds := duration(row)) is not None
    )
    well = sum(row.status == E.SUCCEEDED for row in ended)
    longest = max((duration(row) or 0.0 for row in ended), default=0.0)
    success = 100 * well / len(ended) if ended else None
    return Summary(len(ended), well, success, percentile(took, 50), percentile(took, 95), longest)


def duration(execution: Execution) -> float | None:
    """Return how long the execution ran, in seconds; None while it has not ended or was never started."""
    if execution.started_at is None or execution.finished_at is None:
        return None
    return max(0.0, (execution.finished_at - execution.started_at).total_seconds())


def percentile(values: Sequence[float], rank: float) -> float | None:
    """Return the nearest-rank percentile of sorted values; None of none."""
    return values[max(0, math.ceil(rank / 100 * len(values)) - 1)] if values else None


def typical(workflow: Workflow, limit: int = 20) -> float | None:
    """Return the median duration in seconds of the workflow's last successful executions."""
    ended = Execution.objects.filter(workflow=workflow, status=E.SUCCEEDED).order_by("-id")
    rows = ended.only("status", "started_at", "finished_at", "workflow")[:limit]
    return summarise(rows).p50
