"""Finding the log lines that are new, exactly: none missed, none twice, however they were committed.

On SQLite there is one writer, so ids are committed in order and the highest id seen is a cursor. On
PostgreSQL a line gets its id long before its transaction commits, and a higher id may be seen first. There
the cursor is the snapshot of the last look: a line is new when its transaction (`txid`) was not visible in
that snapshot and is in this one. No open transaction, however long, holds anything back.

Who reconnects names one line. Lines are ordered by (txid, id); a line is *settled* when no transaction as old
as its own is still open, and frames name the last settled one: all lines up to it have been seen. Lines after
it may have been sent already, and are sent again after a reconnect; their ids tell.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Q, QuerySet

from orchestration.models import LogLine

LIMIT = 1000  # lines sent to somebody who comes (back); earlier ones are a page's to ask for
# An id may be drawn just before its transaction gets its number: how long that moment may last at most.
_DRAWN_BEFORE_NUMBERED = 5.0
_MARK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the transaction's snapshot shows: all of transactions before `oldest`, nothing from `next` on."""

    snapshot: str
    oldest: int
    next: int
    highest: int

    @classmethod
    def current(cls) -> Moment:
        table = connection.ops.quote_name(LogLine._meta.db_table)
        shown = "pg_current_snapshot()::text" if connection.vendor == "postgresql" else "'1:1:'"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {shown}, COALESCE(MAX(id), 0) FROM {table}")  # noqa: S608
            snapshot, highest = cursor.fetchone()
        oldest, following, _open = snapshot.split(":")
        return cls(snapshot, int(oldest), int(following), highest)


@dataclass(slots=True)
class Settled:
    """The last settled line of one execution, among those noted."""

    line: int | None = None
    _open: list[tuple[int, int]] = field(default_factory=list)

    def note(self, lines: Iterable[LogLine], moment: Moment) -> None:
        """Take in lines that were just read at that moment."""
        noted = sorted([*self._open, *((line.txid or 0, line.pk) for line in lines)])
        done = [entry for entry in noted if entry[0] < moment.oldest]
        self._open = noted[len(done) :]
        if len(self._open) > LIMIT:
            # A transaction stays open for long: a coarser cursor is an earlier one, and as safe.
            self._open = self._open[::2]
        if done:
            self.line = done[-1][1]


class NewLines:
    """Gives each line of the executions asked about once: in the look that first sees it."""

    def __init__(self) -> None:
        self._last: Moment | None = None
        self._marks: deque[tuple[float, int, int]] = deque()

    def take(self, executions: Collection[uuid.UUID], now: Moment) -> list[LogLine]:
        """Return lines that the last call's moment did not show, by id."""
        last, self._last = self._last, now
        if last is None or not executions:
            self._mark(now)
            return []
        rows = LogLine.objects.filter(execution__in=executions)
        if connection.vendor != "postgresql":
            return list(rows.filter(pk__gt=last.highest).order_by("pk"))
        floor = self._floor(last)
        self._mark(now)
        unseen = "NOT pg_visible_in_snapshot(txid, %s::pg_snapshot)"
        return list(rows.filter(pk__gt=floor).extra(where=[unseen], params=[last.snapshot]).order_by("pk"))

    def _mark(self, now: Moment) -> None:
        at = time.monotonic()
        if not self._marks or at - self._marks[-1][0] >= _MARK_EVERY:
            self._marks.append((at, now.next, now.highest))

    def _floor(self, last: Moment) -> int:
        """Return an id that every unseen line is above; it only bounds what the index has to read."""
        aged = time.monotonic() - _DRAWN_BEFORE_NUMBERED

        def passed(mark: tuple[float, int, int]) -> bool:
            # Whatever was open at the mark has ended since: who draws ids now began later.
            return mark[0] <= aged and mark[1] <= last.oldest

        while len(self._marks) > 1 and passed(self._marks[1]):
            self._marks.popleft()
        return self._marks[0][2] if self._marks and passed(self._marks[0]) else 0


def lines_after(execution: uuid.UUID, line: int) -> tuple[list[LogLine], bool]:
    """Return what follows `line` (the last LIMIT, by id), and whether that leaves no gap.

    Who comes with 0 has nothing that a gap could follow. A deleted line cannot be continued from.
    """
    rows: QuerySet[LogLine] = LogLine.objects.filter(execution=execution)
    if line == 0:
        return _last(rows)[0], True
    known = list(rows.filter(pk=line).values_list("txid", flat=True))
    if not known:
        return _last(rows)[0], False
    later = Q(pk__gt=line) if known[0] is None else Q(txid__gt=known[0]) | Q(txid=known[0], pk__gt=line)
    return _last(rows.filter(later))


def _last(rows: QuerySet[LogLine]) -> tuple[list[LogLine], bool]:
    found = list(rows.order_by("-pk")[: LIMIT + 1])
    return found[:LIMIT][::-1], len(found) <= LIMIT


def by_execution(lines: Iterable[LogLine]) -> dict[uuid.UUID, list[LogLine]]:
    """Return the lines of each execution, in the order given."""
    found: dict[uuid.UUID, list[LogLine]] = {}
    for line in lines:
        found.setdefault(line.execution_id, []).append(line)
    return found
