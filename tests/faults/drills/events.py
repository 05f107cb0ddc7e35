"""kill -9 of who sends an event to many: each of them is given it once, and what it starts is started once."""

from __future__ import annotations

import threading
import uuid

from orchestration import executor
from orchestration.models import Event, Execution, NodeRun, Receipt
from tests.cluster import ME, events, wait_until
from tests.faults import workflows
from tests.faults.crew import Trial

from . import drill

LISTENERS = 12


@drill("kill -9 of a worker, an event accepted and not delivered", times=20, short=2, fed=False)
def kill_emitted(trial: Trial) -> None:
    _tell(trial, "emitted")


@drill("kill -9 of a worker, an event delivered and not noted as such", times=20, short=2, fed=False)
def kill_delivered(trial: Trial) -> None:
    _tell(trial, "given")


def _tell(trial: Trial, moment: str) -> None:
    """Let a worker die at that moment of an event for many who wait, and one workflow that it starts."""
    executor.enable_trigger(workflows.roused.name, "f-told", principal=ME)
    gate = trial.crew.folder / f"gate-{uuid.uuid4()}"
    about = {"round": gate.name, "gate": str(gate)}
    listening = [trial.begin(workflows.hearing, about) for _ in range(LISTENERS)]
    waiting = NodeRun.objects.filter(execution__in=listening, status="waiting")
    wait_until(lambda: waiting.count() == LISTENERS, what="all wait")
    trial.begin(workflows.announcing, about)
    opening = threading.Timer(0.3, gate.touch)
    with trial.fault():
        opening.start()
        trial.spring(moment)
    wait_until(lambda: not waiting.exists(), 40.0, "nobody waits any more")
    _judge(trial, gate.name, listening)


def _judge(trial: Trial, round: str, listening: list[uuid.UUID]) -> None:
    trial.await_idle()
    sent = [
        each for each in Event.objects.filter(name="f-told").order_by("pk") if each.data["round"] == round
    ]
    trial.check(len(sent) == 1, f"{len(sent)} events were kept of one that was emitted")
    wait_until(lambda: not Event.objects.filter(delivered_at=None).exists(), what="all is delivered")
    given = Receipt.objects.filter(event=sent[0])
    woken = set(given.filter(outcome="woke").values_list("execution", flat=True))
    trial.check(woken == set(listening), f"{len(woken)} of {LISTENERS} were given it")
    trial.check(given.filter(outcome="woke").count() == LISTENERS, "somebody has two receipts")
    for id in listening:
        told = len(events(id, "event.received"))
        trial.check(told == 1, f"{id} was given the event {told} times")
    started = list(given.filter(outcome="started").values_list("execution", flat=True))
    trial.check(len(started) == 1, f"it started {started}")
    for id in started:
        trial.expect(id, workflows.roused)
    wait_until(
        lambda: not Execution.objects.filter(pk__in=started, finished_at=None).exists(), what="it ends"
    )
