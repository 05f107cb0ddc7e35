"""A body whose own writes and whose end are one transaction: all of it commits, once, or nothing does.

The settle is the transaction's last statement. It takes the execution's lock and looks at the fence; where the claim is
ours no longer, what the body wrote is rolled back with it. A process that dies before the commit has written
nothing, and one that dies after it has settled.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import (
    DataError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
    connection,
    transaction,
)

from orchestration.engine.decide import Result
from orchestration.engine.errors import TransactionBroken
from orchestration.engine.graph import NodeSpec
from orchestration.engine.states import Outcome
from orchestration.store import sql, wire
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle

from . import bodies
from .context import Context
from .seat import Held

# What the database says of the body's writes; what else it says is about itself, and the body may run again.
_REFUSED = (DataError, IntegrityError, InternalError, ProgrammingError, NotSupportedError)


class _RollBack(Exception):
    """Leave the transaction without a trace."""


@dataclass(slots=True)
class Run:
    """One run of a transactional body, and what came of it."""

    held: Held
    spec: NodeSpec
    ctx: Context
    label: str
    begun: Callable[[], None]  # called once the transaction has begun, which may have been waited for
    outcome: Outcome = Outcome.RELEASED
    value: Any = None
    ended: float = 0.0
    settled: bool = False
    instead: Result | None = None  # what to settle in the place of a success that was rolled back
    unfinished: list[uuid.UUID] = field(default_factory=list)  # executions with more to settle
    _committed: bool = False

    def go(self, body: Callable[[Any], Any]) -> None:
        """Run the body and settle it. Raises DatabaseError and InterfaceError when nobody knows how that ended."""
        try:
            with transaction.atomic():
                self.begun()
                transaction.on_commit(self._note_commit)
                self._run(body)
                if self.outcome is not Outcome.SUCCEEDED or not self._settle():
                    raise _RollBack
            self.settled = True
        except _RollBack:
            pass
        except Exception as error:
            if not self._committed and not isinstance(error, _REFUSED):
                raise
            if not self._committed:
                self.outcome, self.value = Outcome.FAILED, error
                return
            # Of a function that the body gave to on_commit: what the body did stands.
            self.settled = True
            self.ctx.log.error("A function given to on_commit failed.", exc_info=error)

    def _run(self, body: Callable[[Any], Any]) -> None:
        self.held.begun_at = time.monotonic()
        self.outcome, self.value = bodies.run_sync(self.held, self.spec, body, self.ctx)
        self.ended = time.monotonic()
        if connection.connection is not None and sql.is_postgres(connection):
            wire.cancel(connection.connection)  # a statement that the body was interrupted in
        if self.outcome is Outcome.SUCCEEDED and (how := _broken()):
            self.outcome, self.value = Outcome.FAILED, TransactionBroken(how=how)

    def result(self) -> Result:
        """Return what is to be settled."""
        took = self.ended - (self.held.begun_at or self.ended)
        return bodies.to_result(self.held, self.spec, self.ctx, self.outcome, self.value, took, self.label)

    def _settle(self) -> bool:
        """Settle what succeeded, in its transaction; False where that is to be rolled back."""
        result = self.result()
        if result.outcome is not Outcome.SUCCEEDED:
            self.instead = result
        if result.outcome is not Outcome.SUCCEEDED or self.held.gone:
            return False
        if sql.is_postgres(connection):
            connection.check_constraints()  # now: waiting for a row comes before the execution's lock
        report = settle([Settled(self.held.claim, result, time.monotonic() - self.ended)])
        self.unfinished = report.unfinished
        self.held.gone = self.held.gone or bool(report.refused)
        if report.left:
            self.instead = Result(self.held.claim.key, Outcome.RELEASED)
        return not report.refused and not report.left

    def _note_commit(self) -> None:
        self._committed = True


def _broken() -> str:
    """Return how the body has ended the transaction that it ran in, "" when it is whole."""
    driver = connection.connection
    if driver is None or connection.closed_in_transaction:
        return "it closed its connection."
    if not sql.is_postgres(connection):
        return "" if driver.in_transaction else _ENDED
    status = driver.info.transaction_status
    if status == psycopg.pq.TransactionStatus.INERROR:
        return (
            "the database refused a statement. Catch that outside of an atomic() block around the statement."
        )
    return "" if status == psycopg.pq.TransactionStatus.INTRANS else _ENDED


_ENDED = "it committed or rolled back by itself."
