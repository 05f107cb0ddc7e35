"""Drives Absurd: two worker processes serve one queue, batch 20, poll 20 ms. Its own Python runs this."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
from absurd_sdk import Absurd
from psycopg import sql

from benchmarks import driving
from igon7site.setup.processes import kill_group, start

ROOT = Path(__file__).resolve().parents[2]
WORK, ROOTS = "work", "roots"
BATCH, POLL = 20, 0.02
SPAWN_IN = 100  # children that a fan's root spawns in one transaction: what was fastest


def moment() -> dict[str, float]:
    return {"at": time.time()}


def register(app: Absurd, conn: psycopg.Connection[Any]) -> None:
    """Make the tasks known to a worker (or to a client, which spawns them by name)."""

    @app.register_task("chain", queue=WORK)
    def chain(params: Any, ctx: Any) -> list[float]:
        return [ctx.step(f"s{number}", moment)["at"] for number in range(params["length"])]

    @app.register_task("leaf", queue=WORK)
    def leaf(params: Any, ctx: Any) -> dict[str, float]:
        return moment()

    @app.register_task("waits", queue=WORK)
    def waits(params: Any, ctx: Any) -> list[float]:
        ctx.await_event(params["event"])
        return [time.time()]

    @app.register_task("fan", queue=ROOTS)
    def fan(params: Any, ctx: Any) -> list[float]:
        root, left = time.time(), params["width"]
        while left > 0:
            with conn.transaction():
                for _ in range(min(left, SPAWN_IN)):
                    app.spawn("leaf", {})
            left -= SPAWN_IN
        while _open(conn, WORK):
            time.sleep(POLL)
        return [root, time.time()]


def _open(conn: psycopg.Connection[Any], *queues: str) -> int:
    count = "SELECT count(*) FROM absurd.{} WHERE state <> 'completed'"
    found = [conn.execute(sql.SQL(count).format(_tasks(queue))).fetchone() for queue in queues]
    return sum(row[0] for row in found if row)


def _tasks(queue: str) -> sql.Identifier:
    return sql.Identifier(f"t_{queue}")


def work(database: str, queue: str) -> None:
    """Be a worker: one task at a time, in the sync client, which costs less than the async one."""
    conn = psycopg.connect(database, autocommit=True)
    app = Absurd(conn, queue_name=queue)
    register(app, conn)
    app.start_worker(concurrency=1, batch_size=BATCH, poll_interval=POLL)


class AbsurdContestant:
    """Absurd on a database that holds its schema and both queues."""

    def __init__(self, database: str, folder: str) -> None:
        self._database = database
        self._log = Path(folder) / "worker.log"
        self._conn = psycopg.connect(database, autocommit=True)
        self._app = Absurd(self._conn, queue_name=WORK)
        register(self._app, self._conn)
        self._workers: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        """Start two workers; the roots of fans, which block while they wait, run in a thread of this process."""
        command = [sys.executable, "-m", "benchmarks.peers.drive_absurd", "work", self._database]
        with self._log.open("ab") as log:
            self._workers = [start(command, None, cwd=ROOT, stdout=log, stderr=log) for _ in range(2)]
        threading.Thread(target=work, args=(self._database, ROOTS), daemon=True).start()
        for _ in range(4):  # until both are sure to have begun: each claims 20, and these take a while
            self.many(2 * BATCH, True)
            driving.wait_until_ended(self)

    def end(self) -> None:
        for worker in self._workers:
            kill_group(worker)

    def workers(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def chain(self, length: int) -> str:
        return str(self._app.spawn("chain", {"length": length})["task_id"])

    def fan(self, width: int) -> str:
        return str(self._app.spawn("fan", {"width": width})["task_id"])

    def many(self, count: int, together: bool) -> list[str]:
        if not together:
            return [self.chain(driving.STEPS) for _ in range(count)]
        with self._conn.transaction():
            return [self.chain(driving.STEPS) for _ in range(count)]

    def park(self, count: int) -> list[str]:
        with self._conn.transaction():
            spawned = [self._app.spawn("waits", {"event": uuid.uuid4().hex}) for _ in range(count)]
        return [str(each["task_id"]) for each in spawned]

    def parked(self) -> int:
        text = sql.SQL("SELECT count(*) FROM absurd.{} WHERE state = 'sleeping'").format(_tasks(WORK))
        row = self._conn.execute(text).fetchone()
        return int(row[0]) if row else 0

    def wake(self, ids: Sequence[str], together: bool) -> None:
        text = sql.SQL("SELECT params->>'event' FROM absurd.{} WHERE task_id = ANY(%s)").format(_tasks(WORK))
        events = [row[0] for row in self._conn.execute(text, [list(ids)])]
        with self._conn.transaction() if together else nullcontext():
            for event in events:
                self._app.emit_event(event, None)

    def open(self) -> int:
        return _open(self._conn, WORK, ROOTS)

    def moments(self, ids: Sequence[str]) -> list[float]:
        found: list[float] = []
        for queue in (WORK, ROOTS):
            text = "SELECT completed_payload FROM absurd.{} WHERE task_id = ANY(%s) AND state = 'completed'"
            for (result,) in self._conn.execute(sql.SQL(text).format(_tasks(queue)), [list(ids)]):
                found += result
        return found


def prepare(database: str) -> None:
    """Put Absurd's schema and the two queues into an empty database."""
    control = str(Path(sys.executable).with_name("absurdctl"))
    for arguments in (["init"], ["create-queue", WORK], ["create-queue", ROOTS]):
        subprocess.run([control, *arguments], check=True, env={**os.environ, "ABSURD_DATABASE_URL": database})


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[2])
    elif sys.argv[1] == "work":
        work(sys.argv[2], WORK)
    else:
        driving.drive(AbsurdContestant, driving.SCENARIOS)
