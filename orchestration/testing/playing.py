"""`run`: a workflow in a test, from its start to its end, with a clock that jumps over every wait."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import connection

from orchestration import executor, queries, registry
from orchestration.engine.builder import Workflow, is_async
from orchestration.engine.errors import InvalidOption
from orchestration.engine.graph import suggest
from orchestration.engine.states import EXECUTION_TERMINAL, ExecutionStatus
from orchestration.models import NodeRun
from orchestration.runner.sweep import sweep
from orchestration.store import clock, versions
from orchestration.store.sql import execute, key
from security.principals import Principal

from .broadcasts import let_events_start, may_still_start, send_all, start_by
from .due import next_for_the_sweep, next_ready
from .result import Snapshot, snapshot
from .secrets import given
from .stage import alarm_kept, check_place, registered
from .worker import Bodies, Body, Worker, keep_open

LIMIT = 10_000
HAIR = 0.001  # seconds past a due time, so that it is over by any clock

Until = str | Callable[[Snapshot], object] | None
Signal = tuple[str, Any] | str
Signals = Iterable[Signal]
Events = Iterable[Signal]
NodeName = str | tuple[str, str]  # of the workflow, or (another workflow, its node)


class NeverEnds(AssertionError):
    """The execution was still going on after more steps than a test should take."""


@dataclass(frozen=True, eq=False, repr=False)
class Result(Snapshot):
    """What a run came to. It can go on from there."""

    _play: Play = field(kw_only=True)

    def go_on(self, *, signals: Signals = (), events: Events = (), until: Until = None) -> Result:
        """Send the signals and events and go on to the end (or until then); return what it came to.

        Raises what `run` raises.
        """
        return self._play.go_on(signals, events, until)

    @property
    def principal(self) -> Principal:
        """Return for whom it was started."""
        return self._play.principal

    @contextlib.contextmanager
    def now(self) -> Iterator[None]:
        """Let what is done in this block happen at the run's time, which may be far ahead: verbs of the executor."""
        with self._play.on_stage():
            yield


def run(
    workflow: Workflow | str,
    *,
    input: Any = None,
    signals: Signals = (),
    event: Signal | None = None,
    events: Events = (),
    principal: Principal | AbstractUser | None = None,
    until: Until = None,
    bodies: Mapping[NodeName, Body] | None = None,
    workflows: Iterable[Workflow] = (),
    queues: Iterable[str] | None = None,
    limit: int = LIMIT,
    secrets: Mapping[str, str] | None = None,
    **options: Any,
) -> Result:
    """Run the workflow to its end, in this process and thread, and return what it came to.

    It is started by `executor.start` for `principal` (default: the system), with `options` (priority, tags, labels,
    idempotency_key). Waits take no time. `until` stops early: at the id of a node that has ended, at an execution's
    status, or where a function of what there is says so. `bodies` stand in for those of some nodes, which for a child's
    are named by (workflow, node). `workflows` are further ones that it may start, and what it starts runs to its end
    too, by an event as well. With an `event`, (name, data), that starts it instead; `events` are sent as soon as it has
    started. `queues` are those served (default: every one). `secrets` are the ones that there are, by name, in place of
    this installation's. Raises NeverEnds after `limit` steps, AssertionError where the event starts nothing,
    InvalidOption, and what `executor.start` raises.
    """
    play = Play(workflow, principal, bodies, queues, limit, workflows, secrets)
    return play.start(input, signals, until, options, event, events)


