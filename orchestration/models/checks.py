"""Constraints made from the engine's enums, so that a row which breaks them cannot exist.

PostgreSQL reads the constraints of a table anew for each statement that writes to it, which takes the longer the more
they say: so a hot table has one, which says each thing once, in the shortest words that PostgreSQL has for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Case, Expression, Q, Value, When
from django.db.models.expressions import Func


class IsOneOf(Func):
    """Whether a text is one of these: IN, for which PostgreSQL keeps a node for each value; as an array, it is one."""

    arity = 1
    output_field = BooleanField()

    def __init__(self, expression: Any, values: tuple[str, ...], **extra: Any) -> None:
        super().__init__(expression, **extra)
        self.values = values

    def as_sql(
        self,
        compiler: Any,
        connection: BaseDatabaseWrapper,
        function: str | None = None,
        template: str | None = None,
        arg_joiner: str | None = None,
        **extra: Any,
    ) -> tuple[str, Any]:
        """Return the SQL, with the values in it where they make one constant."""
        column, params = compiler.compile(self.source_expressions[0])
        if connection.vendor == "postgresql":
            return f"{column} = ANY(%s::text[])", [*params, "{" + ",".join(self.values) + "}"]
        places = ", ".join("%s" for _ in self.values)
        return f"{column} IN ({places})", [*params, *self.values]


def status_fits(*cases: tuple[Q, Iterable[StrEnum] | None], otherwise: Iterable[StrEnum]) -> Expression:
    """Return the condition that `status` is one of those which the first case that holds allows (None: no status)."""
    return Case(
        *(When(condition, then=_allowed(statuses)) for condition, statuses in cases),
        default=_allowed(otherwise),
        output_field=BooleanField(),
    )


def _allowed(statuses: Iterable[StrEnum] | None) -> Expression:
    if statuses is None:
        return Value(False)
    return IsOneOf("status", tuple(sorted(status.value for status in statuses)))


def choices(values: Iterable[StrEnum]) -> list[tuple[str, str]]:
    return [(value.value, value.value.replace("_", " ")) for value in values]
