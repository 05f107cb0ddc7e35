"""Home: what needs attention, what runs, what was, and how it goes."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from orchestration import queries, registry
from orchestration.engine.states import ExecutionStatus
from orchestration.models import Execution
from orchestration.queries import ExecutionFilter, stats
from orchestration.web import bars
from orchestration.web.parts import asks_for_part, part_of_page
from security.actions import CONSOLE_OPEN
from security.principals import Principal
from security.web.guard import requires

SAMPLE = "flight-delays"
SHOWN = 8
DAY = "24h"
E = ExecutionStatus


@require_GET
@part_of_page
@requires(CONSOLE_OPEN)
def home(request: HttpRequest) -> HttpResponse:
    """Show the state of everything that the person may view."""
    principal = Principal.for_request(request)
    hours = stats.by_hour(principal)
    context = {
        "numbers": _numbers(principal),
        "attention": _attention(principal),
        "approvals": queries.to_decide(principal).order_by().count(),
        "running": _rows(principal, ExecutionFilter(status=stats.MOVING)),
        "recent": _rows(principal, ExecutionFilter(not_status=stats.MOVING)),
        "bars": bars.of_hours(hours),
        "hours": hours,
        "most": max(hour.total for hour in hours),
        "alive": queries.live_worker_nodes().count(),
        "broken": registry.broken(),
        "sample": _sample(principal),
    }
    part = asks_for_part(request, "home")
    template = "monitoring/_home.html" if part else "monitoring/home.html"
    return render(request, template, context)


def _numbers(principal: Principal) -> list[dict[str, object]]:
    """Return each number with the filters of the list that it counts."""
    asked = [
        (_("Running"), "running", ExecutionFilter(status=stats.MOVING)),
        (_("Blocked or paused"), "blocked", ExecutionFilter(status=stats.HELD_UP)),
        (_("Failed, 24 h"), "failed", ExecutionFilter(status=(E.FAILED.value,), since=DAY)),
        (_("Succeeded, 24 h"), "succeeded", ExecutionFilter(status=(E.SUCCEEDED.value,), since=DAY)),
    ]
    return [
        {
            "label": label,
            "status": status,
            "query": filters.to_query(),
            "count": stats.count(principal, filters),
        }
        for label, status, filters in asked
    ]


def _attention(principal: Principal) -> list[Execution]:
    asking = _light(queries.asking(principal))
    held = _rows(principal, ExecutionFilter(status=stats.HELD_UP))
    failed = _rows(principal, ExecutionFilter(status=(E.FAILED.value,), since=DAY))
    return list({row.pk: row for row in [*asking, *held, *failed]}.values())[:SHOWN]


def _rows(principal: Principal, filters: ExecutionFilter) -> list[Execution]:
    return _light(queries.executions(principal, filters))


def _light(rows: QuerySet[Execution]) -> list[Execution]:
    return list(rows.defer("input", "output", "labels")[:SHOWN])


def _sample(principal: Principal) -> object:
    """Return the workflow to try first: the sample, else any."""
    seen = queries.workflows(principal)
    return seen.filter(name=SAMPLE).first() or seen.first()
