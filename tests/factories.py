"""Rows as the product writes them: executions are started, claimed and settled through the store.

`play` is a worker that computes nothing: it claims what is ready, lets each body "take" its scripted time on a
clock that jumps, and settles.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.engine.builder import Workflow
from orchestration.engine.codec import dump_payload
from orchestration.engine.decide import Result
from orchestration.engine.parking import Wait
from orchestration.engine.states import Outcome
from orchestration.models import Artifact, Execution, NodeRun, WorkerNode
from orchestration.store import clock, versions
from orchestration.store.claim import Claim, claim
from orchestration.store.leases import Line, begun, report_progress, write_lines
from orchestration.store.locked import Claimer
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle_alone
from orchestration.store.start import Order, start
from security.principals import EVIDENCE
from security.roles import ADMIN

LEASE = 3600.0
CARRIERS = "9E AA AS B6 DL EV F9 FL HA MQ OO UA US VX WN YV".split()


def nothing(ctx: Any) -> None:
    """Be the body of nodes that nobody runs."""


@dataclass(frozen=True)
class Act:
    """What a node's body will do, attempt by attempt when there are several."""

    seconds: float = 1.0
    result: Any = None
    error: tuple[str, str] | None = None
    lines: Sequence[tuple[str, str]] = ()  # level, message
    progress: tuple[float, str] | None = None
    files: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)  # name -> content type, bytes
    blocked: str = ""
    waits: Sequence[Wait] = ()


Script = Mapping[str, Act | Sequence[Act]]


def person(name: str = "alice", *, staff: bool = True) -> User:
    """Make a person who logs in with the password "wonderland"; of the staff, one who may do everything."""
    user = User.objects.create_user(name, password="wonderland", is_staff=staff)
    if staff:
        user.groups.add(Group.objects.get(name=ADMIN))
    return user


def verify(client: Client) -> TOTPDevice:
    """Let a second factor of the person who is logged in have answered just now; return it."""
    session = client.session
    user = User.objects.get(pk=session["_auth_user_id"])
    device = TOTPDevice.objects.get_or_create(user=user, name="phone", confirmed=True)[0]
    session[EVIDENCE] = {"device": device.persistent_id, "at": timezone.now().isoformat()}
    session["otp_device_id"] = device.persistent_id
    session.save()
    return device


def make_workflow(
    name: str = "etl", edges: Mapping[str, Sequence[str]] | None = None, **options: Any
) -> Workflow:
    """Build a workflow of empty bodies from {node: its dependencies}."""
    retries = options.pop("retries", {})
    builder = WorkflowBuilder(name, **options)
    for node, parents in (edges or {"extract": (), "transform": ["extract"], "load": ["transform"]}).items():
        policy = RetryPolicy(max_attempts=retries[node]) if node in retries else None
        builder.add_node(node, nothing, depends_on=parents, retry=policy)
    return builder.build()


def flight_delays(carriers: Sequence[str] = CARRIERS) -> Workflow:
    """Build the shape of the sample: read, a node per carrier and the weather, join, report."""
    middle = [f"carrier-{code}" for code in carriers]
    edges: dict[str, Sequence[str]] = {"read": (), **{key: ["read"] for key in [*middle, "weather"]}}
    edges |= {"join": [*middle, "weather"], "report": ["join"]}
    about = "How late New York flew: 27,004 departures of January 2013, by carrier, hour and weather."
    return make_workflow(
        "flight-delays", edges, description=about, tags=["demo"], output="report", retries={"read": 3}
    )


@contextmanager
def at(seconds_from_now: float) -> Iterator[None]:
    """Let everything that the store does happen then: its clock and the times in new ids."""
    moved = time.time_ns() + int(seconds_from_now * 1e9)
    with clock.ahead(seconds_from_now), mock.patch("time.time_ns", return_value=moved):
        yield


def start_execution(
    workflow: Workflow, by: User | None = None, input: Any = None, *, ago: float = 0.0, **options: Any
) -> Execution:
    """Start an execution, `ago` seconds ago."""
    name = by.get_username() if by else "shell:root"
    acts_for = {"kind": "user" if by else "system", "id": str(by.pk if by else name), "name": name}
    order = Order(dump_payload(input or {}, "input", 10**7), acts_for, name, by.pk if by else None, **options)
    with at(-ago):
        started = start(versions.version_of(workflow), [order])
    return Execution.objects.select_related("workflow", "version").get(pk=started[0].id)


def park(workflow: Workflow, *waits: Wait, node: str = "work", ago: float = 5.0, **options: Any) -> Execution:
    """Start an execution, and let its node wait for these."""
    execution = start_execution(workflow, ago=ago, **options)
    return play(execution, {node: Act(seconds=0.1, waits=waits)})


def worker_node(name: str = "worker-1", *, slots: int = 4, ago: float = 1.0, **options: Any) -> WorkerNode:
    """Make a worker node that was last heard of `ago` seconds ago."""
    now = timezone.now()
    told: dict[str, Any] = {
        "host": "saturn",
        "pid": 4711,
        "queues": ["default"],
        "version": "0.1.0",
        **options,
    }
    heard = now - dt.timedelta(seconds=ago)
    return WorkerNode.objects.create(
        name=name, slots=slots, started_at=heard - dt.timedelta(hours=5), heartbeat_at=heard, **told
    )


