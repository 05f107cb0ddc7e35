"""Constraints made from the engine's enums, so that a row which breaks them cannot exist.

PostgreSQL reads the constraints of a table anew for each statement that writes to it, which takes the longer the more
they say: so there are few, each says a thing once, and the hot tables' numbers have none of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from django.db.models import BooleanField, CheckConstraint, ExpressionWrapper, Q
from django.db.models.lookups import Exact


def finished_when(name: str, ended: Iterable[StrEnum], live: Iterable[StrEnum]) -> CheckConstraint:
    """Return the constraint that `status` is one of these, and `finished_at` there exactly when it is an ended one."""
    over = Q(status__in=sorted(value.value for value in ended), finished_at__isnull=False)
    on = Q(status__in=sorted(value.value for value in live), finished_at__isnull=True)
    return CheckConstraint(name=name, condition=over | on)


def exactly_when(name: str, one: Q, other: Q) -> CheckConstraint:
    """Return the constraint that both conditions hold, or neither."""
    left, right = (ExpressionWrapper(condition, output_field=BooleanField()) for condition in (one, other))
    return CheckConstraint(name=name, condition=Exact(left, right))


def choices(values: Iterable[StrEnum]) -> list[tuple[str, str]]:
    return [(value.value, value.value.replace("_", " ")) for value in values]
