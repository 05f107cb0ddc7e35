"""Keyset paging, newest first: a page costs the same however deep it lies."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

from orchestration.engine.errors import InvalidOption

LIMIT = 200
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows; `next` is what to pass as `after` for older ones, `previous` as `before` for newer ones."""

    items: list[Row]
    next: str | None
    previous: str | None


def page(
    queryset: QuerySet[Row], *, after: str | None, before: str | None = None, limit: int = 50
) -> Page[Row]:
    """Return the rows older than the id `after`, or those just newer than `before`; ids are time-ordered.

    Raises InvalidOption.
    """
    limit = max(1, min(limit, LIMIT))
    if before:
        rows = list(queryset.filter(id__gt=_id("before", before)).order_by("id")[: limit + 1])
        newer, rows = len(rows) > limit, rows[:limit][::-1]
        return Page(rows, _token(rows[-1:]), _token(rows[:1]) if newer else None)
    older_than = queryset.filter(id__lt=_id("after", after)) if after else queryset
    rows = list(older_than.order_by("-id")[: limit + 1])
    more, rows = len(rows) > limit, rows[:limit]
    return Page(rows, _token(rows[-1:]) if more else None, _token(rows[:1]) if after else None)


def _token(rows: list[Row]) -> str | None:
    return str(rows[0].pk) if rows else None


def _id(option: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidOption(option=option, value=text, expected="an id from this list") from None
