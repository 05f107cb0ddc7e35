"""Small bar charts, drawn by the server: each bar is a link to what it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from orchestration.models import Execution
from orchestration.queries.filters import ExecutionFilter
from orchestration.queries.stats import Hour, duration

from .format import spell_duration
from .words import word

HEIGHT = 64.0
_LEAST = 3.0  # a bar of nearly nothing is still to be seen and clicked
_ORDER = ("failed", "terminated", "cancelled", "blocked", "paused", "running", "queued", "succeeded")


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a bar; `y` is from the top, `place` is the bar's number."""

    status: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    place: int
    href: str
    label: str
    parts: Sequence[Part]


def of_executions(rows: Sequence[Execution], longest: float, slots: int) -> list[Bar]:
    """Return one bar an execution, the newest in the last slot: its height the duration, its colour the status."""
    found = []
    for place, row in enumerate(reversed(rows), slots - len(rows)):
        seconds = _ran(row)
        height = max(_LEAST, HEIGHT * seconds / longest) if longest else _LEAST
        label = f"{word(row.status)} · {spell_duration(seconds)} · {_when(row)}"
        href = reverse("execution", args=[row.pk])
        found.append(
            Bar(place, href, label, [Part(row.status, HEIGHT - min(height, HEIGHT), min(height, HEIGHT))])
        )
    return found


def of_hours(hours: Iterable[Hour]) -> list[Bar]:
    """Return one bar an hour: its height how many executions, its parts what became of them."""
    shown = list(hours)
    most = max((hour.total for hour in shown), default=0)
    return [_of_hour(place, hour, most) for place, hour in enumerate(shown)]


def _of_hour(place: int, hour: Hour, most: int) -> Bar:
    between = ExecutionFilter(since=hour.start.isoformat(), until=hour.end.isoformat())
    known = [status for status in _ORDER if hour.counts[status]]
    known += [status for status in hour.counts if status not in known and hour.counts[status]]
    parts, top = [], HEIGHT
    for status in reversed(known):
        height = HEIGHT * hour.counts[status] / most
        top -= height
        parts.append(Part(status, round(top, 2), round(max(height - 0.5, 0.5), 2)))
    counts = ", ".join(f"{hour.counts[status]} {word(status).lower()}" for status in known) or "0"
    label = f"{date_format(timezone.localtime(hour.start), 'H:i')} · {counts}"
    return Bar(place, f"{reverse('executions')}?{between.to_query()}", label, parts)


def _ran(row: Execution) -> float:
    ended = duration(row)
    if ended is not None or row.started_at is None:
        return ended or 0.0
    return max(0.0, (timezone.now() - row.started_at).total_seconds())


def _when(row: Execution) -> str:
    return date_format(timezone.localtime(row.created_at), "j M, H:i")
