"""The log of an execution, and the lines that its bodies logged, as the JSON that every door shows."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Func, Q, QuerySet

from orchestration.models import ExecutionEvent, LogLine
from security.fields import Xid8Field

_COLUMNS = ("seq", "type", "at", "node", "index", "attempt", "data")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def instant(at: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def event_json(event: ExecutionEvent, *, tracebacks: bool = False) -> dict[str, Any]:
    """Return {seq, type, at, node, index, attempt, data}; tracebacks, which are long, to those who ask for them."""
    shown = {name: getattr(event, name) for name in _COLUMNS} | {"at": instant(event.at)}
    return shown if tracebacks else shown | {"data": _brief(event.data)}


def _brief(data: dict[str, Any]) -> dict[str, Any]:
    error = data.get("error")
    if not isinstance(error, dict) or "traceback" not in error:
        return data
    return data | {"error": {name: value for name, value in error.items() if name != "traceback"}}


def events_after(
    execution_id: uuid.UUID, seq: int = 0, limit: int = 1000, *, tracebacks: bool = False
) -> list[dict[str, Any]]:
    """Return the events that follow number `seq`, in order."""
    rows = ExecutionEvent.objects.filter(execution=execution_id, seq__gt=seq).order_by("seq")
    return [event_json(row, tracebacks=tracebacks) for row in rows.only("id", *_COLUMNS)[:limit]]


def node_events(
    execution_id: uuid.UUID, node: str | None = None, index: int | None = None, *, tracebacks: bool = False
) -> list[dict[str, Any]]:
    """Return the events of nodes (of one node, of one item of it), in order."""
    rows = ExecutionEvent.objects.filter(execution=execution_id, node__isnull=False).order_by("seq")
    if node is not None:
        rows = rows.filter(node=node)
    if index is not None:
        rows = rows.filter(index=None if index < 0 else index)
    return [event_json(row, tracebacks=tracebacks) for row in rows.only("id", *_COLUMNS)]


def log_lines(
    execution_id: uuid.UUID,
    after: int = 0,
    node: str | None = None,
    q: str | None = None,
    limit: int = 500,
    *,
    level: int = 0,
    settled: bool = True,
) -> list[dict[str, Any]]:
    """Return the log lines that follow the line `after`; `q` is looked for in the message, `level` is the least.

    Reading on from the last line given misses none: on PostgreSQL, where a lower id may be committed later, lines
    come in the order of their transactions, and only those that no open transaction can still precede. Who reads
    once and never goes on asks for all there is with `settled=False`.
    """
    rows = _lines(execution_id, node, q, level)
    if connection.vendor != "postgresql" or not settled:
        return list(map(line_json, rows.filter(id__gt=after).order_by("id")[:limit]))
    rows = rows.filter(txid__lt=_Oldest())
    known = LogLine.objects.filter(pk=after, execution=execution_id).values_list("txid", flat=True).first()
    if known is not None:
        rows = rows.filter(Q(txid__gt=known) | Q(txid=known, id__gt=after))
    return list(map(line_json, rows.order_by("txid", "id")[:limit]))


def settled_line(execution_id: uuid.UUID) -> int:
    """Return the last line that `log_lines` can be told to go on from without missing one; 0 when there is none."""
    rows = LogLine.objects.filter(execution=execution_id).order_by("-id")
    if connection.vendor == "postgresql":
        rows = rows.filter(txid__lt=_Oldest()).order_by("-txid", "-id")
    return rows.values_list("id", flat=True).first() or 0


class _Oldest(Func):
    """The oldest transaction that is still open: all before it are visible for good."""

    template = "pg_snapshot_xmin(pg_current_snapshot())"
    output_field = Xid8Field()


def last_log_lines(
    execution_id: uuid.UUID,
    before: int | None = None,
    node: str | None = None,
    q: str | None = None,
    limit: int = 500,
    *,
    level: int = 0,
) -> list[dict[str, Any]]:
    """Return the last lines (before the id `before`), in order."""
    rows = _lines(execution_id, node, q, level).order_by("-id")
    if before is not None:
        rows = rows.filter(id__lt=before)
    return list(map(line_json, reversed(rows[:limit])))


def line_json(line: LogLine) -> dict[str, Any]:
    """Return {id, at, node, index, attempt, level, message}; the index of no item is None."""
    return {
        "id": line.pk,
        "at": instant(line.at),
        "node": line.node,
        "index": None if line.index < 0 else line.index,
        "attempt": line.attempt,
        "level": level_name(line.level),
        "message": line.message,
    }


def level_name(number: int) -> str:
    """Return the word for a logging level: the nearest known one below."""
    reached: Iterable[str] = (name for name, least in reversed(LEVELS.items()) if number >= least)
    return next(iter(reached), "debug")


def _lines(execution_id: uuid.UUID, node: str | None, q: str | None, level: int) -> QuerySet[LogLine]:
    rows = LogLine.objects.filter(execution=execution_id)
    if node:
        rows = rows.filter(node=node)
    if q:
        rows = rows.filter(message__icontains=q)
    return rows.filter(level__gte=level) if level else rows
