"""Model fields that several apps need."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class CurrentTransaction(models.Func):
    """The number of the transaction that runs; NULL where the database has none."""

    function = "pg_current_xact_id"
    arity = 0
    allowed_default = True
    output_field = models.BigIntegerField()

    def as_sqlite(self, *_args: Any, **_kwargs: Any) -> tuple[str, tuple[()]]:
        return "NULL", ()


class Xid8Field(models.Field):
    """The number of the transaction that inserted the row, given by the database: an int; None on SQLite.

    With pg_snapshot_xmin() it makes a cursor over committed rows that misses no late commit.
    """

    description = "PostgreSQL xid8 of the inserting transaction"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "null": True, "editable": False, "db_default": CurrentTransaction()})

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        for fixed in ("null", "editable", "db_default"):
            options.pop(fixed, None)
        return name, path, args, options

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "xid8" if connection.vendor == "postgresql" else "bigint"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        # PostgreSQL compares xid8 with no integer type, but reads an untyped literal as xid8.
        return str(value) if isinstance(value, int) and connection.vendor == "postgresql" else value

    def from_db_value(self, value: Any, *_args: Any) -> int | None:
        return None if value is None else int(value)
