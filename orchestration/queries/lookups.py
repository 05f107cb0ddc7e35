"""What the ORM cannot say on both databases."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import BooleanField, Lookup


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
