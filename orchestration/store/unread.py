"""Signals that nobody has read when their execution ends."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.view import Emit

from . import sql
from .locked import Locked
from .sql import execute


def unconsumed(connection: BaseDatabaseWrapper, item: Locked) -> list[Emit]:
    """Return what an execution that ends says of the signals that nobody has read."""
    text = (
        "SELECT name, count(*) FROM orchestration_signal WHERE execution_id = %s AND consumed_at IS NULL"
        " GROUP BY name ORDER BY name"
    )
    found = execute(connection, text, [sql.key(connection, item.id)])
    return [Emit("signal.unconsumed", data={"name": name, "count": count}) for name, count in found]
