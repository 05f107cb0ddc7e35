"""What the console's templates say with: `{% load console %}`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from django import template
from django.db.models import QuerySet

from orchestration import queries
from orchestration.engine.builder import UNDO
from orchestration.web import format, words
from security.principals import Principal

register = template.Library()
MOST = 100  # what a badge counts to
LINE = 120  # characters of a value in a table

register.simple_tag(words.icon, name="icon")
register.simple_tag(words.badge, name="status")
register.simple_tag(format.age_element, name="age")
register.simple_tag(format.clock_element, name="clock")
register.simple_tag(format.date_element, name="date")
register.simple_tag(format.running_element, name="running")
register.simple_tag(format.moment_element, name="moment")
register.simple_tag(format.left_element, name="left")
register.simple_tag(format.why_element, name="why_line")
register.simple_tag(queries.whys, name="whys")
register.filter("status_word", words.word)
register.filter("duration", format.spell_duration)
register.filter("about", format.spell_about)
register.filter("as_json", format.json_element)
register.filter("shown_status", queries.display_status)


@register.filter
def short(id: uuid.UUID | str) -> str:
    """Return the part of an id that people read; ids begin with their time, so less would not tell two apart."""
    return str(id)[:13]


@register.filter
def has(mapping: Any, key: str) -> bool:
    """Say whether a mapping or sequence holds the key."""
    return key in (mapping or ())


@register.filter
def lookup(mapping: Any, key: Any) -> Any:
    """Return the mapping's value for the key, or None."""
    return mapping.get(key) if mapping else None


@register.filter
def unlocalized(number: float) -> str:
    """Return a number as programs read it, in every language."""
    return str(number)


@register.filter
def milliseconds(number: float) -> str:
    """Return a duration in ms as people read it."""
    return format.spell_duration(number / 1000)


@register.simple_tag
def clock_text(stamp: str) -> str:
    """Return the `<time>` for a time of the log, to the millisecond."""
    return format.stamp_element(stamp)


@register.filter
def whom(view: Any) -> str:
    """Return whom a node's row serves; "" where it serves nobody, or an undo's own name says it."""
    served = view["for"] or ""
    return "" if view["node"] == f"{UNDO}{served}" else served


@register.simple_tag
def done_of(items: Any) -> str:
    """Return how many of a map's items have ended, of how many."""
    return f"{items['ok'] + items['failed']:,} / {items['count']:,}"


@register.filter
def as_line(value: Any) -> str:
    """Return JSON on one line, cut short; "" for nothing."""
    text = json.dumps(value, ensure_ascii=False) if value is not None else ""
    return text if len(text) <= LINE else f"{text[: LINE - 1]}…"


@register.filter
def words_of(text: str) -> list[str]:
    """Return a text's words, for a template that goes through a few of them."""
    return text.split()


@register.simple_tag(takes_context=True)
def asking_count(context: Any) -> str:
    """Return how many nodes need a decision of those that the person may see: "" for none, at most "99+"."""
    return _count(context, queries.asking_nodes)


@register.simple_tag(takes_context=True)
def approvals_count(context: Any) -> str:
    """Return how many approvals wait for this person: "" for none, at most "99+"."""
    return _count(context, queries.to_decide)


def _count(context: Any, find: Callable[[Principal], QuerySet[Any]]) -> str:
    request = context.get("request")
    if request is None:
        return ""
    count = find(Principal.for_request(request)).order_by()[:MOST].count()
    return f"{MOST - 1}+" if count == MOST else str(count or "")
