"""igon7 as a contestant: submissions through the verbs, in this process; bodies in `manage.py worker`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import driving, proc, workflows
from igon7site.setup.processes import kill_group, start
from orchestration import Workflow, executor, registry
from orchestration.models import Execution, NodeRun
from security.principals import Principal

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN = 60.0
ME = Principal.system("bench")


class Igon7:
    """Two workers of one cluster on the database of the environment."""

    def __init__(self, database: str, folder: str) -> None:
        self.log = Path(folder) / "worker.log"
        self._built: dict[tuple[Callable[[int], Workflow], int], str] = {}
        self._cluster: subprocess.Popen[bytes] | None = None
        self._pids: list[int] = []

    # --- workers ---

    def begin(self) -> None:
        command = [sys.executable, "manage.py", "worker", "--workers=2", "--grace=5s"]
        with self.log.open("ab") as log:
            self._cluster = start(command, None, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_WITHIN
        while len(self._pids) < 2:
            if self._cluster.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The workers did not start:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.05)
            # A process that holds a seat has a thread for each of its parts; no other has so many.
            self._pids = [pid for pid in proc.group(self._cluster.pid) if proc.threads(pid) >= 5]

    def end(self) -> None:
        if self._cluster is None:
            return
        self._cluster.send_signal(signal.SIGTERM)
        try:
            self._cluster.wait(30)
        except subprocess.TimeoutExpired:
            kill_group(self._cluster)

    def workers(self) -> list[int]:
        return self._pids

    def cluster(self) -> int:
        """Return the pid of the cluster's first process."""
        assert self._cluster is not None
        return self._cluster.pid

    # --- submissions ---

    def chain(self, length: int) -> str:
        return str(self.start(workflows.chain, length))

    def fan(self, width: int) -> str:
        return str(self.start(workflows.fan, width))

    def many(self, count: int, together: bool) -> list[str]:
        name = self.known(workflows.chain, driving.STEPS)
        if together:
            return [str(id) for id in executor.start_many(name, [None] * count, principal=ME)]
        return [str(executor.start(name, principal=ME)) for _ in range(count)]

    def park(self, count: int) -> list[str]:
        name = self.known(workflows.waiting, 1)
        return [str(id) for id in executor.start_many(name, [None] * count, principal=ME)]

    def parked(self) -> int:
        return NodeRun.objects.filter(status="waiting").count()

    def wake(self, ids: Sequence[str], together: bool) -> None:
        if together:
            executor.send_signals([(id, "go", None) for id in ids], principal=ME)
            return
        for id in ids:
            executor.send_signal(id, "go", principal=ME)

    def start(self, make: Callable[[int], Workflow], size: int) -> uuid.UUID:
        return executor.start(self.known(make, size), principal=ME)

    def known(self, make: Callable[[int], Workflow], size: int) -> str:
        """Return the name of that workflow, which is registered as those of a workflows.py are."""
        if (make, size) not in self._built:
            workflow = make(size)
            registry.register(workflow)
            self._built[make, size] = workflow.name
        return self._built[make, size]

    # --- what became of them ---

    def open(self) -> int:
        return Execution.objects.filter(finished_at__isnull=True).count()

    def any_open(self, ids: Sequence[str]) -> bool:
        """Say whether one of these is open, which were started after one another; others are not looked at."""
        first, last = min(ids), max(ids)
        return Execution.objects.filter(pk__range=(first, last), finished_at__isnull=True).exists()

    def moments(self, ids: Sequence[str]) -> list[float]:
        rows = NodeRun.objects.filter(execution__in=[uuid.UUID(id) for id in ids], result__isnull=False)
        if rows.filter(node="root").exists():
            rows = rows.filter(node__in=["root", "join"])
        return [result["at"] for result in rows.values_list("result", flat=True) if result]
