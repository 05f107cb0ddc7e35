"""Real clusters under test: started as people start them, watched through the database, and always ended.

A module imports `transactional_db` from here: its tests then share a database that other processes see, emptied once,
when the module is done, so that one cluster may live through all of them (`crew`). The bodies of
modules in `SAMPLES` write what they do into the cluster's ledger.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.models import Q

from igon7site.setup.processes import start
from orchestration import executor, registry
from orchestration.engine.builder import Workflow
from orchestration.engine.fold import Folded, fold
from orchestration.engine.states import EXECUTION_TERMINAL, NodeStatus
from orchestration.engine.view import Key
from orchestration.models import Execution, LogLine, NodeRun, WorkerNode
from orchestration.queries import events_after
from orchestration.store import versions
from security.principals import Principal
from tests import durable_workflows_for_tests, workflows_for_tests
from tests.databases import url_of
from tests.ledger import LEDGER, Ledger

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = (workflows_for_tests, durable_workflows_for_tests)
LEASE = 3.0
SOON = 20.0  # seconds that a busy machine may need for what takes one
ME = Principal.system("tests")


def wait_until(
    condition: Callable[[], Any], within: float = SOON, what: object = "", every: float = 0.02
) -> Any:
    """Return the condition's value as soon as it is true; fail when it has not come within so many seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"Not within {within:g} s: {what() if callable(what) else what or condition}"
            )
        time.sleep(every)
    return value


# --- a cluster -------------------------------------------------------------------------------------


def surroundings_of(folder: Path, ledger: Ledger, **environment: str) -> dict[str, str]:
    """Return the environment of a `manage.py …` that shares this process's database and secret."""
    return {
        **os.environ,
        "DATABASE_URL": url_of(connection.settings_dict),
        "IGON7_VAR": str(folder),
        "IGON7_MEDIA": str(settings.MEDIA_ROOT),
        "IGON7_SECRET_KEY": settings.SECRET_KEY,
        "IGON7_SECRET_KEYS": ",".join(settings.IGON7_SECRET_KEYS),
        "IGON7_ENV_FILE": os.devnull,
        "IGON7_NO_VENV": "1",
        "IGON7_LEASE_SECONDS": str(LEASE),
        "IGON7_WORKFLOWS": ",".join(module.__name__ for module in SAMPLES),
        LEDGER: str(ledger.path),
        **environment,
    }


class Cluster:
    """`manage.py worker` in a process group of its own."""

    def __init__(self, folder: Path, workers: int = 2, grace: str = "25s", **environment: str) -> None:
        self.ledger = Ledger(folder / "ledger")
        self._log_path = folder / f"worker-{uuid.uuid4().hex[:8]}.log"
        surroundings = surroundings_of(folder, self.ledger, **environment)
        command = [sys.executable, "manage.py", "worker", f"--workers={workers}", f"--grace={grace}"]
        with self._log_path.open("ab") as log:
            self.process = start(command, surroundings, cwd=ROOT, stdout=log, stderr=log)

    def wait_until_ready(self) -> None:
        """Return once it has registered itself: its workers are there."""
        wait_until(self._is_ready, 30.0, lambda: f"the cluster is ready\n{self.log}")

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(
                f"The cluster ended with {self.process.returncode} at its start:\n{self.log}"
            )
        return self.row() is not None

    def row(self) -> WorkerNode | None:
        """Return the row under which it has registered itself."""
        return WorkerNode.objects.filter(pid=self.pid, stopped_at=None).first()

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    def processes(self) -> list[int]:
        """Return the pids of the whole group: parent, sentinel, workers and django-q2's helpers."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def workers(self) -> list[int]:
        """Return the pids of the processes that hold a seat: the ones with a thread for each of its parts."""
        return [pid for pid in self.processes() if _threads(pid) >= 5]

    def stop(self, within: float = SOON) -> float:
        """Ask it to stop, as a supervisor does; return the seconds it took. It must end with exit code 0."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"The cluster did not stop within {within:g} s:\n{self.log}") from None
        assert code == 0, self.log
        assert not self.processes(), "processes were left behind"
        return time.monotonic() - began

    def kill(self) -> None:
        """End all of it, at once, however it stands."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def _threads(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0


@contextmanager
def cluster(folder: Path, workers: int = 2, grace: str = "25s", **environment: str) -> Iterator[Cluster]:
    """Run a cluster for the block; show its log when the block fails, and kill what is left of it at the end."""
    made = Cluster(folder, workers, grace, **environment)
    try:
        made.wait_until_ready()
        yield made
    except BaseException:
        sys.stderr.write(f"--- log of the cluster ---\n{made.log}\n")
        raise
    finally:
        made.kill()


# --- fixtures --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def transactional_db(django_db_setup: None, django_db_blocker: Any, apart: Path) -> Iterator[None]:
    """Be pytest-django's fixture of this name for a whole module: nothing is emptied under a running cluster."""
    with django_db_blocker.unblock(), known_workflows():
        versions.forget_versions()
        try:
            yield
        finally:
            call_command("flush", verbosity=0, interactive=False)
            versions.forget_versions()
            connections.close_all()


