"""What maps go over, and what their items gave.

A map's worker writes down the items before it settles that it has found them: they are no state, and count by the
fence of its claim alone. A map's result is never copied: it is read from its items' rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.items import NAMED
from orchestration.engine.states import NODE_OK

from . import sql
from .claim import Claim
from .locked import Locked, load_rows
from .sql import Statement, execute

AT_ONCE = 5000  # items that one statement writes
BYTES_AT_ONCE = 4 * 1024 * 1024
_ITEM = {"index": "int", "value": "json"}
_GOOD = "(" + ", ".join(f"'{status.value}'" for status in sorted(NODE_OK)) + ")"


def keep(claim: Claim, texts: Iterable[str], using: str = DEFAULT_DB_ALIAS) -> int:
    """Write down what a map goes over, as JSON texts, if the claim is still ours; return how many."""
    connection, count = connections[using], 0
    for batch in _batches(texts):
        execute(connection, *_insertion(connection, claim, count, batch))
        count += len(batch)
    return count


def _insertion(connection: BaseDatabaseWrapper, claim: Claim, first: int, texts: list[str]) -> Statement:
    if sql.is_postgres(connection):  # whose JSON arrays keep their values as they are written
        number, value, source = (
            "%s + r.at - 1",
            "r.value",
            "json_array_elements(%s::json) WITH ORDINALITY r(value, at)",
        )
        given: list[object] = [first, "[" + ",".join(texts) + "]"]
    else:
        number, value, source = 'r."index"', "r.value", sql.recordset(connection.vendor, _ITEM)
        given = [sql.records(connection, enumerate(texts, first))]
    text = (
        'INSERT INTO orchestration_mapitem (node_run_id, fence, "index", value)'
        f" SELECT n.id, n.fence, {number}, {value} FROM {source}, orchestration_noderun n"
        " WHERE n.id = %s AND n.fence = %s AND n.status = 'running' ON CONFLICT DO NOTHING"
    )
    return text, [*given, claim.run_id, claim.fence]


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) >= AT_ONCE or size + len(text) > BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def read(
    asked: Sequence[tuple[Claim, str]], using: str = DEFAULT_DB_ALIAS
) -> dict[int, tuple[str, str | None]]:
    """Return, by node run, the items of claims, each with the map whose item it is about; and beside the item what a
    person has put in the place of the map's input. JSON texts.
    """
    connection = connections[using]
    maps: dict[tuple[uuid.UUID, str], list[Claim]] = {}
    for claim, node in asked:
        maps.setdefault((claim.execution_id, node), []).append(claim)
    indices = [sorted({claim.key.index for claim in claims}) for claims in maps.values()]
    statements = [_reading(connection, *key, some) for key, some in zip(maps, indices, strict=True)]
    found: dict[int, tuple[str, str | None]] = {}
    for claims, rows in zip(maps.values(), sql.run(connection, statements), strict=True):
        values = {index: (value, edited) for index, value, edited in rows}
        found |= {claim.run_id: values[claim.key.index] for claim in claims if claim.key.index in values}
    return found


def _reading(connection: BaseDatabaseWrapper, id: uuid.UUID, node: str, indices: list[int]) -> Statement:
    condition, param = sql.one_of(connection, 'i."index"', indices, "integer")
    value, edited = (sql.json_text(connection, name) for name in ("i.value", "input"))
    # The map's row by itself: joined, PostgreSQL may read all its items, while it knows nothing of the table. And a
    # range beside the list, for of these two that alone is looked up in the index.
    text = (
        "WITH p AS MATERIALIZED (SELECT id, fence, input FROM orchestration_noderun WHERE execution_id = %s"
        " AND node = %s AND \"index\" = -1 AND for_node = '' AND NOT superseded)"
        f' SELECT i."index", {value}, (SELECT {edited} FROM p) FROM orchestration_mapitem i'
        " WHERE i.node_run_id = (SELECT id FROM p) AND i.fence = (SELECT fence FROM p)"
        f' AND i."index" BETWEEN %s AND %s AND {condition}'
    )
    return text, [sql.key(connection, id), node, indices[0], indices[-1], param]


def results(execution_id: uuid.UUID, node: str, count: int, using: str = DEFAULT_DB_ALIAS) -> str:
    """Return what a map's items gave, as one JSON list in their order; null for one that failed."""
    return joined(count, _results(connections[using], execution_id, node))


