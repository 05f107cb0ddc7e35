"""Signals against what may happen at the same moment, over two real connections: none is lost, none is read twice."""

from __future__ import annotations

import uuid
from functools import partial

from orchestration import executor
from orchestration.engine.errors import IllegalMove
from orchestration.engine.parking import Wait
from orchestration.engine.states import Outcome
from orchestration.models import JournalEntry, Signal
from orchestration.models import Wait as WaitRow
from orchestration.store.claim import Claim, claim
from orchestration.store.locked import Claimer
from orchestration.store.settle import settle
from tests.cluster import events
from tests.faults import workflows
from tests.faults.crew import Trial
from tests.orchestration.store_helpers import done, nodes, status, together

from . import drill
from .races import ALICE

GO = Wait("go#1", "signal", "go")


@drill("a signal against the completion of its execution", times=1000, short=60, fed=False)
def signal_against_completion(trial: Trial) -> None:
    """Accepted, it is in the log before the end, which says that nobody has read it; refused, it left nothing."""
    id = trial.begin(workflows.signalled)
    send = partial(executor.send_signal, id, "go", 7, principal=ALICE)
    sent, settled = together(send, partial(settle, done(_claimed())))
    legal = sent is None or isinstance(sent, IllegalMove)
    trial.check(legal and not isinstance(settled, Exception), f"{id}: {sent!r}, {settled!r}")
    trial.check(status(id) == "succeeded", f"{id} is {status(id)}")
    told = [event["type"] for event in events(id) if event["type"].startswith(("signal", "execution.comp"))]
    wanted = ["signal.received", "execution.completed", "signal.unconsumed"]
    trial.check(
        told == (wanted if sent is None else wanted[1:2]), f"{id}: {sent!r}, and its log tells {told}"
    )
    kept = Signal.objects.filter(execution=id, consumed_at=None).count()
    trial.check(kept == (sent is None), f"{id}: {sent!r}, and {kept} signals are kept")


@drill("a signal against the wait for it", times=1000, short=60, fed=False)
def signal_against_wait(trial: Trial) -> None:
    """Whoever comes first, the body goes on with the signal: once, and nothing waits any more."""
    id = trial.begin(workflows.signalled)
    parks = partial(settle, done(_claimed(), Outcome.SUSPENDED, waits=(GO,)))
    sent, settled = together(partial(executor.send_signal, id, "go", 7, principal=ALICE), parks)
    trial.check(sent is None and not isinstance(settled, Exception), f"{id}: {sent!r}, {settled!r}")
    trial.check(nodes(id) == {"work": "ready"}, f"{id}: {nodes(id)}")
    given = JournalEntry.objects.filter(node_run__execution=id, kind="signal")
    journal = list(given.values_list("key", "value"))
    trial.check(journal == [("go#1", 7)], f"{id}: its journal is {journal}")
    left = WaitRow.objects.filter(execution=id).count(), _unread(id)
    trial.check(left == (0, 0), f"{id}: waits and unread signals are {left}")
    again = _claimed()
    trial.check([each.parked for each in again] == [1], f"{id}: {again}")
    settle(done(again))


def _unread(id: uuid.UUID) -> int:
    return Signal.objects.filter(execution=id, consumed_at=None).count()


def _claimed() -> list[Claim]:
    return claim(Claimer(uuid.uuid4(), 0, (workflows.RACE,), "sync", 30.0), 1)
