"""A crew is what lasts from drill to drill: clusters, traps, the ledger. A trial is one drill run with it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connection

from igon7site.setup.postgres import Server
from orchestration import executor
from orchestration.engine.builder import Workflow
from orchestration.engine.states import EXECUTION_LIVE
from orchestration.models import Execution, NodeRun
from orchestration.store import clock
from tests.cluster import LEASE, ME, Cluster, events, wait_until
from tests.ledger import Entry, Ledger

from . import traps, workflows
from .evidence import Evidence, Runnable
from .payments import PAYMENTS, payments
from .proxy import Proxy
from .table import Count

T = TypeVar("T")
WORKERS = 2
LOAD = 8  # executions that are open at once while a trial feeds: a backlog well below a second of work
OURS = ("worker process failed", "keeper's round failed", "A beat failed", "lane for async bodies failed")


def steadfast(ask: Callable[[], T], within: float = 60.0) -> T:
    """Return what `ask` returns, trying again while the database is away. `ask` may run more than once."""
    deadline = time.monotonic() + within
    while True:
        try:
            return ask()
        except (DatabaseError, InterfaceError):
            connection.close()
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def state_of(pid: int) -> str:
    """Return the kernel's letter for what the process does (T: stopped), X when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def is_dead(pid: int) -> bool:
    return state_of(pid) in "ZX"


class Crew:
    """Clusters on one database. `server` and `disk` are there where a drill may stop or fill them."""

    def __init__(self, folder: Path, server: Server | None = None, disk: Path | None = None) -> None:
        self.folder, self.server, self.disk = folder, server, disk
        self.ledger = Ledger(folder / "ledger")
        self.traps = folder / "traps"
        self.traps.mkdir()
        self.payments = folder / "payments"
        self.payments.mkdir()
        self.clusters: list[Cluster] = []
        self.proxy: Proxy | None = None
        self._odd: set[int] = set()  # clusters that one drill alone wanted as they are

    @property
    def cluster(self) -> Cluster:
        """The cluster that every drill finds."""
        return self.clusters[0]

    def start(self, **environment: str) -> Cluster:
        """Start one more cluster and return once it is ready."""
        made = Cluster(self.folder, WORKERS, **self.about(), **environment)
        self.clusters.append(made)
        if environment:
            self._odd.add(made.pid)
        made.wait_until_ready()
        return made

    def about(self) -> dict[str, str]:
        """Return what every process of a crew finds in its environment."""
        return {
            "IGON7_WORKFLOWS": workflows.__name__,
            traps.TRAPS: str(self.traps),
            PAYMENTS: str(self.payments),
            "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # async bodies look into the database where they begin
        }

    def hide_behind_proxy(self, chance: random.Random) -> None:
        """Put a cluster that reaches PostgreSQL through a proxy in the place of the one that is there."""
        assert self.server is not None
        for cluster in [*self.clusters]:
            self.dismiss(cluster)
        self.proxy = Proxy(str(self.server.home / ".s.PGSQL.5432"), chance)
        who, _, _ = self.server.url.partition("@")
        self.start(DATABASE_URL=f"{who}@127.0.0.1:{self.proxy.port}/postgres")

    def restart(self, dead: Cluster) -> Cluster:
        """Put a new cluster in the place of one that has died."""
        dead.kill()
        self.clusters.remove(dead)
        return self.start()

    def muster(self) -> None:
        """See that exactly one cluster is there, with all its workers."""
        for cluster in [*self.clusters]:
            if cluster is not self.cluster or is_dead(cluster.pid) or cluster.pid in self._odd:
                self.dismiss(cluster)
        self._close_proxy()
        if not self.clusters:
            self.start()
        wait_until(lambda: len(self.cluster.workers()) == WORKERS, what="all workers are there")

    def dismiss(self, cluster: Cluster) -> None:
        cluster.kill()
        self.clusters.remove(cluster)

    def _close_proxy(self) -> None:
        if self.proxy is not None:
            self.proxy.close()
            self.proxy = None

    def end(self) -> None:
        """Kill every cluster, disarm every trap, and end what is left open."""
        for cluster in [*self.clusters]:
            self.dismiss(cluster)
        self._close_proxy()
        for trap in self.traps.iterdir():
            trap.unlink()
        for execution in Execution.objects.filter(status__in=sorted(EXECUTION_LIVE)):
            executor.terminate(execution.pk, principal=ME)

    def logs(self) -> str:
        """Return the ends of the clusters' logs."""
        return "\n".join(f"--- log of cluster {each.pid} ---\n{each.log[-3000:]}" for each in self.clusters)

    def living(self) -> set[int]:
        return {pid for cluster in self.clusters for pid in cluster.processes()}