def _results(
    connection: BaseDatabaseWrapper, execution_id: uuid.UUID, node: str
) -> list[tuple[int, str | None]]:
    text = (
        f'SELECT n."index", {sql.json_text(connection, "n.result")} FROM orchestration_noderun n'
        " WHERE n.execution_id = %s AND n.node = %s AND n.\"index\" >= 0 AND NOT n.superseded AND n.for_node = ''"
        f" AND n.status IN {_GOOD}"
    )
    return [(row[0], row[1]) for row in execute(connection, text, [sql.key(connection, execution_id), node])]


def joined(count: int, found: Iterable[tuple[int, str | None]]) -> str:
    """Return results by index as one JSON list."""
    texts = ["null"] * count
    for index, text in found:
        texts[index] = text or "null"
    return "[" + ",".join(texts) + "]"


def output_of(connection: BaseDatabaseWrapper, item: Locked, node: str, count: int, limit: int) -> str | None:
    """Return a map's result under the lock, what has just ended included; None past the limit."""
    size = (
        "SELECT sum(length(CAST(n.result AS text))) FROM orchestration_noderun n WHERE n.execution_id = %s"
        " AND n.node = %s AND n.\"index\" >= 0 AND NOT n.superseded AND n.for_node = ''"
    )
    written = execute(connection, size, [sql.key(connection, item.id), node])[0][0] or 0
    rows = item.view.rows.items()
    new = [
        (key.index, row.result)
        for key, row in rows
        if key.node == node and key.index >= 0 and row.status in NODE_OK
    ]
    if written + sum(len(text or "") for _, text in new) > limit:
        return None
    return joined(count, [*_results(connection, item.id, node), *new])


def load_failed(connection: BaseDatabaseWrapper, item: Locked, node: str) -> None:
    """Read the first of a map's items that failed into the view: its error names them."""
    condition = "n.execution_id = %s AND n.node = %s AND n.\"index\" >= 0 AND n.status = 'failed'"
    first = (
        f"n.id IN (SELECT n.id FROM orchestration_noderun n WHERE {condition} AND NOT n.superseded"
        f' ORDER BY n."index" LIMIT {NAMED})'
    )
    load_rows(connection, {item.id: item}, first, [sql.key(connection, item.id), node])


_PAIR = {"old": "id", "new": "id"}
_COPY = (
    'INSERT INTO orchestration_mapitem (node_run_id, fence, "index", value)'
    ' SELECT p.id, p.fence, i."index", i.value FROM orchestration_noderun o'
    " JOIN orchestration_mapitem i ON i.node_run_id = o.id AND i.fence = o.fence"
)


def carry(connection: BaseDatabaseWrapper, pairs: Sequence[tuple[int, int]]) -> None:
    """Let each new row of a map, which nobody has claimed, go over what an old one went over: pairs of (old, new)."""
    if not pairs:
        return
    text = (
        f"{_COPY} JOIN {sql.recordset(connection.vendor, _PAIR)} ON r.old = o.id"
        " JOIN orchestration_noderun p ON p.id = r.new"
    )
    execute(connection, text, [sql.records(connection, pairs)])


def carry_to(
    connection: BaseDatabaseWrapper, source: uuid.UUID, fork: uuid.UUID, nodes: Sequence[str]
) -> None:
    """Let the maps of a fork go over what those of its source went over."""
    condition, names = sql.one_of(connection, "o.node", nodes, "text")
    text = (
        f'{_COPY} JOIN orchestration_noderun p ON p.execution_id = %s AND p.node = o.node AND p."index" = -1'
        f' WHERE o.execution_id = %s AND o."index" = -1 AND NOT o.superseded AND {condition}'
    )
    execute(connection, text, [sql.key(connection, fork), sql.key(connection, source), names])
