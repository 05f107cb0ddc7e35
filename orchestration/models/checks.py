"""Constraints made from the engine's enums, so that a row which breaks them cannot exist."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from django.db.models import CheckConstraint, Q


def one_of(name: str, field: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """Return the constraint that `field` is one of the values."""
    return CheckConstraint(name=name, condition=Q(**{f"{field}__in": sorted(v.value for v in values)}))


def exactly_when(name: str, condition: Q, field: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """Return the constraint that `condition` holds exactly while `field` is one of the values."""
    member = Q(**{f"{field}__in": sorted(v.value for v in values)})
    return CheckConstraint(name=name, condition=(condition & member) | (~condition & ~member))


def choices(values: Iterable[StrEnum]) -> list[tuple[str, str]]:
    return [(value.value, value.value.replace("_", " ")) for value in values]
