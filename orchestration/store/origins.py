"""Which workflows executions are of."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from . import sql
from .locked import read_uuid


class Origin(NamedTuple):
    """An execution's version and workflow, which never change."""

    id: uuid.UUID
    version_id: int
    workflow_id: int
    workflow: str


def of_executions(ids: Sequence[uuid.UUID], using: str = DEFAULT_DB_ALIAS) -> list[Origin]:
    """Return the origins of those of the executions that there are."""
    connection = connections[using]
    condition, keys = sql.one_of(connection, "e.id", [sql.key(connection, id) for id in ids], "uuid")
    text = (
        "SELECT e.id, e.version_id, w.id, w.name FROM orchestration_execution e"
        f" JOIN orchestration_workflow w ON w.id = e.workflow_id WHERE {condition}"
    )
    rows = sql.execute(connection, text, [keys])
    return [Origin(read_uuid(id), *about) for id, *about in rows]