def play(
    execution: Execution,
    script: Script | None = None,
    *,
    seats: int = 4,
    worker: WorkerNode | None = None,
    until: float | None = None,
    gap: float = 0.02,
) -> Execution:
    """Run the execution by its script, from when it was started; stop after `until` seconds, leaving work in hand."""
    stage = _Stage(execution, script or {}, seats, worker, gap)
    stage.run(until)
    execution.refresh_from_db()
    return execution


class _Stage:
    def __init__(
        self, execution: Execution, script: Script, seats: int, worker: WorkerNode | None, gap: float
    ) -> None:
        self.execution, self.script, self.seats, self.gap = execution, script, seats, gap
        self.worker = worker.pk if worker else uuid.uuid4()
        self.begin = (execution.created_at - timezone.now()).total_seconds()
        self.busy: list[tuple[float, int, Claim, Act, float]] = []

    def run(self, until: float | None) -> None:
        now = self.gap
        while True:
            self._fill(now)
            wakes = [self.busy[0][0]] if self.busy else self._delays(now)
            if not wakes or (until is not None and min(wakes) > until):
                break
            now = max(now, min(wakes)) + 0.001
            while self.busy and self.busy[0][0] <= now:
                ends, _number, held, act, _began = heapq.heappop(self.busy)
                self._end(held, act, ends)
            now += self.gap
        for _ends, _number, held, act, began in self.busy:
            self._show(held, act, began, until or now)

    def _fill(self, now: float) -> None:
        with at(self.begin + now):
            claimer = Claimer(self.worker, 4711, ("default",), "sync", LEASE)
            free = self.seats - len(self.busy)
            for held in claim(claimer, free) if free else ():
                if held.execution_id == self.execution.pk:
                    act = self._act(held)
                    heapq.heappush(self.busy, (now + act.seconds, held.run_id, held, act, now))

    def _delays(self, now: float) -> list[float]:
        rows = NodeRun.objects.filter(execution=self.execution, status="ready", held=False, superseded=False)
        due = [
            (at_ - timezone.now()).total_seconds() - self.begin
            for at_ in rows.values_list("available_at", flat=True)
        ]
        return [max(now, moment) for moment in due]

    def _act(self, held: Claim) -> Act:
        scripted = self.script.get(held.key.node) or next(
            (
                act
                for node, act in self.script.items()
                if node.endswith("*") and held.key.node.startswith(node[:-1])
            ),
            Act(),
        )
        if isinstance(scripted, Act):
            return scripted
        return scripted[min(held.attempt, len(scripted)) - 1]

    def _end(self, held: Claim, act: Act, ends: float) -> None:
        with at(self.begin + ends):
            self._log(held, act, ends)
            result, error, outcome = act.result, None, Outcome.SUCCEEDED
            if act.waits:
                outcome = Outcome.SUSPENDED
            elif act.blocked:
                outcome, error = (
                    Outcome.BLOCKED,
                    {"type": "UnknownTask", "types": ["UnknownTask"], "message": act.blocked},
                )
            elif act.error:
                outcome, error = Outcome.FAILED, _error(act.error, held.key.node)
            for name, (content_type, data) in act.files.items():
                result = keep_artifact(self.execution, held.key.node, name, data, content_type)
            text = dump_payload(result, "result", 10**7) if outcome is Outcome.SUCCEEDED else None
            about = Result(
                held.key,
                outcome,
                text,
                error,
                duration=round(act.seconds * 1000, 1),
                queued=held.queued,
                worker="worker-1",
                waits=tuple(act.waits),
            )
            settle_alone(Settled(held, about))

    def _show(self, held: Claim, act: Act, began: float, now: float) -> None:
        with at(self.begin + now):
            begun(held, now - began, "worker-1")
            self._log(held, act, now)
            if act.progress:
                fraction, text = act.progress
                report_progress(held, {"fraction": fraction, "text": text, "at": clock.now().isoformat()})

    def _log(self, held: Claim, act: Act, ends: float) -> None:
        levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
        first = clock.now() - dt.timedelta(seconds=act.seconds * 0.8)
        step = dt.timedelta(seconds=act.seconds * 0.8 / max(1, len(act.lines)))
        lines = [
            Line(n, first + n * step, levels[level], text) for n, (level, text) in enumerate(act.lines, 1)
        ]
        if lines:
            write_lines(held, lines)


def _error(told: tuple[str, str], node: str) -> dict[str, Any]:
    kind, message = told
    traceback = (
        "Traceback (most recent call last):\n"
        f'  File "/srv/flows/workflows.py", line 84, in {node.replace("-", "_")}\n'
        "    rows = [parse(line) for line in table]\n"
        f'  File "/srv/flows/rows.py", line 31, in parse\n    raise {kind}(…)\n{kind}: {message}\n'
    )
    return {"type": kind, "types": [kind, "Exception"], "message": message, "traceback": traceback}


def keep_artifact(
    execution: Execution, node: str, name: str, data: bytes, content_type: str
) -> dict[str, Any]:
    """Keep a file as a node's artifact and return the reference to it."""
    run = NodeRun.objects.get(execution=execution, node=node, superseded=False)
    path = default_storage.save(f"artifacts/{execution.pk}/{uuid.uuid4()}", ContentFile(data))
    kept = Artifact.objects.create(
        execution=execution,
        node_run=run,
        node=node,
        attempt=max(1, run.attempt),
        name=name,
        content_type=content_type,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
        created_at=clock.now(),
    )
    reference = {"artifact": str(kept.pk), "name": name, "content_type": content_type}
    return {**reference, "size": kept.size, "sha256": kept.sha256}
