"""The filters of the lists of executions: what a URL says, checked, and as a narrowed queryset."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Self, cast
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from orchestration.engine import uuid7
from orchestration.engine.durations import seconds
from orchestration.engine.errors import InvalidOption
from orchestration.engine.states import ExecutionStatus
from orchestration.models import BulkItem, Execution

from .lookups import Holds

STATUSES = tuple(status.value for status in ExecutionStatus)
TEXT_LIMIT = 200
_UNPRINTABLE = re.compile(r"[\x00-\x1f\ud800-\udfff]")
_ID_PREFIX = re.compile(r"[0-9a-f-]{4,36}")
# An id carries the time it was made at, a little before the row's `created_at` or on another clock.
_ID_SLACK = timedelta(minutes=1)

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions; everything empty means all. `since` is inclusive and `until` exclusive: ISO 8601 or "24h"."""

    status: tuple[str, ...] = ()
    not_status: tuple[str, ...] = ()
    workflow: tuple[str, ...] = ()
    not_workflow: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    not_tag: tuple[str, ...] = ()
    started_by: str = ""
    since: str = ""
    until: str = ""
    q: str = ""
    bulk: str = ""
    parent: str = ""

    @classmethod
    def from_query(cls, query: Query) -> Self:
        """Read a query string's values (QueryDict or mapping of lists). Raises InvalidOption, naming the filter."""
        found = {field.name: _values(query, _key(field.name)) for field in fields(cls)}
        for name in ("status", "not_status"):
            for value in found[name]:
                if value not in STATUSES:
                    raise InvalidOption(
                        option=_key(name), value=value, expected="one of " + ", ".join(STATUSES)
                    )
        for name in ("since", "until"):
            for value in found[name]:
                moment(value, name)
        for name, what in _IDS.items():
            for value in found[name]:
                if (name, value) != ("parent", NO_PARENT):
                    _uuid(name, value, what)
        single = {name: (found[name] or ("",))[-1] for name in _SINGLE}
        return cls(**cast(Any, found | single))

    def to_query(self) -> str:
        """Return the query string that `from_query` reads as this filter; "" when it filters nothing."""
        return urlencode(self.pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """Return every (key, value) of the query string, in a fixed order."""
        found = []
        for field in fields(self):
            value = getattr(self, field.name)
            found += [
                (_key(field.name), each) for each in ((value,) if isinstance(value, str) else value) if each
            ]
        return found

    def without(self, key: str, value: str) -> Self:
        """Return the filter with one (key, value) taken out."""
        name = _name(key)
        kept = "" if name in _SINGLE else tuple(each for each in getattr(self, name) if each != value)
        return replace(self, **cast(Any, {name: kept}))

    def apply(self, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        """Narrow the queryset."""
        if self.status:
            queryset = queryset.filter(status__in=self.status)
        if self.not_status:
            queryset = queryset.exclude(status__in=self.not_status)
        queryset = self._by_workflow(queryset)
        for tag in self.tag:
            queryset = queryset.filter(Holds(F("tags"), tag))
        for tag in self.not_tag:
            queryset = queryset.exclude(Holds(F("tags"), tag))
        if self.started_by:
            queryset = queryset.filter(_person(self.started_by))
        if self.since:
            queryset = queryset.filter(_not_before(moment(self.since, "since")))
        if self.until:
            queryset = queryset.filter(_before(moment(self.until, "until")))
        if self.bulk:
            picked = BulkItem.objects.filter(act=uuid.UUID(self.bulk))
            queryset = queryset.filter(pk__in=picked.values("execution"))
        if self.parent:
            mine = {"parent": uuid.UUID(self.parent)} if self.parent != NO_PARENT else {"parent": None}
            queryset = queryset.filter(**mine)
        return queryset.filter(_text(self.q)) if self.q else queryset

    def _by_workflow(self, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        if self.workflow:
            queryset = queryset.filter(workflow__name__in=self.workflow)
        if self.not_workflow:
            queryset = queryset.exclude(workflow__name__in=self.not_workflow)
        return queryset


def _key(name: str) -> str:
    return f"-{name.removeprefix('not_')}" if name.startswith("not_") else name


_SINGLE = ("started_by", "since", "until", "q", "bulk", "parent")
NO_PARENT = "none"  # what no execution has started
_IDS = {"bulk": "the id of a bulk act", "parent": "the id of an execution, or none"}
KEYS = tuple(_key(field.name) for field in fields(ExecutionFilter))


def moment(text: str, option: str) -> datetime:
    """Return the instant that a text means; "24h" is that long ago. Raises InvalidOption."""
    try:
        if found := parse_datetime(text):
            return found if timezone.is_aware(found) else timezone.make_aware(found)
        if day := parse_date(text):
            return timezone.make_aware(datetime.combine(_next(day) if option == "until" else day, time.min))
        return timezone.now() - timedelta(seconds=seconds(text, option))
    except (ValueError, OverflowError, InvalidOption):
        expected = 'a date, a time such as "2026-01-31T12:00", or how long ago, such as "24h"'
        raise InvalidOption(option=option, value=text, expected=expected) from None


def _next(day: date) -> date:
    # "until the 31st" means the whole of the 31st.
    return day + timedelta(days=1)


def _name(key: str) -> str:
    return f"not_{key.removeprefix('-')}" if key.startswith("-") else key


def _values(query: Query, key: str) -> tuple[str, ...]:
    getlist = getattr(query, "getlist", None)
    given: Iterable[str] = getlist(key) if getlist else query.get(key, ())
    values = tuple(dict.fromkeys(value.strip() for value in ([given] if isinstance(given, str) else given)))
    for value in values:
        if len(value) > TEXT_LIMIT or _UNPRINTABLE.search(value):
            expected = f"a text of at most {TEXT_LIMIT} characters without control characters"
            raise InvalidOption(option=key, value=value[:TEXT_LIMIT], expected=expected)
    return tuple(value for value in values if value)


def _person(name: str) -> Q:
    # One lookup of the person keeps the list on its index; the system's executions belong to nobody.
    person = get_user_model()._default_manager.filter(username=name).only("pk").first()
    return Q(started_by=person) if person else Q(started_by=None, principal__name=name)


def _not_before(at: datetime) -> Q:
    return Q(created_at__gte=at, id__gte=first_id(at))


def _before(at: datetime) -> Q:
    return Q(created_at__lt=at, id__lte=last_id(at))


def first_id(at: datetime) -> uuid.UUID:
    """Return an id that none which was made at this time, or later, comes before."""
    return uuid7.make(_ms(at - _ID_SLACK), bytes(10))


def last_id(at: datetime) -> uuid.UUID:
    """Return an id that none which was made at this time, or earlier, comes after."""
    return uuid7.make(_ms(at + _ID_SLACK), b"\xff" * 10)


def _ms(at: datetime) -> int:
    return max(0, int(at.timestamp() * 1000))


def _uuid(option: str, text: str, what: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidOption(option=option, value=text, expected=what) from None


def _text(text: str) -> Q:
    found = Q(error__message__icontains=text) | Q(error__node=text)
    digits = text.lower()
    if _ID_PREFIX.fullmatch(digits) and len(digits.replace("-", "")) <= 32:
        hexdigits = digits.replace("-", "")
        found |= Q(id__range=(uuid.UUID(hexdigits.ljust(32, "0")), uuid.UUID(hexdigits.ljust(32, "f"))))
    return found
