"""Model fields of our own."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class WrittenJSONField(models.JSONField):
    """JSON kept as it was written, keys in their order and numbers with their digits.

    PostgreSQL's jsonb, which Django uses, sorts keys: a form made from a schema would lose its order, and a result
    would not read as its body returned it. The price: no containment and no comparison of whole values in a query.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        if value is None or connection.vendor != "postgresql" or hasattr(value, "resolve_expression"):
            return super().get_db_prep_value(value, connection, prepared)
        from psycopg.types.json import Json

        return Json(value)

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        if connection.vendor == "postgresql":  # psycopg has read it already
            return value
        return super().from_db_value(value, expression, connection)


class PlainKeyField(models.CharField):
    """A text that is compared byte by byte, on PostgreSQL as on SQLite: a list in its order has one order."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        collation = {"collation": "C"} if connection.vendor == "postgresql" else {}
        return {**super().db_parameters(connection), **collation}
