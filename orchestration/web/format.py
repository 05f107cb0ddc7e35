"""How numbers, times and JSON look to people. static/js/format.js says durations and ages the same way."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from orchestration.queries import LEFT, SINCE, Why, is_far, spell_at, spell_left

JSON_LIMIT = 20_000  # characters shown on a page
_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
)


def spell_duration(seconds: float | None) -> str:
    """Return a duration as "87 ms", "12.3 s", "4 m 05 s" or "2 h 07 m"; "–" for none."""
    if seconds is None:
        return "–"
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"


def spell_about(seconds: float) -> str:
    """Return a duration to come, which nobody knows to the tenth: "400 ms", "1.5 s", "25 s" or "4 m 05 s"."""
    return f"{seconds:g} s" if 1 <= seconds < 60 else spell_duration(seconds)


def spell_age(at: datetime, now: datetime | None = None) -> str:
    """Return how long ago a time was: "now", "12 s ago", "3 min ago", "5 h ago"; older ones as a date."""
    seconds = ((now or timezone.now()) - at).total_seconds()
    if seconds < 5:
        return _("now")
    if seconds < 60:
        return _("%(count)d s ago") % {"count": seconds}
    if seconds < 3600:
        return _("%(count)d min ago") % {"count": seconds // 60}
    if seconds < 86_400:
        return _("%(count)d h ago") % {"count": seconds // 3600}
    return date_format(timezone.localtime(at), "j M Y" if seconds > 300 * 86_400 else "j M, H:i")


def full_time(at: datetime) -> str:
    """Return date, time to the second and the zone's name."""
    local = timezone.localtime(at)
    return f"{date_format(local, 'j M Y, H:i:s')} {local.tzname()}"


def age_element(at: datetime | None) -> SafeString:
    """Return a `<time>` that reads as an age and keeps itself up to date."""
    if at is None:
        return mark_safe("–")
    stamp, title = at.isoformat(), full_time(at)
    return format_html('<time datetime="{}" title="{}" data-age>{}</time>', stamp, title, spell_age(at))


def clock_element(at: datetime | None) -> SafeString:
    """Return a `<time>` that reads as the time of day."""
    if at is None:
        return mark_safe("–")
    said = f"{timezone.localtime(at):%H:%M:%S}"
    return format_html(
        '<time datetime="{}" title="{}" data-clock="s">{}</time>', at.isoformat(), full_time(at), said
    )


def date_element(at: datetime | None) -> SafeString:
    """Return a `<time>` that reads as date, time and zone."""
    if at is None:
        return mark_safe("–")
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), full_time(at))


def stamp_element(stamp: str) -> SafeString:
    """Return a `<time>` to the millisecond, for lines of a log; the stamp is ISO 8601."""
    at = datetime.fromisoformat(stamp)
    local = timezone.localtime(at)
    said = f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"
    return format_html('<time datetime="{}" title="{}" data-clock="ms">{}</time>', stamp, full_time(at), said)


def running_element(start: datetime | None, end: datetime | None) -> SafeString:
    """Return a duration; while there is no end it keeps counting."""
    if start is None:
        return mark_safe("–")
    seconds = max(0.0, ((end or timezone.now()) - start).total_seconds())
    if end is None:
        return format_html('<span data-since="{}">{}</span>', start.isoformat(), spell_duration(seconds))
    return format_html("<span>{}</span>", spell_duration(seconds))


def left_element(until: datetime) -> SafeString:
    """Return "in 12 s", counting down."""
    spoken = _("in %(time)s") % {"time": LEFT}
    return _counting(spoken, until)


def why_element(why: Why | None) -> SafeString:
    """Return the sentence, its countdown kept up to date."""
    if why is None:
        return mark_safe("")
    before, mark, after = why.sentence.partition(SINCE)
    since = since_element(why.since) if mark and why.since else ""
    return format_html("{}{}{}", _counted(before, why.until), since, _counted(after, why.until))


def since_element(at: datetime) -> SafeString:
    """Return " since 14:02", as a `<time>`."""
    before, _mark, after = (_(" since %(time)s") % {"time": SINCE}).partition(SINCE)
    return format_html("{}{}{}", before, moment_element(at), after)


def moment_element(at: datetime) -> SafeString:
    """Return a `<time>` that reads as the time of day, with its date where that is not plain."""
    clock = mark_safe("" if is_far(at) else ' data-clock="m"')
    text = '<time datetime="{}" title="{}"{}>{}</time>'
    return format_html(text, at.isoformat(), full_time(at), clock, spell_at(at))


def _counted(sentence: str, until: datetime | None) -> SafeString:
    return _counting(sentence, until) if until and LEFT in sentence else format_html("{}", sentence)


def _counting(sentence: str, until: datetime) -> SafeString:
    before, _left, after = sentence.partition(LEFT)
    counting = '{}<time datetime="{}" data-left>{}</time>{}'
    return format_html(counting, before, until.isoformat(), spell_left(until), after)


def json_element(value: Any) -> SafeString:
    """Return JSON, indented, each kind of token in an element of its own; cut past JSON_LIMIT."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=dict)
    cut = text[:JSON_LIMIT]
    parts, end = [], 0
    for found in _TOKEN.finditer(cut):
        parts += [
            escape(cut[end : found.start()]),
            f'<span class="j-{found.lastgroup}">{escape(found[0])}</span>',
        ]
        end = found.end()
    parts.append(escape(cut[end:]))
    if len(text) > JSON_LIMIT:
        parts.append(escape("\n… " + _("%(count)d more characters") % {"count": len(text) - JSON_LIMIT}))
    return mark_safe("".join(parts))  # every part is escaped or a fixed tag
