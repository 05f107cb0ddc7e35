"""What happens to one execution, read from the database as it happens."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from orchestration import queries
from orchestration.engine.states import EXECUTION_TERMINAL, NodeStatus
from orchestration.models import Execution, LogLine, NodeRun

JSON = dict[str, Any]
INTERVAL = 0.1  # seconds between two looks
LATEST = 1.0  # seconds after which everything is read even if the database looks untouched


@dataclass(frozen=True, slots=True)
class News:
    """What one look found: new events and log lines, and the progress of what runs now."""

    status: str
    events: list[JSON]
    lines: list[JSON]
    progress: dict[tuple[str, int | None], JSON]

    @property
    def ended(self) -> bool:
        return self.status in EXECUTION_TERMINAL


class Feed:
    """Remembers how far one execution was read."""

    def __init__(self, execution_id: uuid.UUID) -> None:
        self.id = execution_id
        self._seq = 0
        self._line = 0
        self._shown: set[int] = set()
        self._version: int | None = None
        self._read_at = float("-inf")

    def news(self) -> Iterator[News]:
        """Yield what is new, at least once a second, until the execution has ended and all was read."""
        while True:
            if self._touched():
                found = self._read()
                yield found
                if found.ended:
                    return
            time.sleep(INTERVAL)

    def _touched(self) -> bool:
        """Say whether anything may have changed: SQLite knows without reading a table."""
        if connection.vendor != "sqlite":
            return True
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version: int = cursor.fetchone()[0]
        changed, self._version = version != self._version, version
        return changed or time.monotonic() - self._read_at >= LATEST

    def _read(self) -> News:
        self._read_at = time.monotonic()
        # The status first: an end seen here has all its events written already.
        status, seq = Execution.objects.values_list("status", "seq").get(pk=self.id)
        events = list(self._events(seq))
        lines = list(self._lines())
        if status in EXECUTION_TERMINAL:
            lines += self._rest()
        return News(status, events, lines, self._progress())

    def _events(self, seq: int) -> Iterator[JSON]:
        while self._seq < seq:
            batch = queries.events_after(self.id, self._seq)
            if not batch:
                return
            self._seq = batch[-1]["seq"]
            yield from batch

    def _lines(self) -> Iterator[JSON]:
        while batch := queries.log_lines(self.id, after=self._line):
            self._line = batch[-1]["id"]
            self._shown.update(line["id"] for line in batch)
            yield from batch

    def _rest(self) -> list[JSON]:
        """Return the lines that a cursor may not pass yet because some older transaction, of anybody's, is open."""
        rows = LogLine.objects.filter(execution=self.id).order_by("id")
        return [queries.line_json(row) for row in rows.iterator() if row.pk not in self._shown]

    def _progress(self) -> dict[tuple[str, int | None], JSON]:
        rows = NodeRun.objects.filter(
            execution=self.id, superseded=False, status=NodeStatus.RUNNING, progress__isnull=False
        )
        found = rows.values_list("node", "index", "progress")
        return {(node, None if index < 0 else index): progress or {} for node, index, progress in found}
