"""kill -9: of workers at every moment, of the parent, of the guard, of all at once."""

from __future__ import annotations

import os
import signal
import time
import uuid

from orchestration.models import NodeRun
from orchestration.store import state
from tests.cluster import LEASE, events, wait_until
from tests.faults import workflows
from tests.faults.crew import Trial, steadfast
from tests.ledger import Entry

from . import drill


@drill("kill -9 of a worker that is about to claim", times=40, short=2)
def kill_claiming(trial: Trial) -> None:
    with trial.fault():
        trial.spring("claiming")


@drill("kill -9 of a worker right after a claim's commit", times=40, short=2)
def kill_claimed(trial: Trial) -> None:
    with trial.fault():
        trial.spring("claimed")


@drill("kill -9 of a worker, a node claimed and not begun", times=40, short=3)
def kill_before(trial: Trial) -> None:
    with trial.fault():
        trial.spring("before")


@drill("kill -9 of a worker in a body", times=40, short=3)
def kill_during(trial: Trial) -> None:
    with trial.fault():
        trial.spring("during")


@drill("kill -9 of a worker, a body's effect done and nothing settled", times=40, short=3)
def kill_paid(trial: Trial) -> None:
    with trial.fault():
        dead = trial.spring("paid")
    wait_until(lambda: _calls(trial, dead) > 1, what=f"{dead} pays again")


@drill("kill -9 of a worker, an undo's effect done and nothing settled", times=40, short=3)
def kill_undoing(trial: Trial) -> None:
    trial.begin(trial.chance.choice([workflows.undone, workflows.rolled_back]))
    with trial.fault():
        dead = trial.spring("undoing")
    wait_until(lambda: _calls(trial, dead) > 1, what=f"{dead} pays back again")


def _calls(trial: Trial, one: Entry) -> int:
    about = (one.execution, one.node)
    return sum(entry.what == "pay" and (entry.execution, entry.node) == about for entry in trial.entries())


@drill("kill -9 of a worker, a body ended and not settled", times=40, short=3)
def kill_after(trial: Trial) -> None:
    with trial.fault():
        trial.spring("after")


@drill("kill -9 of a worker in the transaction of a settle", times=40, short=3)
def kill_in_settle(trial: Trial) -> None:
    with trial.fault():
        trial.spring("locked")


@drill("kill -9 of a worker right after a settle's commit", times=40, short=3)
def kill_committed(trial: Trial) -> None:
    with trial.fault():
        trial.spring("committed")


@drill(
    "kill -9 of workers while eight bodies, and one in a transaction, count on one key",
    times=20,
    short=2,
    fed=False,
)
def kill_counting(trial: Trial) -> None:
    before = _total()
    started = [trial.begin(workflows.counting) for _ in range(2)]
    for _ in range(2):
        with trial.fault():
            trial.spring("counting")
    trial.await_idle()
    counted = _total() - before
    wanted = len(started) * workflows.COUNTED
    trial.check(counted == wanted, f"{counted} were counted, not {wanted}")


@drill("kill -9 of workers amid nodes, and items of maps, up to a bound", times=20, short=2, fed=False)
def kill_beside(trial: Trial) -> None:
    started = [trial.begin(workflow) for workflow in (workflows.side, workflows.mapped) for _ in range(2)]
    for _ in range(3):
        with trial.fault():
            trial.spring(trial.chance.choice(["during", "after", "before"]))
    trial.await_idle()
    for id in started:
        most = _most_under_way(id)
        trial.check(most == workflows.BOUND, f"{most} were under way at once in {id}, not {workflows.BOUND}")


def _most_under_way(id: uuid.UUID) -> int:
    """Return how many nodes (or items) at most had got their turn and not ended, as the log has it."""
    under_way: set[tuple[str, int | None]] = set()
    most = 0
    for event in events(id):
        key = (event["node"], event["index"])
        if event["node"] is None or not (event["node"].startswith("side") or event["index"] is not None):
            continue
        if event["type"] == "node.ready":
            under_way.add(key)
        elif event["type"] in ("node.completed", "node.failed"):
            under_way.discard(key)
        most = max(most, len(under_way))
    return most


def _total() -> int:
    found = state.find(state.Place("workflow", workflows.counting.name, "total"))
    return found.value if found is not None else 0


@drill("kill -9 of an idle worker", times=40, short=2, fed=False)
def kill_idle(trial: Trial) -> None:
    trial.await_idle()
    trial.crew.muster()
    with trial.fault():
        trial.kill(trial.chance.choice(trial.crew.cluster.workers()))
    began = time.monotonic()
    id = trial.begin(trial.chance.choice(workflows.LOAD))
    took = trial.first_start(id).tick - began
    trial.check(took < 1.0, f"the worker that was left took {took:.2f} s to see new work")


@drill("kill -9 of every worker while a retry waits for its time", times=10, short=1, fed=False)
def kill_waiting(trial: Trial) -> None:
    id = trial.begin(workflows.delayed)
    wait_until(lambda: events(id, "node.retrying"), what="the first attempt has failed")
    with trial.fault():
        for pid in trial.crew.cluster.workers():
            trial.kill(pid)
    wait_until(lambda: len(trial.starts(id)) >= 2, what="the second begins")


@drill("kill -9 of workers at random, with little or no time between", times=40, short=8)
def kill_random(trial: Trial) -> None:
    for _ in range(trial.chance.randint(1, 2)):
        workers = wait_until(trial.crew.cluster.workers, what="a worker is there")
        with trial.fault():
            trial.kill(trial.chance.choice(workers))


@drill("kill -9 of the cluster's parent, and its restart", times=40, short=2)
def kill_parent(trial: Trial) -> None:
    dead = trial.crew.cluster
    with trial.fault():
        trial.kill(dead.pid)
        wait_until(lambda: not dead.processes(), 2.0, "its processes are gone")
        trial.crew.restart(dead)


@drill("kill -9 of the whole cluster, and its restart", times=40, short=3)
def kill_cluster(trial: Trial) -> None:
    with trial.fault():
        trial.crew.restart(trial.crew.cluster)


@drill("kill -9 of the sentinel: the cluster frees its work and ends; and its restart", times=10, short=1)
def kill_sentinel(trial: Trial) -> None:
    dead = trial.crew.cluster
    row = steadfast(dead.row)
    assert row is not None
    with trial.fault():
        os.kill(_parent_of(dead.workers()[0]), signal.SIGKILL)
        trial.check(dead.process.wait(10.0) == 1, "the cluster did not end with exit code 1")
        left = NodeRun.objects.filter(status="running", worker=row.pk).count()
        trial.check(left == 0, f"{left} nodes were left to their leases of {LEASE:g} s")
        trial.crew.restart(dead)


def _parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])
