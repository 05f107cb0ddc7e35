"""Going on where an execution failed: retry, from a node too, and what a person decides about one node."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine import attention, redo, verbs
from orchestration.engine.errors import RepeatExhausted
from orchestration.engine.follow import others_with_rows
from orchestration.engine.items import key_named
from orchestration.engine.recovery import helpers
from orchestration.engine.states import ExecutionStatus, NodeStatus
from orchestration.engine.view import Key, Row

from . import children, items, journal, lines, sql
from .locked import Locked, lock_one, read_rows, rows_statement
from .outcomes import as_pairs, close, in_pairs
from .settle import settle_waves
from .sql import execute
from .wakeups import wake
from .write import write

About = dict[str, Any]


def retry(
    id: uuid.UUID,
    about: About,
    node: str | None = None,
    input: str | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Reopen an ended execution where it failed, or from a node (or an item of a map, "node[3]"), which may be given an
    input of its own (JSON text).

    Raises IllegalMove, UnknownExecution.
    """
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        item = lock_one(connection, id)
        _finish(connection, item, reopen(connection, item, about, node), input)
    settle_waves(id, using)


def attend(
    id: uuid.UUID,
    node: str,
    decision: str,
    about: About,
    result: str | None = None,
    input: str | None = None,
    using: str = DEFAULT_DB_ALIAS,
    *,
    ended_too: bool = False,
) -> None:
    """Do what a person decides about a node; with `ended_too`, an execution that has ended is reopened for it.

    `result` and `input` are JSON text. Raises IllegalMove, UnknownExecution.
    """
    connection = connections[using]
    with transaction.atomic(using=using, savepoint=False):
        item = lock_one(connection, id)
        decide(connection, item, node, decision, about, result, ended_too=ended_too)
        _finish(connection, item, Key(node), input)
        if decision == "retry" and (row := item.view.rows.get(Key(node))) is not None:
            anew = journal.forget if _begins_anew(row) else journal.ask_anew
            anew(connection, item.times[row.key].id)
    settle_waves(id, using)


def _begins_anew(row: Row) -> bool:
    """Say whether what its body kept is why it failed: it has run as often as it may."""
    return (row.error or {}).get("code") == RepeatExhausted.code


def decide(
    connection: BaseDatabaseWrapper,
    item: Locked,
    node: str,
    decision: str,
    about: About,
    result: str | None,
    *,
    keep: bool = True,
    ended_too: bool = True,
) -> None:
    """Note what follows from a person's decision about a node. Raises IllegalMove."""
    if item.view.status.is_terminal and ended_too:
        reopen(connection, item, about, node, keep=keep, decision=decision)
    elif node in item.graph.nodes:
        near = [*others_with_rows(item.graph, Key(node)), *helpers(item.graph, node)]
        _load(connection, item, {node, *near}, keep)
        if item.graph.nodes[node].items is not None and decision == "retry":
            _load(connection, item, {node}, keep, of_maps=True)
        lines.load(connection, item, Key(node))
    item.run(attention.attend(item.graph, item.view, node, decision, about, result, item.id))


def reopen(
    connection: BaseDatabaseWrapper,
    item: Locked,
    about: About,
    node: str | None,
    *,
    keep: bool = True,
    decision: str = "",
) -> Key | None:
    """Note what a retry does, and return which node or item it begins with. Raises IllegalMove."""
    verbs.check("retry", item.view.status, item.id, node)
    key = key_named(item.graph, node) if node is not None and not decision else Key(node or "")
    node = key.node or None
    whole = _load_for_retry(connection, item, node, keep)
    if node is not None and decision:
        attention.check_ended(item.graph, item.view, node, decision, item.id)
    if (
        node is None or node not in item.graph.undos
    ):  # an undo goes on for the reason it began for, and in its own time
        item.cause = {"verb": "retry", **about, "at": item.now.isoformat()}
        if item.graph.timeout is not None:
            item.timeout_at = item.now + dt.timedelta(seconds=item.graph.timeout)
    again = redo.retry(
        item.graph,
        item.view,
        about,
        item.id,
        node,
        index=key.index,
        whole=whole,
        anew=decision in ("skip", "supply"),
    )
    item.run(again)
    return key if node is not None else None


def _finish(connection: BaseDatabaseWrapper, item: Locked, key: Key | None, input: str | None) -> None:
    close(connection, [item])
    write(connection, [item])
    tried = _tried_again(item) if input is None else []
    journal.carry(connection, tried)
    items.carry(connection, _maps_again(item))
    if item.children:
        children.carry(connection, tried)
    if key is not None and input is not None:
        journal.forget(connection, item.times[key].id)
        children.forget(connection, item.times[key].id)
        # What it sees in the place of the execution's input; nobody else does.
        text = "UPDATE orchestration_noderun SET input = %s WHERE id = %s"
        execute(connection, text, [input, item.times[key].id])
    wake(connection)


def _tried_again(item: Locked) -> list[tuple[int, int]]:
    """Return (old, new) ids of the rows that did not end well and begin again: what their bodies kept holds still."""
    new = {key: times.id for key, times in item.times.items()}
    ended = [
        (times.id, new.get(row.key))
        for row, times in item.superseded
        if row.status in redo.AGAIN and not _begins_anew(row)
    ]
    return [(old, id) for old, id in ended if old is not None and id is not None]


def _maps_again(item: Locked) -> list[tuple[int, int]]:
    """Return (old, new) ids of the rows of maps that keep some of their items."""
    found = []
    for row, times in item.superseded:
        new = item.view.rows.get(row.key)
        if row.key.index < 0 and row.items is not None and new is not None and new.items is not None:
            found.append((times.id, item.times[row.key].id))
    return [(old, id) for old, id in found if old is not None and id is not None]


# --- loading no more than is touched ---------------------------------------------------------------


def _load_for_retry(connection: BaseDatabaseWrapper, item: Locked, node: str | None, keep: bool) -> bool:
    """Load what a retry touches; say whether that is everything, or what concerns `node` and all that follows it."""
    if node is not None and node in item.graph.nodes and _is_settled(item):
        aside = {node} | item.graph.descendants([node])
        parents = {parent for name in aside for parent in item.graph.nodes[name].depends_on}
        near = {name for each in aside for name in helpers(item.graph, each)}
        _load(connection, item, aside, keep, of_maps=True)
        _load(connection, item, (parents | near) - aside, keep)
        rows = [row for key, row in item.view.rows.items() if key.node in aside and key.index < 0]
        if sum(row.status is NodeStatus.FAILED for row in rows) == item.view.failures:
            return False
    everything = ("n.execution_id = %s", [sql.key(connection, item.id)])
    read_rows({item.id: item}, execute(connection, *rows_statement(connection, *everything, keep=keep)))
    return True


def _is_settled(item: Locked) -> bool:
    """Say whether each node has ended by itself: nobody cancelled anything, and nothing was undone."""
    over = item.view.status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED)
    return over and not item.view.doomed and not item.graph.undos


def _load(
    connection: BaseDatabaseWrapper, item: Locked, nodes: set[str], keep: bool, *, of_maps: bool = False
) -> None:
    pairs = as_pairs(connection, [(item.id, node) for node in sorted(nodes)])
    statement = rows_statement(connection, in_pairs(connection, items=of_maps), [pairs], keep=keep)
    read_rows({item.id: item}, execute(connection, *statement))
