"""Which executions have started which."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import connection

from orchestration.models import Execution
from orchestration.store import sql
from orchestration.store.locked import read_uuid
from orchestration.store.sql import execute


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An execution above another."""

    id: uuid.UUID
    workflow: str
    workflow_id: int
    status: str


def above(execution_id: uuid.UUID) -> list[Ancestor]:
    """Return the execution and those that it comes from, the first one first."""
    text = (
        "WITH RECURSIVE up AS (SELECT id, parent_id, workflow_id, status, 0 AS height FROM orchestration_execution"
        " WHERE id = %s UNION ALL SELECT e.id, e.parent_id, e.workflow_id, e.status, up.height + 1"
        " FROM orchestration_execution e JOIN up ON e.id = up.parent_id)"
        " SELECT up.id, w.name, w.id, up.status FROM up JOIN orchestration_workflow w ON w.id = up.workflow_id"
        " ORDER BY up.height DESC"
    )
    rows = execute(connection, text, [sql.key(connection, execution_id)])
    return [Ancestor(read_uuid(row[0]), *row[1:]) for row in rows]


def names_above(execution_id: uuid.UUID) -> list[str]:
    """Return the names of the workflows from the first execution down to this one."""
    return [each.workflow for each in above(execution_id)]


def unfinished_below(execution_id: uuid.UUID) -> int:
    """Return how many of the executions that this one, or one below it, has started have not ended."""
    text = (
        "WITH RECURSIVE down AS (SELECT id, finished_at FROM orchestration_execution WHERE parent_id = %s"
        " UNION ALL SELECT e.id, e.finished_at FROM orchestration_execution e JOIN down ON e.parent_id = down.id)"
        " SELECT count(*) FROM down WHERE finished_at IS NULL"
    )
    return int(execute(connection, text, [sql.key(connection, execution_id)])[0][0])


def children_of(execution_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the executions that this one has started, the first one first."""
    rows = Execution.objects.filter(parent=execution_id).order_by("pk")
    return list(rows.values_list("pk", flat=True))