@contextmanager
def known_workflows() -> Iterator[None]:
    """Let this process know the workflows for tests as the clusters do."""
    found = [value for module in SAMPLES for value in vars(module).values()]
    made = [value for value in found if isinstance(value, Workflow)]
    registry.discover()
    for workflow in made:
        registry.register(workflow)
    try:
        yield
    finally:
        for workflow in made:
            registry.forget(workflow.name)


@pytest.fixture(scope="module")
def crew(transactional_db: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers for all tests of a module, which must leave them alive and able to stop cleanly."""
    with cluster(tmp_path_factory.mktemp("crew")) as made:
        yield made
        made.stop()


# --- what became of it -----------------------------------------------------------------------------


def begin(workflow: Workflow | str, input: Any = None, **options: Any) -> uuid.UUID:
    return executor.start(workflow, input, principal=ME, **options)


def status(id: uuid.UUID) -> str:
    return str(Execution.objects.values_list("status", flat=True).get(pk=id))


def statuses(id: uuid.UUID) -> dict[str, str]:
    rows = NodeRun.objects.filter(execution=id, superseded=False)
    return dict(rows.values_list("node", "status"))


def run_of(id: uuid.UUID, node: str) -> Any:
    """Return the node's present NodeRun (Any: a test knows which of its columns are set)."""
    return NodeRun.objects.get(execution=id, node=node, superseded=False)


def lines_of(id: uuid.UUID, node: str) -> list[str]:
    return list(
        LogLine.objects.filter(execution=id, node=node).order_by("id").values_list("message", flat=True)
    )


def events(id: uuid.UUID, *types: str, node: str | None = None) -> list[dict[str, Any]]:
    """Return the execution's log, or its lines of these types (and of this node)."""
    found = _log(id)
    return [e for e in found if (not types or e["type"] in types) and (node is None or e["node"] == node)]


def _log(id: uuid.UUID) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := events_after(id, found[-1]["seq"] if found else 0, 1000):
        found += page
    return found


def wait_for(id: uuid.UUID, *wanted: str, within: float = SOON) -> str:
    """Wait until the execution has one of these statuses, or has ended; then check that it is one of them."""
    stop_at = {*wanted, *EXECUTION_TERMINAL}
    wait_until(lambda: status(id) in stop_at, within, lambda: explain(id))
    found = status(id)
    assert not wanted or found in wanted, explain(id)
    return found


def ended(id: uuid.UUID, wanted: str = "succeeded", within: float = SOON) -> Any:
    """Wait for the execution's end, check how it ended and that its log is whole; return the Execution."""
    wait_for(id, wanted, within=within)
    check_log(id)
    return Execution.objects.get(pk=id)


def wait_for_node(id: uuid.UUID, node: str, wanted: str, within: float = SOON) -> Any:
    wait_until(lambda: statuses(id).get(node) == wanted, within, lambda: f"{node} is {wanted}\n{explain(id)}")
    return run_of(id, node)


def explain(id: uuid.UUID) -> str:
    """Return what a person would look at, for the message of a failed check."""
    execution = Execution.objects.get(pk=id)
    tail = [
        f"{e['seq']} {e['type']} {e['node'] or ''} {e['attempt'] or ''} {e['data']}" for e in events(id)[-25:]
    ]
    error = f"error: {execution.error}"
    return "\n".join([f"execution {id} is {execution.status}", error, str(statuses(id)), *tail])


def check_log(id: uuid.UUID) -> Folded:
    """Check that the log has no gap and, folded, gives the rows, and that these are legal; return what it says."""
    told = fold(events(id))
    execution = Execution.objects.get(pk=id)
    assert (told.seq, told.status, told.generation) == (execution.seq, execution.status, execution.generation)
    assert told.nodes == _as_told(id), explain(id)
    wrong = ~Q(verdict="") & ~Q(status="pending") | Q(held=True) & ~Q(status="ready")
    wrong |= Q(superseded=True, finished_at__isnull=True)
    assert not NodeRun.objects.filter(wrong, execution=id).exists(), explain(id)
    return told


def _as_told(id: uuid.UUID) -> Mapping[Key, str]:
    """Return the rows as the log sees them: PENDING ones are not there, and a claim that has not begun is READY."""
    rows = NodeRun.objects.filter(execution=id, superseded=False).exclude(status=NodeStatus.PENDING)
    return {
        Key(row.node, row.index, row.for_node): NodeStatus.READY
        if row.status == NodeStatus.RUNNING and row.started_at is None
        else NodeStatus(row.status)
        for row in rows
    }


def check_order(id: uuid.UUID) -> None:
    """Check that no node began before each of its predecessors had ended."""
    rows = {run.node: run for run in NodeRun.objects.filter(execution=id, superseded=False)}
    graph = versions.graph_of(Execution.objects.get(pk=id).version_id)
    for node, run in rows.items():
        for parent in graph.nodes[node].depends_on:
            finished = rows[parent].finished_at
            if run.started_at is not None:
                assert finished is not None
                assert run.started_at >= finished, f"{node} began before {parent} ended"
