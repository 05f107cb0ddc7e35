"""What the ORM cannot say on both databases."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import BooleanField, Func, IntegerField, Lookup


class Holds(Lookup):
    """A JSON list holds a text: `filter(Holds(F("tags"), "nightly"))`."""

    lookup_name = "holds"
    prepare_rhs = False
    output_field = BooleanField()

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Ask PostgreSQL's containment."""
        column, params = self.process_lhs(compiler, connection)
        return f"{column} @> %s::jsonb", (*params, json.dumps([self.rhs]))

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Look through the list, which SQLite keeps as text."""
        column, params = self.process_lhs(compiler, connection)
        return f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = %s)", (*params, self.rhs)  # noqa: S608 - a column


class Lists(Func):
    """A JSON object's list holds a text: `filter(Lists(F("about"), "users", Value("uma")))`."""

    output_field = BooleanField()

    def __init__(self, column: Any, key: str, text: Any) -> None:
        super().__init__(column, text)
        self.key = key

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Ask whether it is a key of the list."""
        column, text = (compiler.compile(each) for each in self.source_expressions)
        return f"jsonb_exists(({column[0]} -> '{self.key}')::jsonb, {text[0]})", (*column[1], *text[1])

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Look through the list."""
        column, text = (compiler.compile(each) for each in self.source_expressions)
        listed = f"json_each({column[0]}, '$.{self.key}')"
        return f"EXISTS (SELECT 1 FROM {listed} AS e WHERE e.value = {text[0]})", (*column[1], *text[1])  # noqa: S608 - ours


class ListLength(Func):
    """How many a JSON object's list holds; 0 where there is none."""

    output_field = IntegerField()

    def __init__(self, column: Any, key: str) -> None:
        super().__init__(column)
        self.key = key

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Count without reading them."""
        column, params = compiler.compile(self.source_expressions[0])
        return f"COALESCE(json_array_length({column} -> '{self.key}'), 0)", tuple(params)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Count without reading them."""
        column, params = compiler.compile(self.source_expressions[0])
        return f"COALESCE(json_array_length({column}, '$.{self.key}'), 0)", tuple(params)
