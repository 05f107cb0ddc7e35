"""Two acts on one execution at the same moment, over two real connections: one wins, and there is one legal end."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from orchestration import executor
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import IllegalMove
from orchestration.engine.states import Outcome
from orchestration.models import Execution
from orchestration.store.claim import Claim, claim
from orchestration.store.locked import Claimer
from orchestration.store.settle import settle
from security.principals import Principal
from tests.faults import workflows
from tests.faults.crew import Trial
from tests.orchestration.store_helpers import done, nodes, status, together

from . import drill

ALICE, BOB = Principal.system("alice"), Principal.system("bob")


@drill("a cancel against a completion", times=1000, short=200, fed=False)
def cancel_against_completion(trial: Trial) -> None:
    id = trial.begin(workflows.raced)
    cancel = partial(executor.cancel, id, principal=ALICE)
    cancelled, settled = together(cancel, partial(settle, done(_claimed())))
    trial.expected[id] = "cancelled" if cancelled is None else "succeeded"
    legal = cancelled is None or isinstance(cancelled, IllegalMove)
    trial.check(legal and not isinstance(settled, Exception), f"{id}: {cancelled!r}, {settled!r}")
    trial.check(status(id) == trial.expected[id], f"{id} is {status(id)}, not {trial.expected[id]}")


@drill("two people retry one failed execution", times=1000, short=60, fed=False)
def retry_against_retry(trial: Trial) -> None:
    id = _failed(trial, workflows.raced)
    said = together(*(partial(executor.retry, id, principal=who) for who in (ALICE, BOB)))
    trial.check(_won(said) is not None, f"{id}: {said}")
    generation = Execution.objects.values_list("generation", flat=True).get(pk=id)
    trial.check(generation == 2, f"{id} is in generation {generation}")
    again = _claimed(2)
    trial.check(len(again) == 1, f"{len(again)} nodes of {id} can run")
    settle(done(again))


@drill("two people decide about one node, differently", times=1000, short=60, fed=False)
def attend_against_attend(trial: Trial) -> None:
    id = _failed(trial, workflows.undecided)
    decide = partial(executor.attend, id, "work")
    said = together(
        partial(decide, "supply", principal=ALICE, result="given"), partial(decide, "fail", principal=BOB)
    )
    won = _won(said)
    trial.check(won is not None, f"{id}: {said}")
    trial.expected[id], wanted = (("succeeded", "recovered"), ("failed", "failed"))[won or 0]
    trial.check(nodes(id)["work"] == wanted, f"{id}: work is {nodes(id)['work']}, not {wanted}")


def _claimed(limit: int = 1) -> list[Claim]:
    return claim(Claimer(uuid.uuid4(), 0, (workflows.RACE,), "sync", 30.0), limit)


def _failed(trial: Trial, workflow: Workflow) -> uuid.UUID:
    id = trial.begin(workflow)
    settle(done(_claimed(), Outcome.FAILED))
    return id


def _won(said: list[Any]) -> int | None:
    """Return the place of the one that won, when the other was told so (409)."""
    lost = [isinstance(each, IllegalMove) for each in said]
    return lost.index(False) if sum(lost) == 1 and said[lost.index(False)] is None else None
