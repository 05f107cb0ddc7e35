"""What a worker takes along with a settle, so that it need not ask again: released children, and other ready rows."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration.engine.decide import ALONE_AFTER
from orchestration.engine.states import NodeStatus
from orchestration.engine.view import Key

from . import wakeups
from .claim import Claim, claim_statement, read_claims
from .locked import Claimer, Locked
from .sql import Rows, Statement

Kept = list[tuple[Locked, Key]]


@dataclass(slots=True)
class Along:
    """Up to `take` rows for the claimer, released children before others where `keep`.

    Others are looked for with `look`, or when there is no child to keep.
    """

    claimer: Claimer | None = None
    take: int = 0
    keep: bool = False
    look: bool = True
    lost_too: bool = True
    claimed: list[Claim] = field(default_factory=list)
    asked: bool = False  # the statements claim
    looked: bool = False  # such statements were sent

    def keep_children(self, items: Sequence[Locked]) -> Kept:
        """Let released children be born running to the seat, as far as it may run them and has room."""
        room = self.take - len(self.claimed) if self.keep else 0
        fitting = ((item, key) for item in items for key in item.ready if self._fits(item, key))
        kept = list(islice(fitting, max(0, room)))
        for item, key in kept:
            row, times = item.view.rows[key], item.times[key]
            row.status = NodeStatus.RUNNING
            row.attempt += 1
            times.fence, times.claimed, times.alone = times.fence + 1, True, False
            times.started_at = None  # claimed, and not begun
        return kept

    def _fits(self, item: Locked, key: Key) -> bool:
        """Say whether the seat may run the row now, in company."""
        if self.claimer is None:
            return False
        row, spec = item.view.rows[key], item.graph.nodes[key.node]
        here = spec.lane == self.claimer.lane and (item.queue or spec.queue) in self.claimer.queues
        return here and not row.held and not row.delay and row.losses < ALONE_AFTER

    def statements(
        self, connection: BaseDatabaseWrapper, items: Sequence[Locked], kept: Kept
    ) -> list[Statement]:
        """Return what claims for the room that is left, and what wakes idle workers where they may be needed."""
        room = self.take - len(self.claimed) - len(kept)
        found = []
        self.asked = room > 0 and (self.look or not kept)
        if self.claimer is not None and self.asked:
            alone = self.lost_too and not kept and not self.claimed
            found.append(claim_statement(connection, self.claimer, room, lost_too=alone))
        released = [(item, key) for item in items for key in item.ready]
        ours = sum(self._fits(item, key) for item, key in released)
        # What is due later, or not ours to run, is news for others in any case.
        if ours < len(released) or ours > len(kept) + (room if self.asked else 0):
            lanes = {item.graph.nodes[key.node].lane for item, key in released}
            found += wakeups.statements(connection, lanes)
        return found

    def note(
        self, kept: Kept, rows: Sequence[Rows], asked_at: float, won: set[uuid.UUID] | None = None
    ) -> None:
        """Take the claims: what was kept (of the executions that were won), and what the statements found."""
        self.claimed += [_kept(item, key) for item, key in kept if won is None or item.id in won]
        self.looked |= self.asked
        if self.claimer is not None and self.asked:
            self.claimed += read_claims(rows[0], asked_at)


def _kept(item: Locked, key: Key) -> Claim:
    row, times = item.view.rows[key], item.times[key]
    assert times.id is not None
    left = (times.deadline_at - item.now).total_seconds() if times.deadline_at is not None else None
    return Claim(
        times.id,
        item.id,
        item.version_id,
        key,
        row.attempt,
        times.fence,
        row.losses,
        queued=0.0,
        left=left,
        parked=times.parked,
        known=item,
    )
