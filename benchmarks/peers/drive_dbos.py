"""Drives DBOS Transact: two worker processes serve one queue, polled every 20 ms. Its own Python runs this."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from dbos import DBOS, DBOSClient

from benchmarks import driving
from igon7site.setup.processes import kill_group, start

ROOT = Path(__file__).resolve().parents[2]
NAME = "bench"  # of the application and of its version, which workers and client must share
WORK, ROOTS = "work", "roots"
POLL = 0.02

AT_ONCE = 20  # workflows of one worker; 5 and 100 made no difference


@DBOS.step()
def moment() -> dict[str, float]:
    return {"at": time.time()}


@DBOS.workflow()
def chain(length: int) -> list[float]:
    return [moment()["at"] for _ in range(length)]


@DBOS.workflow()
def leaf() -> dict[str, float]:
    return {"at": time.time()}


@DBOS.workflow()
def fan(width: int, database: str) -> list[float]:
    root = time.time()
    for _ in range(width):
        DBOS.enqueue_workflow(WORK, leaf)
    with psycopg.connect(database, autocommit=True) as connection:
        while _count(connection, _LEAVES):
            time.sleep(POLL)
    return [root, time.time()]


_OPEN: LiteralString = "SELECT count(*) FROM dbos.workflow_status WHERE status <> 'SUCCESS'"
_LEAVES: LiteralString = _OPEN + " AND queue_name = 'work'"
_EXECUTORS: LiteralString = (
    "SELECT count(DISTINCT executor_id) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
)


def _count(connection: psycopg.Connection[Any], text: LiteralString) -> int:
    row = connection.execute(text).fetchone()
    return int(row[0]) if row else 0


def launch(database: str, executor: str, *queues: str) -> None:
    """Be part of the application, and serve these queues alone."""
    DBOS(
        config={
            "name": NAME,
            "application_version": NAME,
            "executor_id": executor,
            "system_database_url": database,
            "log_level": "WARNING",
        }
    )
    DBOS.listen_queues(queues)
    DBOS.launch()


def prepare(database: str) -> None:
    """Put DBOS's schema and the two queues into an empty database."""
    launch(database, "prepare")
    DBOS.register_queue(WORK, worker_concurrency=AT_ONCE, polling_interval_sec=POLL)
    DBOS.register_queue(ROOTS, polling_interval_sec=POLL)
    DBOS.destroy()


def work(database: str, executor: str, queue: str) -> None:
    """Be a worker until killed."""
    launch(database, executor, queue)
    threading.Event().wait()


class DBOSContestant:
    """DBOS Transact on a database that holds its schema and both queues."""

    def __init__(self, database: str, folder: str) -> None:
        self._database = database
        self._log = Path(folder) / "worker.log"
        self._conn = psycopg.connect(database, autocommit=True)
        self._client = DBOSClient(system_database_url=database, application_name=NAME)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._others: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        """Start two workers, and beside them a third process that runs the roots of fans."""
        command = [sys.executable, "-m", "benchmarks.peers.drive_dbos", "work", self._database]
        served = {"worker-1": WORK, "worker-2": WORK, "rooter": ROOTS}
        with self._log.open("ab") as log:
            started = [
                start([*command, *each], None, cwd=ROOT, stdout=log, stderr=log) for each in served.items()
            ]
        self._workers, self._others = started[:2], started[2:]
        while _count(self._conn, _EXECUTORS) < 2:  # until each has taken some
            for _ in range(2 * AT_ONCE):
                self._submit(WORK, "leaf")
            driving.wait_until_ended(self)

    def end(self) -> None:
        for worker in [*self._workers, *self._others]:
            kill_group(worker)

    def workers(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def chain(self, length: int) -> str:
        return self._submit(WORK, "chain", length)

    def fan(self, width: int) -> str:
        return self._submit(ROOTS, "fan", width, self._database)

    def many(self, count: int, together: bool) -> list[str]:
        if together:
            raise NotImplementedError("DBOS is not asked for many executions")
        return [self.chain(driving.STEPS) for _ in range(count)]

    def _submit(self, queue: str, workflow: str, *arguments: Any) -> str:
        options: Any = {"queue_name": queue, "workflow_name": workflow, "app_version": NAME}
        return self._client.enqueue(options, *arguments).workflow_id

    def park(self, count: int) -> list[str]:
        raise NotImplementedError("each keeps a thread while it waits: not measured")

    def parked(self) -> int:
        raise NotImplementedError

    def wake(self, ids: Sequence[str], together: bool) -> None:
        raise NotImplementedError

    def open(self) -> int:
        return _count(self._conn, _OPEN)

    def moments(self, ids: Sequence[str]) -> list[float]:
        found: list[float] = []
        for id in ids:
            found += self._client.retrieve_workflow(id).get_result()
        return found


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[2])
    elif sys.argv[1] == "work":
        work(*sys.argv[2:5])
    else:
        driving.drive(DBOSContestant, driving.SCENARIOS)
