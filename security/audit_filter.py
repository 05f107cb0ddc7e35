"""Which records of the audit: what a URL says, checked, and as a narrowed queryset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from security.models import AuditRecord

LIMIT = 200  # characters of one filter
PAGE = 50


class BadFilter(ValueError):
    """A filter, or a page, that cannot be understood; `str()` is a sentence."""

    code, status = "invalid_option", 400


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """All empty: everything. `since` is inclusive, `until` exclusive: ISO 8601, or an age such as "24h"."""

    who: str = ""
    action: str = ""
    outcome: str = ""
    resource: str = ""
    address: str = ""
    request: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Read a query string's values. Raises BadFilter, naming the filter."""
        found = {field.name: str(query.get(field.name, "")).strip() for field in fields(cls)}
        for name, value in found.items():
            if len(value) > LIMIT or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
                raise _bad(name, value[:40], _("a text of up to %(limit)d characters") % {"limit": LIMIT})
        if found["outcome"] and found["outcome"] not in AuditRecord.Outcome.values:
            raise _bad("outcome", found["outcome"], ", ".join(AuditRecord.Outcome.values))
        if found["address"]:
            _address(found["address"])
        for name in ("since", "until"):
            if found[name]:
                _moment(name, found[name])
        return cls(**found)

    def pairs(self) -> list[tuple[str, str]]:
        """Return the filters that are set, in order."""
        return [(field.name, value) for field in fields(self) if (value := getattr(self, field.name))]

    def to_query(self) -> str:
        """Return the query string that is read as this filter."""
        return urlencode(self.pairs())

    def apply(self, rows: QuerySet[AuditRecord]) -> QuerySet[AuditRecord]:
        """Narrow the records."""
        exact = {"who": "principal_name", "outcome": "outcome", "request": "request_id", "address": "address"}
        about: dict[str, Any] = {
            column: getattr(self, name) for name, column in exact.items() if getattr(self, name)
        }
        if self.action:  # a family of them by its beginning: "execution."
            about["action__startswith" if self.action.endswith(".") else "action"] = self.action
        if self.resource:
            kind, _colon, id = self.resource.rpartition(":")
            about |= {"resource_type": kind, "resource_id": id} if kind else {"resource_id": id}
        for name, lookup in (("since", "at__gte"), ("until", "at__lt")):
            if text := getattr(self, name):
                about[lookup] = _moment(name, text)
        return rows.filter(**about)


def page(
    rows: QuerySet[AuditRecord], after: str, before: str, limit: int = PAGE
) -> tuple[list[AuditRecord], str, str]:
    """Return records older than the number `after`, or just newer than `before`; and what asks for the next, the last.

    Raises BadFilter.
    """
    if before:
        found = list(rows.filter(pk__gt=_number("before", before)).order_by("pk")[: limit + 1])
        more, found = len(found) > limit, found[:limit][::-1]
        return found, str(found[-1].pk) if found else "", str(found[0].pk) if more else ""
    older = rows.filter(pk__lt=_number("after", after)) if after else rows
    found = list(older.order_by("-pk")[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    return found, str(found[-1].pk) if more else "", str(found[0].pk) if after and found else ""


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _bad(name, text[:40], _("a number from this list"))
    return int(text)


def _address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise _bad("address", text, _("an IP address")) from None


_UNITS = {"m": 60, "h": 3600, "d": 86400}


def _moment(name: str, text: str) -> datetime:
    if text[:-1].isascii() and text[:-1].isdigit() and len(text) < 8 and text[-1] in _UNITS:
        return timezone.now() - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    try:
        found = parse_datetime(text)
        if found is None and (day := parse_date(text)):
            found = datetime.combine(day, datetime.min.time())
    except ValueError:
        found = None
    if found is None:
        raise _bad(
            name, text, _("a date such as 2026-01-31, a time such as 2026-01-31T12:00, or an age such as 24h")
        )
    return timezone.make_aware(found) if timezone.is_naive(found) else found


def _bad(name: str, value: str, expected: str) -> BadFilter:
    said = {"name": name, "value": value, "expected": expected}
    return BadFilter(_("The filter %(name)s is “%(value)s”; it must be %(expected)s.") % said)
