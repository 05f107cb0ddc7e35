"""Children against what may happen at the same moment, over two real connections: no end is lost, or told twice."""

from __future__ import annotations

import uuid
from functools import partial

from orchestration import executor
from orchestration.engine.parking import Wait
from orchestration.engine.states import Outcome
from orchestration.executor.children import Wanted
from orchestration.models import Delivery, Execution, JournalEntry
from orchestration.store import deliveries
from orchestration.store.claim import Claim, claim
from orchestration.store.locked import Claimer
from orchestration.store.settle import settle
from tests.faults import workflows
from tests.faults.crew import Trial
from tests.orchestration.store_helpers import done, nodes, status, together

from . import drill
from .races import ALICE

KEY = "f-awaited#1"
WAIT = Wait(KEY, "child", "f-awaited", count=2)


@drill("the ends of two children against the parking of their parent", times=1000, short=40, fed=False)
def children_against_parking(trial: Trial) -> None:
    """Whoever comes last, the parent goes on: once, and nothing is owed any more."""
    id = trial.begin(workflows.awaiting)
    [parent] = _claimed()
    ids = _start(parent, 2)
    one, two = _claimed(), _claimed()
    parks = partial(settle, done([parent], Outcome.SUSPENDED, waits=(WAIT,)))
    results = together(partial(settle, done(one)), partial(settle, done(two)), parks)
    trial.check(not any(isinstance(each, Exception) for each in results), f"{id}: {results}")
    deliveries.bring_left_over()
    trial.check(nodes(id) == {"work": "ready"}, f"{id}: {nodes(id)}")
    told = JournalEntry.objects.filter(node_run__execution=id, kind="child")
    journal = list(told.values_list("key", "came"))
    trial.check(journal == [(KEY, "value")], f"{id}: its journal is {journal}")
    trial.check(not Delivery.objects.filter(target=id).exists(), f"{id} is owed something")
    trial.check({status(each) for each in ids} == {"succeeded"}, f"{id}: {ids}")
    settle(done(_claimed()))


@drill("the start of a child against the end of its parent", times=500, short=30, fed=False)
def child_against_termination(trial: Trial) -> None:
    """A child that was started ends with its parent; one that was not left nothing."""
    id = trial.begin(workflows.awaiting)
    trial.expected[id] = "terminated"
    [parent] = _claimed()
    results = together(partial(_start, parent, 1), partial(executor.terminate, id, principal=ALICE))
    trial.check(not any(isinstance(each, Exception) for each in results), f"{id}: {results}")
    deliveries.bring_left_over()
    left = Execution.objects.filter(parent=id).exclude(status="cancelled")
    trial.check(not left.exists(), f"{id}: {list(left.values_list('pk', 'status'))}")


def _start(parent: Claim, count: int) -> list[uuid.UUID]:
    wanted: Wanted = [(workflows.awaited, {}) for _ in range(count)]
    said = executor.start_children(
        parent, KEY, "child", "f-awaited", wanted, on_close="cancel", principal=ALICE
    )
    return list(said[0].values()) if said is not None else []


def _claimed() -> list[Claim]:
    return claim(Claimer(uuid.uuid4(), 0, (workflows.RACE,), "sync", 30.0), 1)