def _act(id: uuid.UUID, workflow: Workflow, status: str, generation: int) -> None:
    """Do what the workflow waits for a person to do, once."""
    if workflow is workflows.talking:
        for number in (1, 2):  # each counts once, however often it is sent
            executor.send_signal(id, "go", number, principal=ME, id=f"go-{number}")
    elif workflow is workflows.mended:
        if status == "failed" and generation == 1:
            executor.retry(id, principal=ME)
    elif status == "running" and NodeRun.objects.filter(execution=id, node="hold").exclude(status="pending"):
        executor.cancel(id, principal=ME, rollback=workflow is workflows.rolled_back)


@dataclass(slots=True)
class Trial:
    """One run of a drill: what it started, the faults it made, and what it saw itself (`own`)."""

    crew: Crew
    chance: random.Random
    times: int
    own: Count = field(default_factory=Count)
    expected: dict[uuid.UUID, str] = field(default_factory=dict)
    faults: list[float] = field(default_factory=list)
    runnable: list[Runnable] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)  # processes that live, and are stopped
    woken: list[tuple[int, float]] = field(default_factory=list)
    victims: list[Entry] = field(default_factory=list)  # which node each process was at that a trap killed
    _to_act: dict[uuid.UUID, Workflow] = field(default_factory=dict)
    _began: int = 0
    _logs: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began = len(self.crew.ledger.all())
        self._logs = {cluster.pid: len(cluster.log) for cluster in self.crew.clusters}

    def check(self, holds: bool, sentence: str) -> None:
        """Count something that this fault alone promises."""
        self.own.check(holds, sentence)

    # --- load --------------------------------------------------------------------------------------

    def begin(self, workflow: Workflow, input: Any = None) -> uuid.UUID:
        """Start an execution; while the database is away, again, under the same key."""
        key = uuid.uuid4().hex
        id = steadfast(lambda: executor.start(workflow, input, principal=ME, idempotency_key=key))
        self.expect(id, workflow)
        return id

    def expect(self, id: uuid.UUID, workflow: Workflow) -> None:
        """Note an execution that was started, and how its workflow says that it ends."""
        self.expected[id] = workflows.ENDS[workflow.name].status
        if workflow in (workflows.mended, workflows.rolled_back, workflows.called_off, workflows.talking):
            self._to_act[id] = workflow

    def live(self) -> list[uuid.UUID]:
        """Return what is open, after doing what a person has to: retry, cancel."""
        mine = list(self.expected)
        found = Execution.objects.filter(pk__in=mine).exclude(status="succeeded")
        for id, status, generation in found.values_list("pk", "status", "generation"):
            if id in self._to_act:
                _act(id, self._to_act[id], status, generation)
        return [id for id, status in found.values_list("pk", "status") if status in EXECUTION_LIVE]

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """Keep executions running all the time, from a thread."""
        done, failed = threading.Event(), list[Exception]()

        def feed() -> None:
            try:
                while not done.is_set():
                    for _ in range(LOAD - len(steadfast(self.live))):
                        self.begin(self.chance.choice(workflows.LOAD))
                    done.wait(0.05)
            except Exception as error:
                failed.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=feed, name="feeder")
        thread.start()
        try:
            self.await_starts(5)
            yield
        finally:
            done.set()
            thread.join()
        if failed:
            raise failed[0]

    def entries(self) -> list[Entry]:
        """Return what the bodies have written since the trial began."""
        return self.crew.ledger.all()[self._began :]

    def starts(self, id: uuid.UUID | None = None) -> list[Entry]:
        found = (entry for entry in self.entries() if entry.what == "start")
        return [entry for entry in found if id is None or entry.execution == str(id)]

    def first_start(self, id: uuid.UUID) -> Entry:
        wait_until(lambda: self.starts(id), what=f"{id} begins")
        return self.starts(id)[0]

    def await_starts(self, more: int) -> None:
        """Return when so many more bodies have begun."""
        wanted = len(self.starts()) + more
        wait_until(lambda: len(self.starts()) >= wanted, what=f"{more} more bodies begin")

    def await_idle(self) -> None:
        """Return when nothing is open."""
        wait_until(lambda: not steadfast(self.live), 40.0, lambda: f"{steadfast(self.live)} end", every=0.05)

    # --- faults ------------------------------------------------------------------------------------

    @contextmanager
    def fault(self, within: float = LEASE + 2.0) -> Iterator[None]:
        """Make a fault in the block. At its end, note what can run: it must begin within so many seconds."""
        self.faults.append(time.monotonic())
        yield
        steadfast(lambda: self._note_runnable(within))

    def _note_runnable(self, within: float) -> None:
        living = self.crew.living() - self.stopped
        seen, now = time.monotonic(), clock.now()
        rows = NodeRun.objects.filter(execution__in=list(self.expected), status__in=["ready", "running"])
        for row in rows.exclude(held=True):
            if row.status == "running" and row.pid in living:
                continue
            wait = max(0.0, (row.available_at - now).total_seconds()) if row.status == "ready" else 0.0
            due = seen + wait
            name = f"{row.node} of {row.execution_id}, {row.status}"
            self.runnable.append(Runnable(row.pk, row.fence, name, len(self.faults), seen, due, due + within))

    def spring(self, moment: str, sign: signal.Signals = signal.SIGKILL) -> Entry:
        """Set a trap and return what the process that it took has written: it is dead then, or stopped."""
        known = len(self.crew.ledger.all())
        draft = self.crew.traps / f".{moment}"
        draft.write_text(str(int(sign)))
        draft.rename(self.crew.traps / moment)

        def caught() -> Entry | None:
            return next((e for e in self.crew.ledger.all()[known:] if e.what == f"trap {moment}"), None)

        entry: Entry = wait_until(caught, what=f"a worker passes the moment “{moment}”")
        if sign == signal.SIGKILL:
            wait_until(lambda: is_dead(entry.pid), what="it is dead")
            self.victims += [entry] if entry.execution else []
        else:
            wait_until(lambda: state_of(entry.pid) == "T", what="it is stopped")
        return entry

    def kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_dead(pid), what="it is dead")

    def sleeps(self, *pids: int) -> None:
        """Note that these processes are stopped: what they hold is for others."""
        self.stopped.update(pids)

    def wake(self) -> None:
        """Let every process that was stopped go on."""
        for pid in self.stopped:
            self.woken.append((pid, time.monotonic()))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()

    # --- the end -----------------------------------------------------------------------------------

    def finish(self) -> Evidence:
        """Wait for all ends, and for the workers; return what is to be judged."""
        self.await_idle()
        for victim in self.victims:
            # Cancelled: by the end of an execution that fails fast, before anybody missed who ran it.
            told = events(uuid.UUID(victim.execution), "node.lost", "node.cancelled", node=victim.node)
            self.check(bool(told), f"{victim.node} of {victim.execution} was lost, and no log tells it")
        workers = []
        for cluster in self.crew.clusters:
            with suppress(AssertionError):
                wait_until(lambda found=cluster: len(found.workers()) == WORKERS, 10.0)  # type: ignore[misc]
            workers.append((len(cluster.workers()), WORKERS))
            said = cluster.log[self._logs.get(cluster.pid, 0) :]
            errors = [sentence for sentence in OURS if sentence in said]
            traceback = said[max(0, said.find("Traceback")) :][:4000]
            self.check(not errors, f"a cluster says {errors}:\n{traceback}")
        return self.evidence(workers)

    def _with_children(self) -> dict[uuid.UUID, str]:
        """Return what was expected, and that the children of what succeeded end as their workflows do."""
        rows = Execution.objects.filter(parent__in=list(self.expected), parent__status="succeeded")
        names = rows.values_list("pk", "workflow__name")
        return self.expected | {id: workflows.ENDS[name].status for id, name in names}

    def evidence(self, workers: list[tuple[int, int]]) -> Evidence:
        found = Evidence(
            self._with_children(), self.entries(), self.runnable, self.faults, workers, self.woken
        )
        found.payments = payments(self.crew.payments)
        return found.collect()
