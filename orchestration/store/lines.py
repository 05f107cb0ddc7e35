"""Who comes next: the first rows in line for the places that outcomes may hand on."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.line import lines_of
from orchestration.engine.view import Key

from . import sql
from .claim import Claim
from .locked import Locked, read_rows, rows_statement
from .sql import Statement, execute
from .versions import graph_of

_IN_LINE = "n.execution_id = %s AND n.status = 'pending' AND n.held"


def reading(connection: BaseDatabaseWrapper, ended: Iterable[tuple[Claim, Key]]) -> list[Statement]:
    """Return what reads as many rows of each line as outcomes may hand places on."""
    wanted = Counter(
        (claim.execution_id, line)
        for claim, key in ended
        for line in lines_of(graph_of(claim.version_id), key)
    )
    return [_first(connection, id, line, most) for (id, line), most in wanted.items()]


def load(connection: BaseDatabaseWrapper, item: Locked, key: Key) -> None:
    """Read who comes next once this row has ended into the view."""
    for line in lines_of(item.graph, key):
        read_rows({item.id: item}, execute(connection, *_first(connection, item.id, line, 1)))


def _first(connection: BaseDatabaseWrapper, id: uuid.UUID, line: tuple[str, ...], most: int) -> Statement:
    condition, names = sql.one_of(connection, "n.node", line, "text")
    params = [sql.key(connection, id), names]
    # Born in the order in which they stand: pending rows are nobody's to claim.
    return rows_statement(connection, f"{_IN_LINE} AND {condition}", params, keep=False, most=most)
