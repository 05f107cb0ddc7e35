"""Settling: record outcomes, decide what they release, and claim what runs next, in one transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import DEFAULT_DB_ALIAS, connections
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.line import lines_of
from orchestration.engine.states import Outcome
from orchestration.engine.verbs import fail_fast
from orchestration.engine.view import Key

from . import clock, lines, owed, sql
from .along import Along
from .claim import Claim
from .locked import (
    LIVE,
    Claimer,
    Locked,
    load_rows,
    lock,
    lock_statement,
    read_locked,
    read_rows,
    rows_statement,
)
from .outcomes import Settled, as_pairs, close, dependents, in_pairs, settle_one
from .parking import meet
from .sql import Statement
from .transaction import Transaction, transaction
from .versions import graph_of
from .wakeups import wake
from .write import guarded, note_ids, statements, write

SHARED = 1.0  # seconds for which an execution that others settle too is locked before it is read


@dataclass(slots=True)
class Report:
    """What became of a settle: rows claimed along, outcomes refused (an old fence) and left for another try."""

    claimed: list[Claim] = field(default_factory=list)
    refused: list[Settled] = field(default_factory=list)
    left: list[Settled] = field(default_factory=list)
    unfinished: list[uuid.UUID] = field(default_factory=list)
    looked: bool = False  # for more than the children of what was settled


def settle(
    outcomes: Sequence[Settled],
    claimer: Claimer | None = None,
    *,
    take: int = 0,
    keep: bool = False,
    look: bool = True,
    lost_too: bool = True,
    using: str = DEFAULT_DB_ALIAS,
) -> Report:
    """Settle the outcomes; with a claimer, claim up to `take` rows along.

    With `keep`, children released to this seat's lane and queue are born running to it, and without `look` others are
    claimed only where there is no such child. Outcomes of executions that somebody else has locked come back in `left`;
    the first execution is waited for.
    """
    connection, along = connections[using], Along(claimer, take, keep, look, lost_too)
    report = Report(along.claimed)
    rest = _settle_known(connection, outcomes, along)
    if rest:
        _settle_locked(connection, rest, along, report)
    report.looked = along.looked
    return report


def settle_alone(outcome: Settled, using: str = DEFAULT_DB_ALIAS) -> Report:
    """Settle one outcome and every wave that follows from it."""
    report = settle([outcome], using=using)
    for execution_id in report.unfinished:
        settle_waves(execution_id, using=using)
    return report


def settle_waves(execution_id: uuid.UUID, using: str = DEFAULT_DB_ALIAS) -> None:
    """Settle skips and upstream failures that earlier transactions left, ≤ 500 in each, until none is left.

    And cancel what is left of an execution that fails fast.
    """
    connection = connections[using]
    more = True
    while more:
        with django_transaction.atomic(using=using, savepoint=False):
            items = lock(connection, [execution_id], graph_of, brief=True)
            for item in items.values():
                rows = LIVE if item.stops else "n.verdict <> ''"
                condition = f"n.execution_id = %s AND {rows}"
                load_rows(connection, items, condition, [sql.key(connection, execution_id)])
                if item.stops:
                    item.timeout_at = None
                    item.run(fail_fast(item.view))
                close(connection, [item])
                if item.touched:
                    write(connection, [item])
                    wake(connection)
            more = any(item.unfinished for item in items.values())


# --- under the lock: two round trips ---------------------------------------------------------------


def _settle_locked(
    connection: BaseDatabaseWrapper, outcomes: Sequence[Settled], along: Along, report: Report
) -> None:
    with transaction(connection) as turn:
        items = _lock_and_load(turn, outcomes)
        report.left += [o for o in outcomes if o.claim.execution_id not in items]
        mine, parking = meet(turn, items, [o for o in outcomes if o.claim.execution_id in items])
        report.refused += [o for o in mine if not settle_one(items[o.claim.execution_id], o)]
        changed = [item for item in items.values() if item.touched or item.events]
        close(connection, changed)
        kept = along.keep_children(changed)
        writing = statements(connection, changed, along.claimer) if changed else []
        asked_at, more = time.monotonic(), parking.statements(connection)
        found = turn.finish([*writing, *more, *along.statements(connection, changed, kept)])
    if writing:
        note_ids(changed, found[len(writing) - 1])
    along.note(kept, found[len(writing) + len(more) :], asked_at)
    report.unfinished += [item.id for item in changed if item.unfinished]
    if any(owed.concerns(item) for item in changed):
        owed.soon(connection)
    for item in changed:
        item.forget()


def _lock_and_load(turn: Transaction, outcomes: Sequence[Settled]) -> dict[uuid.UUID, Locked]:
    """Wait for the first execution's lock; take others only where nobody holds them, so that no ring can form.

    Then read the settled rows, and those dependents that other predecessors may have made already.
    """
    first, *rest = dict.fromkeys(o.claim.execution_id for o in outcomes)
    locks = [lock_statement(turn.connection, [first], brief=True)]
    if rest:
        locks.append(lock_statement(turn.connection, rest, skip=True))
    # The time is asked for once the locks are there: a row's own columns were read before it was waited for.
    telling: Statement = (f"SELECT {clock.sql(turn.connection)}", [])
    asked_at = time.monotonic()
    found = turn.run([*locks, telling, *_reading(turn.connection, outcomes)])
    locked, [[(now,)], *read] = found[: len(locks)], found[len(locks) :]
    items = {id: item for rows in locked for id, item in read_locked(rows, graph_of).items()}
    for rows in read:
        read_rows(items, rows)
    for item in items.values():
        item.now = clock.read(now)
        item.note_time(asked_at)
    return items


def _reading(connection: BaseDatabaseWrapper, outcomes: Sequence[Settled]) -> list[Statement]:
    """Return what reads the rows. They are running or pending: nobody else claims them."""
    condition, ids = sql.one_of(connection, "n.id", [o.claim.run_id for o in outcomes], "bigint")
    reading = [rows_statement(connection, condition, [ids], keep=False)]
    settled = ((graph_of(o.claim.version_id), o.claim.execution_id, o.result.key) for o in outcomes)
    if pairs := dependents(settled):
        about = as_pairs(connection, pairs)
        # A statement of its own: joined by OR, neither half would use its index.
        reading.append(rows_statement(connection, in_pairs(connection), [about], keep=False))
    return [*reading, *lines.reading(connection, ((o.claim, o.result.key) for o in outcomes))]


# --- by what is known: one round trip --------------------------------------------------------------


def _settle_known(
    connection: BaseDatabaseWrapper, outcomes: Sequence[Settled], along: Along
) -> Sequence[Settled]:
    """Settle by what was known at the claim, in one statement; return the outcomes for which that will not do.

    Whatever `decide` reads changes with a line in the log only. So an execution whose log is as long as it was is as
    it was, and nothing has to be read again: the statement checks the length as it takes the lock.
    """
    items = _known(outcomes, along) if sql.is_postgres(connection) else {}
    if not items:
        return outcomes
    changed = list(items.values())
    for item in changed:
        item.catch_up()
    if not all(settle_one(items[o.claim.execution_id], o) for o in outcomes) or any(
        i.unfinished for i in changed
    ):
        return outcomes  # what they know is spent; the lock will tell
    close(connection, changed)
    if any(owed.concerns(item) for item in changed):
        return outcomes  # deliveries are written under the lock
    kept, asked_at = along.keep_children(changed), time.monotonic()
    found, *more = sql.run(
        connection,
        [guarded(connection, changed, along.claimer), *along.statements(connection, changed, kept)],
    )
    won = {row[1] for row in found if row[0] is None}
    note_ids(changed, found)
    along.note(kept, more, asked_at, won)
    for item in changed:
        if item.id in won:
            item.forget()
            item.spent = False
        elif along.claimer is not None:
            along.claimer.shared[item.id] = time.monotonic() + SHARED
    return [o for o in outcomes if o.claim.execution_id not in won]


def _known(outcomes: Sequence[Settled], along: Along) -> dict[uuid.UUID, Locked]:
    """Return the executions as the claims know them, or nothing when one is not known well enough.

    They count as spent until what they decide has been written.
    """
    items: dict[uuid.UUID, Locked] = {}
    now = time.monotonic()
    for outcome in outcomes:
        item, id = outcome.claim.known, outcome.claim.execution_id
        first = items.setdefault(id, item) if item is not None else None
        if outcome.result.outcome is Outcome.SUSPENDED:
            return {}  # what it waits for may be there already
        if first is None or item is None or along.claimer is None or first.seq != item.seq or item.spent:
            return {}
        if along.claimer.is_shared(id, now) or not _knows_dependents(item, outcome.result.key):
            return {}
        if first is not item:
            first.view.rows.update(item.view.rows)
            first.times.update(item.times)
    for outcome in outcomes:
        if outcome.claim.known is not None:
            outcome.claim.known.spent = True
    return items


def _knows_dependents(item: Locked, key: Key) -> bool:
    """Say whether each dependent that may have a row is known; whom a rescuer serves, and who stands in line, is read
    under the lock.
    """
    if key.for_node or any(lines_of(item.graph, key)):
        return False
    return all(Key(node) in item.view.rows for _, node in dependents([(item.graph, item.id, key)]))
