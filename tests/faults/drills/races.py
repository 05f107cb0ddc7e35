"""Two acts on one execution at the same moment, over two real connections: one wins, and there is one legal end."""

from __future__ import annotations

import uuid
from collections import Counter
from functools import partial
from typing import Any

from orchestration import executor
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import IllegalMove
from orchestration.engine.states import Outcome
from orchestration.models import Execution, NodeRun
from orchestration.store.claim import Claim, claim
from orchestration.store.locked import Claimer
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle
from security.principals import Principal
from tests.cluster import events
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
    """Of a node that needs attention, or that failed in an execution that has ended: which it opens, once."""
    workflow, generation = trial.chance.choice([(workflows.undecided, 1), (workflows.skippable, 2)])
    id = _failed(trial, workflow)
    decide = partial(executor.attend, id, "work", reopen=generation > 1)
    said = together(
        partial(decide, "supply", principal=ALICE, result="given"), partial(decide, "skip", principal=BOB)
    )
    won = _won(said)
    trial.check(won is not None, f"{id}: {said}")
    trial.expected[id] = "succeeded"
    found = (nodes(id)["work"], Execution.objects.values_list("generation", flat=True).get(pk=id))
    trial.check(found == (("recovered", "skipped")[won or 0], generation), f"{id}: work is {found}")


@drill("one person retries a failed execution, another skips what failed", times=1000, short=60, fed=False)
def retry_against_skip(trial: Trial) -> None:
    """One opens it, once. The skip may come second: what has been retried and has not begun can be skipped."""
    id = _failed(trial, workflows.skippable)
    skip = partial(executor.attend, id, "work", "skip", principal=ALICE, reopen=True)
    skipped, retried = together(skip, partial(executor.retry, id, principal=BOB))
    first = [event["data"]["by"] for event in events(id, "execution.reopened")]
    legal = {"alice": skipped is None and isinstance(retried, IllegalMove), "bob": retried is skipped is None}
    trial.check(len(first) == 1 and legal.get(first[0], False), f"{id}: {skipped!r}, {retried!r}, {first}")
    execution = Execution.objects.get(pk=id)
    found = (execution.status, execution.generation, nodes(id)["work"])
    trial.check(found == ("succeeded", 2, "skipped"), f"{id} is {found}")


@drill(
    "a fork of a running execution against its settles and its completion", times=1000, short=60, fed=False
)
def fork_against_completion(trial: Trial) -> None:
    id = trial.begin(workflows.forked)
    for _ in range(trial.chance.randrange(3)):
        settle(_results(_claimed(2)))
    acts = [partial(settle, [one]) for one in _results(_claimed(2))]
    child, *settled = together(partial(executor.fork, id, "d", principal=ALICE), *acts)
    if not isinstance(child, uuid.UUID) or any(isinstance(each, Exception) for each in settled):
        trial.check(False, f"{id}: {child!r}, {settled}")
        return
    trial.expect(child, workflows.forked)
    trial.check(_kept(child) == _committed_before(id, child), f"{child} of {id} kept {_kept(child)}")
    while claims := _claimed(8):
        settle(_results(claims))
    trial.check(
        status(id) == status(child) == "succeeded", f"{id} is {status(id)}, its fork {child} {status(child)}"
    )
    trial.check(_told(id) == _ALONE, f"{id}, which was forked, tells {_told(id)}")


# What a log of "f-forked" tells, and how often, whether or not it is forked.
_ALONE: Counter[tuple[str, str | None]] = Counter(
    [("execution.started", None), ("execution.completed", None)]
    + [(type, node) for type in ("node.ready", "node.started", "node.completed") for node in "abcd"]
)


def _told(id: uuid.UUID) -> Counter[tuple[str, str | None]]:
    return Counter((event["type"], event["node"]) for event in events(id))


def _results(claims: list[Claim]) -> list[Settled]:
    """Settle each with a result that no other has."""
    return [each for one in claims for each in done([one], result=f'"{one.key.node} of {one.execution_id}"')]


def _kept(child: uuid.UUID) -> dict[str, Any]:
    copied = {event["node"] for event in events(child, "node.completed") if event["data"].get("copied")}
    rows = NodeRun.objects.filter(execution=child, node__in=copied)
    return dict(rows.values_list("node", "result"))


def _committed_before(id: uuid.UUID, child: uuid.UUID) -> dict[str, str]:
    """Return what the source had of a, b and c when the fork had its lock: both logs have the times under that."""
    (started,) = events(child, "execution.started")
    before = [
        e["node"] for e in events(id, "node.completed") if e["node"] != "d" and e["at"] <= started["at"]
    ]
    return {node: f"{node} of {id}" for node in before}


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
