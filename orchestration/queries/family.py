"""Which executions have started which."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Count

from orchestration.engine.states import EXECUTION_LIVE
from orchestration.models import Execution
from orchestration.store import sql
from orchestration.store.locked import read_uuid
from orchestration.store.sql import Rows, execute
from security.policies import visible_to
from security.principals import Principal

MOST = 500  # executions of one tree that are shown


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An execution above another; without an id, one that the principal may not view."""

    id: uuid.UUID | None
    workflow: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class Children:
    """How many executions one has started that the principal may view, by status, and how many they may not."""

    counts: dict[str, int]
    hidden: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts.values()) + self.hidden

    @property
    def open(self) -> int:
        """How many of them, as far as they may be viewed, have not ended."""
        return sum(count for status, count in self.counts.items() if status in EXECUTION_LIVE)


@dataclass(slots=True)
class Branch:
    """An execution in a tree, with those that it has started; `more` are not in it, `hidden` may not be viewed."""

    execution: Execution
    children: list[Branch] = field(default_factory=list)
    hidden: int = 0

    @property
    def more(self) -> int:
        return max(0, self.execution.children - len(self.children) - self.hidden)


def above(execution: Execution, principal: Principal) -> list[Ancestor]:
    """Return the executions that this one comes from, the first one first."""
    if execution.parent_id is None:
        return []
    ids = [read_uuid(row[0]) for row in _up(execution.parent_id)]
    rows = visible_to(principal, Execution.objects.filter(pk__in=ids)).select_related("workflow")
    seen = {row.pk: row for row in rows.only("status", "workflow__name")}
    return [
        Ancestor(id, seen[id].workflow.name, seen[id].status) if id in seen else Ancestor(None) for id in ids
    ]


def names_above(execution_id: uuid.UUID) -> list[str]:
    """Return the names of the workflows from the first execution down to this one."""
    return [row[1] for row in _up(execution_id)]


def family_of(execution_id: uuid.UUID) -> uuid.UUID:
    """Return the execution that this one comes from which comes from none."""
    return read_uuid(_up(execution_id)[0][0])


def _up(execution_id: uuid.UUID) -> Rows:
    text = (
        "WITH RECURSIVE up AS (SELECT id, parent_id, workflow_id, 0 AS height FROM orchestration_execution"
        " WHERE id = %s UNION ALL SELECT e.id, e.parent_id, e.workflow_id, up.height + 1"
        " FROM orchestration_execution e JOIN up ON e.id = up.parent_id)"
        " SELECT up.id, w.name FROM up JOIN orchestration_workflow w ON w.id = up.workflow_id"
        " ORDER BY up.height DESC"
    )
    return execute(connection, text, [sql.key(connection, execution_id)])


def children(execution: Execution, principal: Principal) -> Children:
    """Return how many executions this one has started, and how they are; one query, none where there are none."""
    if not execution.children:
        return Children({})
    rows = visible_to(principal, Execution.objects.filter(parent=execution)).order_by("status")
    counts = dict(rows.values_list("status").annotate(Count("pk")))
    return Children(counts, max(0, execution.children - sum(counts.values())))


def tree(execution: Execution, principal: Principal) -> Branch:
    """Return the execution with what it has started, and what that has, as far as the principal may view it."""
    ids = [read_uuid(row[0]) for row in execute(connection, _DOWN, [sql.key(connection, execution.pk), MOST])]
    rows = Execution.objects.filter(pk__in=ids).select_related("workflow", "version", "started_by")
    seen = visible_to(principal, rows).defer("input", "output", "labels", "version__definition")
    branches = {row.pk: Branch(row) for row in [*seen.order_by("pk"), execution]}
    parents = dict(Execution.objects.filter(pk__in=ids).values_list("pk", "parent"))
    for id, parent in sorted(parents.items()):
        if parent in branches and id in branches:
            branches[parent].children.append(branches[id])
        elif parent in branches:
            branches[parent].hidden += 1
    return branches[execution.pk]


# In the order in which they are found: level by level.
_DOWN = (
    "WITH RECURSIVE down AS (SELECT id FROM orchestration_execution WHERE parent_id = %s"
    " UNION ALL SELECT e.id FROM orchestration_execution e JOIN down ON e.parent_id = down.id)"
    " SELECT id FROM down LIMIT %s"
)


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
