"""Sentences that say why something does not move, and the times in them, which whoever shows them keeps up to date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

# Characters for private use, which no sentence holds otherwise.
LEFT = "\ue000"  # stands for the time left
SINCE = "\ue001"  # for since when, with a space before it: a part of the sentence that it does without
COUNTED = timedelta(hours=48)  # what ends later is not counted down


@dataclass(frozen=True, slots=True)
class Why:
    """A sentence; `node` is where to look, `until` the moment that it counts down to, where it has LEFT in it.

    `since` is when that began, where it has SINCE in it.
    """

    sentence: str
    node: str = ""
    until: datetime | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        """Return the sentence as text; times of day name their zone."""
        return self.spelled(timezone.now(), self.since)

    def spelled(self, now: datetime, since: datetime | None = None) -> str:
        """Return the sentence as text at this time, with since when, where it is given."""
        time = f"{spell_at(since)} {timezone.localtime(since).tzname()}" if since else ""
        said = _(" since %(time)s") % {"time": time} if since else ""
        return self.sentence.replace(LEFT, spell_left(self.until, now), 1).replace(SINCE, said, 1)


def spell_left(until: datetime | None, now: datetime | None = None) -> str:
    """Return how long it is until then: "12 s", "3 min" or "4 h". static/js/format.js says it the same way."""
    seconds = max(0.0, (until - (now or timezone.now())).total_seconds()) if until else 0.0
    if seconds < 90:
        return _("%(count)d s") % {"count": round(seconds)}
    if seconds < 90 * 60:
        return _("%(count)d min") % {"count": round(seconds / 60)}
    return _("%(count)d h") % {"count": round(seconds / 3600)}


def spell_at(at: datetime) -> str:
    """Return a time of day, with its date where that is not plain."""
    local = timezone.localtime(at)
    return date_format(local, "j M, H:i") if is_far(at) else f"{local:%H:%M}"


def is_far(at: datetime) -> bool:
    """Say whether a time of day alone would not tell which day's it is."""
    return abs(timezone.now() - at) > timedelta(hours=20)
