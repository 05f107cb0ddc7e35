"""A lane: one connection and one claim–run–settle loop. A worker process has two, for sync and for async bodies."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from orchestration.engine.decide import Result
from orchestration.engine.errors import UnknownTask
from orchestration.engine.graph import Graph, NodeSpec
from orchestration.engine.states import Outcome
from orchestration.registry import body_of
from orchestration.store import journal
from orchestration.store.claim import Claim, Due, claim, next_due
from orchestration.store.locked import Claimer
from orchestration.store.outcomes import Settled
from orchestration.store.settle import Report, settle, settle_waves
from orchestration.store.versions import graph_of

from . import bodies, guarded, maps
from .caching import cached
from .context import Context
from .heartbeat import flush
from .maps import finding
from .seat import Held, Seat
from .waiter import Waiter

log = logging.getLogger(__name__)

IDLE = 5.0  # seconds between looks when no wake-up comes
GATHER = 200  # outcomes that one transaction settles
PARTING = 3.0  # seconds past its grace that a stopping lane tries to settle while the database is away
STREAK = 0.1  # seconds that children may be kept along before others get their turn
BRIEFLY = 0.005  # seconds until the next look for what is due, and was not to be had
HUNGER = 0.02  # seconds without another look after one that found nothing more


Finished = tuple[Held, Result, float]  # with the monotonic time at which the body ended


class Lane:
    """What both lanes do: claim, settle, wait, and live through a database that is away."""

    name = ""

    def __init__(self, seat: Seat, stop_fds: Sequence[int], grace: float) -> None:
        self.seat = seat
        self.grace = grace
        self.waiter = Waiter(self.name, stop_fds)
        self.pending: deque[Held] = deque()
        self.finished: deque[Finished] = deque()
        self.claimer = Claimer(seat.worker, seat.pid, seat.queues, self.name, seat.lease)
        self._backoff = 0.1
        self._give_up_at: float | None = None
        self._streak_began = 0.0
        self._fed_at = 0.0
        self._dry = False  # the last settle looked for more, and there was nothing at all
        self._due = Due()  # what the last look told

    def loop(self) -> None:
        """Work until the seat stops; errors of the database are waited out, results are kept meanwhile."""
        while not self.seat.stopping.is_set() or not self.over():
            try:
                self.turn()
                self._backoff = 0.1
            except (DatabaseError, InterfaceError) as error:
                self._recover(error)

    def over(self) -> bool:
        """Say whether nothing is in hand any more."""
        return not self.pending and not self.finished

    def turn(self) -> None:
        raise NotImplementedError

    def room(self) -> int:
        """Return how many more rows this lane wants now."""
        raise NotImplementedError

    def _recover(self, error: Exception) -> None:
        log.warning("The database is away (%s); trying again in %.1f s.", str(error).strip(), self._backoff)
        connection.close()
        if not self.seat.stopping.wait(self._backoff):
            self._backoff = min(self._backoff * 2, 2.0)
            return
        # Stopping: what cannot be settled any more is left to its lease, whose end another cluster sees.
        now = time.monotonic()
        self._give_up_at = self._give_up_at or now + self.grace + PARTING
        if now > self._give_up_at:
            self.abandon()
        time.sleep(0.1)

    def abandon(self) -> None:
        """Forget what is in hand; its leases end by themselves."""
        self.pending.clear()
        self.finished.clear()

    # --- claiming and settling ---------------------------------------------------------------------

    def claim_more(self) -> bool:
        """Claim what there is room for; say whether something came."""
        with self.seat.claiming:
            room = self._room()
            if not room:
                return False
            asked = time.monotonic()
            claims = claim(self.claimer, room, lost_too=self.seat.empty, due=self._due)
            self._take(claims, asked)
        return bool(claims)

    def _room(self) -> int:
        return 0 if self.seat.stopping.is_set() or self.seat.solo else self.room()

    def _take(self, claims: list[Claim], asked: float) -> None:
        if claims:
            self.pending.extend(self.seat.take(claims, self.name, asked))

    def settle_finished(self, *, more: bool = True) -> None:
        """Settle what has finished, claiming `more` along; what could not be settled stays in `finished`."""
        batch = self._gather()
        if not batch:
            return
        try:
            self._settle(batch, more)
        except (DataError, IntegrityError):
            self._settle_apart(deque(batch))
        except BaseException:
            self.finished.extendleft(reversed(batch))
            raise

    def _settle_apart(self, batch: deque[Finished]) -> None:
        """Find the outcome that the database refuses, and settle it as a failure that says so."""
        try:
            while batch:
                try:
                    self._settle([batch[0]], more=False)
                except (DataError, IntegrityError) as refused:
                    held, result, ended = batch[0]
                    log.exception("The database refused the outcome of %s.", _name(held.claim))
                    error = bodies.describe(refused)
                    failed = replace(result, outcome=Outcome.FAILED, result=None, error=error, asked=False)
                    self._settle([(held, failed, ended)], more=False)
                batch.popleft()
        finally:
            self.finished.extendleft(reversed(batch))

    def _gather(self) -> list[Finished]:
        batch: list[Finished] = []
        with contextlib.suppress(IndexError):  # the heartbeat may gather at the same time
            while len(batch) < GATHER:
                batch.append(self.finished.popleft())
        return batch

    def _settle(self, batch: list[Finished], more: bool) -> None:
        for held, _, _ in batch:
            flush(held)
        with self.seat.claiming:
            asked = time.monotonic()
            report = self._settle_and_claim(batch, more)
            self._take(report.claimed, asked)
        left = {outcome.claim.run_id for outcome in report.left}
        for entry in reversed(batch):
            if entry[0].claim.run_id in left:
                self.finished.appendleft(entry)
        for outcome in report.refused:
            log.warning(
                "A late result of %s was refused: it has been taken over or ended.", _name(outcome.claim)
            )
        for execution_id in report.unfinished:
            settle_waves(execution_id)

    def _settle_and_claim(self, batch: list[Finished], more: bool) -> Report:
        now = time.monotonic()
        # Children are kept along for a while; then whoever is more urgent gets a turn.
        keep = now - self._streak_began < STREAK
        if not keep:
            self._streak_began = now
        room = self._room() if more else 0
        # Whoever keeps nothing along looks for what is most urgent: else another worker would be woken for it.
        look = not keep or now - self._fed_at > HUNGER or not any(map(_is_followed, batch))
        outcomes = [Settled(held.claim, result, now - ended) for held, result, ended in batch]
        # Under load a seat is only ever empty here, between two batches: a row once lost gets its turn now.
        empties = len(self.seat.held()) == len(batch)
        report = settle(outcomes, self.claimer, take=room, keep=keep, look=look, lost_too=empties)
        if report.looked and len(report.claimed) < room:
            self._fed_at = now
        self._dry = report.looked and empties and not report.claimed
        left = {outcome.claim.run_id for outcome in report.left}
        for held, _, _ in batch:
            if held.claim.run_id not in left:
                self.seat.drop(held)
        return report

    def wait(self) -> None:
        """Claim what there is, or wait until there may be something to do."""
        listened, dry = self.waiter.prepare(), self._dry
        self._dry = False
        if self.seat.stopping.is_set() or self.finished:
            return
        # What has come since the last settle, which found nothing, has been heard of.
        if listened and dry:
            self._due.seconds = next_due(self.claimer)
        elif self.claim_more():
            return
        limit = IDLE
        if self._room():
            limit = min(IDLE, self._due.seconds if self._due.seconds is not None else IDLE)
        elif self.seat.solo:
            limit = 0.2
        # What is due and was not to be had is another's by now, or locked, or was once lost and not for a seat that
        # holds others: do not spin on it.
        self.waiter.wait(max(limit, BRIEFLY if self.seat.empty else 0.05))

    def prepare(self, held: Held) -> tuple[Graph, NodeSpec, Callable[..., Any]] | None:
        """Find the claim's body; without one, the outcome is *blocked*, with the sentence that says why."""
        graph = graph_of(held.claim.version_id)
        try:
            own = finding if held.claim.key.index < 0 else None
            spec, body = body_of(graph, held.claim.key.node, cached, finding=own)
        except UnknownTask as error:
            about = {
                "type": "UnknownTask",
                "types": ["UnknownTask"],
                "code": error.code,
                "message": str(error),
            }
            self.finished.append(
                (held, Result(held.claim.key, Outcome.BLOCKED, error=about), time.monotonic())
            )
            return None
        if held.claim.parked and held.journal is None:
            self._read_journals(held)
        if spec.permissions is not None and self._is_denied(held, graph, spec):
            return None
        if held.claim.key.index >= 0 and held.item is None:
            near = [each for each in [held, *self.pending] if each.claim.key.index >= 0]
            maps.read([(each, graph_of(each.claim.version_id)) for each in near])
        return graph, spec, body

    def _is_denied(self, held: Held, graph: Graph, spec: NodeSpec) -> bool:
        result = guarded.instead(held, graph.name, spec, self.seat.label)
        if result is not None:
            self.finished.append((held, result, time.monotonic()))
        return result is not None

    def _read_journals(self, held: Held) -> None:
        """Read what this body's durable calls gave, and what those of the bodies did that come next."""
        also = [each for each in [held, *self.pending] if each.claim.parked and each.journal is None]
        found = journal.read([each.claim.run_id for each in also])
        for each in also:
            each.journal = found[each.claim.run_id]

    def conclude(
        self, held: Held, spec: NodeSpec, ctx: Context, outcome: Outcome, value: Any, ended: float
    ) -> None:
        """Note what a body's end means: a result to settle, a claim to hand back, or nothing any more."""
        if held.released:
            self.hand_back(held)
        elif held.gone:
            self.drop(held)
        else:
            took = ended - (held.begun_at or ended)
            result = bodies.to_result(held, spec, ctx, outcome, value, took, self.seat.label)
            self.finished.append((held, result, ended))

    def hand_back(self, held: Held) -> None:
        """Give a claim back unbegun (or interrupted, at a stop), for somebody else to run."""
        self.finished.append((held, Result(held.claim.key, Outcome.RELEASED), time.monotonic()))

    def hand_back_pending(self) -> None:
        """Give back everything that has not begun."""
        with contextlib.suppress(IndexError):
            while True:
                self.hand_back(self.pending.pop())

    def drop(self, held: Held) -> None:
        """Forget a claim that is ours no longer, and whatever its body gave."""
        log.warning("A late result of %s was dropped: it has been taken over or ended.", _name(held.claim))
        self.seat.drop(held)

    def is_stale(self, held: Held) -> bool:
        """Say whether the claim must not begin: its lease is over, as after a long stop of this process."""
        return held.gone or time.monotonic() - held.renewed_at > self.seat.lease


def _is_followed(finished: Finished) -> bool:
    """Say whether the node's end may release others: where it cannot, looking for more now saves asking apart."""
    claim = finished[0].claim
    return bool(graph_of(claim.version_id).children[claim.key.node])


def _name(claim: Claim) -> str:
    return f'node "{claim.key}" of execution {claim.execution_id} (attempt {claim.attempt})'
