"""The lane of sync bodies: one by one in the process's main thread, claimed in batches while they are short."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections

from orchestration.engine.states import Outcome
from orchestration.store import sql
from orchestration.store.settle import settle_waves

from . import bodies
from .context import Context
from .heartbeat import flush
from .lanes import Lane
from .seat import Held, Seat
from .transactional import Run

MOST = 32  # rows in one batch
_AT_A_GOOD_PLACE = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SKIPPED, Outcome.SUSPENDED, Outcome.RELEASED)
TARGET = 0.02  # seconds of work that a batch may hold


def _left_open() -> bool:
    """Say whether a body left a transaction open: our settle must not become part of it."""
    ours = connections[DEFAULT_DB_ALIAS]
    return ours.in_atomic_block or (ours.connection is not None and not ours.autocommit)


def _reconnect() -> None:
    """Begin anew: a body that was interrupted may have been in the middle of a word with the database."""
    for each in connections.all(initialized_only=True):
        each.close()
    with connection.wrap_database_errors:  # the lane knows Django's errors, not psycopg's
        connection.connect()  # clears what Django remembers of an open transaction


class SyncLane(Lane):
    """Runs sync bodies, one after the other, in the process's main thread."""

    name = "sync"

    def __init__(self, seat: Seat, stop_fds: Sequence[int], grace: float) -> None:
        super().__init__(seat, stop_fds, grace)
        self._typical: float | None = None  # seconds a body takes, smoothed
        self._first_finished = 0.0

    def room(self) -> int:
        if self._typical is None:
            return max(0, 1 - len(self.pending))
        return max(0, min(MOST, int(TARGET / max(self._typical, 1e-6)) or 1) - len(self.pending))

    def turn(self) -> None:
        if self.seat.stopping.is_set():
            self.hand_back_pending()
        try:
            held = self.pending.popleft()
        except IndexError:
            self._settle_or_wait()
            return
        if self.is_stale(held):
            self.hand_back(held)
        else:
            self._run(held)
        if not self.pending or len(self.finished) >= MOST or time.monotonic() - self._first_finished > TARGET:
            self.settle_finished()

    def _settle_or_wait(self) -> None:
        if self.finished:
            self.settle_finished()
        else:
            self.wait()

    def _run(self, held: Held) -> None:
        if not self.finished:
            self._first_finished = time.monotonic()
        try:
            found = self.prepare(held)
        except (DatabaseError, InterfaceError):
            self.pending.appendleft(held)
            raise
        if found is None:
            return
        graph, spec, body = found
        if spec.transactional and spec.items is not None and held.claim.key.index < 0:
            spec = replace(spec, transactional=False)  # of a map, each item is: not the body that finds them
        ctx = Context(held, graph, spec)
        if spec.transactional:
            self._run_alone(Run(held, spec, ctx, self.seat.label, self._note_writing), body)
            return
        held.begun_at = began = time.monotonic()
        outcome, value = bodies.run_sync(held, spec, body, ctx)
        ended = time.monotonic()
        self._typical = (
            ended - began if self._typical is None else 0.7 * self._typical + 0.3 * (ended - began)
        )
        self.conclude(held, spec, ctx, outcome, value, ended)
        self.tidy(outcome)

    def _run_alone(self, run: Run, body: Callable[..., Any]) -> None:
        """Run a transactional body, and settle it with what it writes and nothing else."""
        held = run.held
        try:
            self.settle_finished(more=False)  # what ended before must not wait for it
            run.go(body)
        except (DatabaseError, InterfaceError):
            if held.begun_at is None:
                self.pending.appendleft(held)
            else:  # perhaps it is committed: then this is refused
                self.hand_back(held)
            raise
        finally:
            self.seat.writing = False
        if run.settled:
            self.seat.drop(held)
            flush(held)
            for execution_id in run.unfinished:
                settle_waves(execution_id)
        elif run.instead is not None:
            self.finished.append((held, run.instead, run.ended))
        else:
            self.conclude(held, run.spec, run.ctx, run.outcome, run.value, run.ended)
        self.tidy(run.outcome)

    def _note_writing(self) -> None:
        self.seat.writing = not sql.is_postgres(connection)

    def tidy(self, outcome: Outcome) -> None:
        """Leave the connections fit for use after a body that ended like this."""
        if outcome not in _AT_A_GOOD_PLACE or _left_open():
            _reconnect()

    def relieve(self) -> None:
        """Settle what finished before a slow body and hand back what waits behind it; the heartbeat calls this."""
        self.hand_back_pending()
        self.settle_finished(more=False)
