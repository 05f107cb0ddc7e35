"""The heartbeat thread of a worker process: leases, begun marks, progress and log lines, cancellation, timeouts."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection

from orchestration.engine.decide import Result
from orchestration.engine.errors import HeartbeatTimeout, NodeTimeout
from orchestration.engine.states import Outcome
from orchestration.store import leases
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle_alone

from . import bodies
from .seat import Held, Seat

log = logging.getLogger(__name__)

TICK = 0.1
TELL_AFTER = 0.2  # seconds after which a body that runs is written as started
LOOK_EVERY = 1.0  # seconds between looks for cancellation
MARGIN = 3.0  # seconds before the lease's end at which a body that cannot be renewed is stopped
_flushing = threading.Lock()


def flush(held: Held) -> None:
    """Write the lines and the progress that have gathered (the heartbeat does, and the lane before a settle)."""
    if not held.lines and held.progress is None:
        return
    with _flushing:
        lines, progress = held.lines[:], held.progress
        if lines:
            leases.write_lines(held.claim, lines)
            # Removed only once written: a database that is away loses no line.
            del held.lines[: len(lines)]
        if progress is not None:
            leases.report_progress(held.claim, progress)
            if held.progress is progress:
                held.progress = None


class Heartbeat(threading.Thread):
    """Beats while the seat holds claims, sleeps while it holds none."""

    def __init__(self, seat: Seat, relieve: Callable[[], object], grace: float) -> None:
        super().__init__(name="igon7-heartbeat", daemon=True)
        self.seat = seat
        self.grace = grace
        self.ended = threading.Event()
        self._relieve = relieve
        self._looked_at = 0.0
        self._stop_at: float | None = None

    def run(self) -> None:
        while not self.ended.is_set():
            # Timed only so that an end without a beat is noticed; an idle seat costs one wake-up in this time.
            if not self.seat.busy.wait(2.0):
                continue
            self._beat_once()
            self.ended.wait(TICK)
        connection.close()

    def _beat_once(self) -> None:
        held = self.seat.held()
        now = time.monotonic()
        if not self.seat.writing:  # else we would wait for the body, which we are to watch over
            self._write(held, now)
        self._stop_unrenewed(held, now)
        self._enforce_timeouts(held, now)
        self._enforce_stop(held, now)

    def _write(self, held: list[Held], now: float) -> None:
        try:
            # Leases first: nothing that goes wrong below may cost them.
            self._renew(held, now)
            self._look(held, now)
            self._tell(held, now)
            for one in held:
                flush(one)
        except (DatabaseError, InterfaceError) as error:
            log.warning("The heartbeat could not reach the database: %s", str(error).strip())
            connection.close()
        except Exception:
            log.exception("A beat failed; the next one tries again.")

    def _tell(self, held: list[Held], now: float) -> None:
        slow = [one for one in held if one.is_in_body and now - (one.begun_at or now) > TELL_AFTER]
        if any(one.lane == "sync" for one in slow):
            self._relieve()
        for one in slow:
            if one.begun_at is not None and not one.told:
                first = bodies.began(one)
                leases.begun(one.claim, time.monotonic() - one.begun_at, self.seat.label, first)
                one.told = True

    def _renew(self, held: list[Held], now: float) -> None:
        due = [one for one in held if now - one.renewed_at > self.seat.lease / 3]
        if not due:
            return
        ours = leases.renew([one.claim for one in due], self.seat.lease)
        for one in due:
            if one.claim.run_id in ours:
                one.renewed_at = now
            else:
                self._lose(one)

    def _look(self, held: list[Held], now: float) -> None:
        running = [one for one in held if one.begun_at is not None]
        if not running or now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        statuses = leases.look([one.claim for one in running])
        for one in running:
            status = statuses.get(one.claim.run_id)
            if status is None:
                self._lose(one)
            elif status == "cancelling":
                one.cancelled = True

    def _lose(self, one: Held) -> None:
        """Stop a body whose claim is no longer ours. (A claim that has just been settled is not held any more.)"""
        if one in self.seat.held() and not one.gone:
            one.gone = True
            _interrupt(one)

    def _stop_unrenewed(self, held: list[Held], now: float) -> None:
        for one in held:
            if now - one.renewed_at > self.seat.lease - min(MARGIN, self.seat.lease / 3) and not one.gone:
                log.warning(
                    "The lease of node %s could not be renewed; its body is stopped.", one.claim.key.node
                )
                one.gone = True
                _interrupt(one)

    def _enforce_timeouts(self, held: list[Held], now: float) -> None:
        for one in held:
            silent = one.silence is not None and now - one.said_at > one.silence
            if silent and one.is_in_body and one.late is None and not one.gone:
                one.late = HeartbeatTimeout(timeout=one.silence)
                _interrupt(one)
            if one.is_in_body and one.kill_at is not None and now > one.kill_at:
                self._die_for(one)

    def _die_for(self, one: Held) -> None:
        """Settle what a body was that would not be stopped, and take the process down with it."""
        try:
            if self.seat.writing:
                pass  # it would be waited for; the sentinel sees us die, and who takes over settles
            elif not one.gone:
                settle_alone(Settled(one.claim, self._timed_out(one)))
            elif one.released:
                settle_alone(Settled(one.claim, Result(one.claim.key, Outcome.RELEASED)))
        finally:
            node, pid = one.claim.key.node, os.getpid()
            log.error("Node %s ignored that it was to stop; its process %d is killed.", node, pid)
            os.kill(pid, signal.SIGKILL)

    def _timed_out(self, one: Held) -> Result:
        limit = (one.kill_at or 0.0) - bodies.GRACE - (one.begun_at or 0.0)
        error = bodies.describe(one.late or NodeTimeout(timeout=round(limit, 3)))
        took = (time.monotonic() - (one.begun_at or 0.0)) * 1000
        return Result(one.claim.key, Outcome.TIMED_OUT, error=error, duration=took, worker=self.seat.label)

    def _enforce_stop(self, held: list[Held], now: float) -> None:
        """After a stop, bodies may finish for `grace` seconds; then they are interrupted and handed back."""
        if not self.seat.stopping.is_set():
            return
        self._stop_at = self._stop_at or now + self.grace
        if now < self._stop_at:
            return
        for one in held:
            if one.begun_at is not None and not one.gone:
                one.released = one.gone = True
                _interrupt(one)


def _interrupt(one: Held) -> None:
    interrupt = one.interrupt
    if interrupt is not None:
        # Whoever catches what interrupts it gets so long to end all the same.
        one.kill_at = time.monotonic() + bodies.GRACE
        interrupt()