class Play:
    """One run: its clock, its workflow and whom it acts for."""

    def __init__(
        self,
        workflow: Workflow | str,
        principal: Principal | AbstractUser | None,
        bodies: Mapping[NodeName, Body] | None,
        queues: Iterable[str] | None,
        limit: int,
        workflows: Iterable[Workflow] = (),
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.secrets = secrets
        self.workflow = registry.require(workflow) if isinstance(workflow, str) else workflow
        self.principal = _principal(principal)
        self.others = list(workflows)
        self.listening = [each for each in (self.workflow, *self.others) if each.triggers]
        self.bodies = _stand_ins([self.workflow, *self.others], bodies or {})
        served = set(queues) if queues is not None else _all_queues([self.workflow, *self.others])
        self.queues = sorted(served)
        self.limit = limit
        self.offset = 0.0
        self.id = uuid.UUID(int=0)  # of no execution
        self._quiet = 0.0  # seconds for which the database has nothing to do
        self._hanging: list[str] = []  # nodes whose bodies wait for what never comes
        self._staged = False
        self._moves: contextlib.ExitStack
        self._worker: Worker

    def start(
        self,
        input: Any,
        signals: Signals,
        until: Until,
        options: Mapping[str, Any],
        event: Signal | None,
        events: Events,
    ) -> Result:
        reached = self._condition(until)
        with self.on_stage():
            let_events_start(self.listening, self.principal)
            if event is None:
                self.begin(input, **options)
            else:
                self.id = start_by(self.workflow, event)
            self.send(signals)
            send_all(events)
            self.go(reached)
            return self.result()

    def go_on(self, signals: Signals, events: Events, until: Until) -> Result:
        reached = self._condition(until)
        with self.on_stage():
            self.send(signals)
            send_all(events)
            self.go(reached)
            return self.result()

    # --- the parts of it ---

    def prepare(self) -> None:
        """Write the workflow's version, as a deployment does."""
        versions.version_of(self.workflow)
        versions.forget_versions()

    def forget(self) -> None:
        """Forget what a process that died knew."""
        versions.forget_versions()

    @contextlib.contextmanager
    def on_stage(self) -> Iterator[None]:
        """Make the workflow known, and the clock the run's. Once: a block inside of another changes nothing."""
        if self._staged:
            yield
            return
        check_place()
        with alarm_kept(), contextlib.ExitStack() as self._moves:
            for workflow in [self.workflow, *self.others]:
                self._moves.enter_context(registered(workflow))
            self._moves.enter_context(given(self.secrets))
            self._moves.enter_context(clock.ahead(self.offset))
            # The rows of a test before are gone, and their numbers come again; so do ours.
            self._moves.callback(versions.forget_versions)
            versions.forget_versions()
            self._staged = True
            try:
                yield
            finally:
                self._staged = False

    def begin(self, input: Any, **options: Any) -> None:
        self.id = executor.start(self.workflow, input, principal=self.principal, **options)

    def send(self, signals: Signals, ids: Iterator[str] | None = None) -> None:
        """Send the signals; `ids`, where they are given, make each accepted once however often it is sent."""
        for each in signals:
            name, payload = (each, None) if isinstance(each, str) else each
            id = next(ids) if ids is not None else None
            executor.send_signal(self.id, name, payload, principal=self.principal, id=id)

    def go(self, reached: Callable[[], bool] | None = None) -> None:
        """Work and let time pass until the execution has ended, is where it was to be, or can not go on."""
        self._worker = Worker(self.queues, self.bodies, along=reached is None)
        self._quiet, self._hanging = 0.0, []
        with contextlib.closing(self._worker):
            self._go(reached or (lambda: False))
            self._worker.stop()
        keep_open()

    def _go(self, reached: Callable[[], bool]) -> None:
        for _ in range(self.limit):
            if self._is_over() or reached():
                return
            if self._worker.work():
                self._quiet = 0.0
            elif not self._pass_time():
                self._hanging = [one.claim.key.node for one in self._worker.seat.held()]
                return
        raise NeverEnds(self._still_going())

    def _pass_time(self) -> bool:
        """Do what the sweep does, and jump to what is due next; say whether anything may have changed."""
        loop, timer = self._worker.other.clock, self._worker.other.timer
        is_busy = bool(self._worker.other.active) and loop.is_busy
        if timer is not None and timer < self._quiet and not is_busy:
            self._jump(timer)  # the database has nothing to do until then
            return True
        before = self._lines()
        sweep()
        ready = next_ready(lane.claimer for lane in self._worker.lanes)
        if self._lines() != before or (ready == 0 and self._worker.seat.empty):
            return True
        if is_busy:
            loop.wait(timer)
            return True
        held = [one.claim.run_id for one in self._worker.seat.held()]
        coming = [ready or None, next_for_the_sweep(held), self._worker.beat.silence()]
        self._quiet = min((each for each in coming if each is not None), default=math.inf)
        due = min(self._quiet, timer if timer is not None else math.inf)
        if due == math.inf:
            return False
        self._jump(max(0.0, due))
        return True

    def _jump(self, seconds: float) -> None:
        seconds += HAIR
        self._quiet -= seconds
        self.offset += seconds
        self._moves.enter_context(clock.ahead(seconds))
        self._worker.skip(seconds)

    def result(self) -> Result:
        return Result(**self._fields(), _play=self)

    def _fields(self) -> dict[str, Any]:
        fields = snapshot(self.id, self.queues)
        fields["waits"] += [
            f"“{node}”: its body awaits something that never comes." for node in self._hanging
        ]
        return fields

    # --- looking ---

    def _status(self) -> str:
        return str(self._look("status")[0])

    def _is_over(self) -> bool:
        """Say whether it has ended, and all that it has started."""
        status, children = self._look("status, children")
        if status not in EXECUTION_TERMINAL:
            return False
        if self.listening and may_still_start():
            return False
        return not children or queries.unfinished_below(self.id) == 0

    def _lines(self) -> int:
        """Return how much all logs say, those of what was started too."""
        return int(execute(connection, "SELECT sum(seq) FROM orchestration_execution", [])[0][0])

    def _look(self, columns: str) -> Any:
        # Asked at each step: what the ORM adds to it would be a tenth of a run.
        text = f"SELECT {columns} FROM orchestration_execution WHERE id = %s"  # noqa: S608 - columns of ours
        return execute(connection, text, [key(connection, self.id)])[0]

    def _condition(self, until: Until) -> Callable[[], bool] | None:
        if until is None:
            return None
        if not isinstance(until, str):
            return lambda: bool(until(Snapshot(**self._fields())))
        if until in self.workflow.graph.nodes:
            return lambda: self._has_ended(until)
        if until in set(ExecutionStatus):
            return lambda: self._status() == until
        expected = f"a function, a node or a status. {suggest(until, self.workflow.graph.nodes)}"
        raise InvalidOption(option="until", value=until, expected=expected)

    def _has_ended(self, node: str) -> bool:
        rows = NodeRun.objects.filter(execution=self.id, node=node, index=-1, superseded=False)
        return rows.filter(finished_at__isnull=False).exists()

    def _still_going(self) -> str:
        passed = round(self.offset)
        return (
            f"The execution has not ended after {self.limit:,} steps, {passed:,} s later by its clock. Give `limit`"
            f" if it needs more.\n{Snapshot(**self._fields())}"
        )


def _principal(given: Principal | AbstractUser | None) -> Principal:
    if given is None:
        return Principal.system("test")
    return given if isinstance(given, Principal) else Principal.for_user(given)


def _stand_ins(workflows: Sequence[Workflow], bodies: Mapping[NodeName, Body]) -> Bodies:
    known = {each.name: each for each in workflows}
    found: dict[tuple[str, str], Body] = {}
    for asked, body in bodies.items():
        name, node = (workflows[0].name, asked) if isinstance(asked, str) else asked
        workflow = known.get(name) or registry.require(name)
        if node not in workflow.graph.nodes:
            expected = f"nodes of the workflow. {suggest(node, workflow.graph.nodes)}"
            raise InvalidOption(option="bodies", value=node, expected=expected)
        is_sync = workflow.graph.nodes[node].lane == "sync"
        if not callable(body) or (is_sync and is_async(body)):
            expected = "a function of ctx" + (" that is not async, as its own body is not" if is_sync else "")
            raise InvalidOption(option=f'the body for node "{node}"', value=body, expected=expected)
        found[workflow.name, node] = body
    return found


def _all_queues(workflows: Sequence[Workflow]) -> set[str]:
    known: Sequence[Workflow] = [*workflows, *registry.all().values()]
    return {spec.queue for each in known for spec in each.graph.nodes.values()}
