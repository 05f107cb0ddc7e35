"""kill -9 and long stops of real processes: nothing is lost, nothing ends twice."""

import os
import random
import signal
import time

import pytest

from orchestration.models import NodeRun, WorkerNode
from tests import workflows_for_tests as samples
from tests.cluster import (
    LEASE,
    begin,
    check_order,
    cluster,
    ended,
    events,
    run_of,
    status,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("transactional_db")]


def check_runs(ledger, id):
    """Check that every node's body ran at least once, and never more often than the log accounts for."""
    runs, log = ledger.runs(id), events(id)
    lost = [e["node"] for e in log if e["type"] == "node.lost"]
    for node in statuses(id):
        assert 1 <= runs[node] <= 1 + lost.count(node), f"{node} of {id} ran {runs[node]} times"
        assert ledger.runs(id, "end").get(node, 0) >= 1
        assert run_of(id, node).attempt == 1, "a loss spent an attempt"


def test_a_worker_killed_in_a_body_is_replaced_and_the_node_runs_again_at_once(tmp_path):
    with cluster(tmp_path, IGON7_LEASE_SECONDS="30") as crew:
        id = begin(samples.gated, {"gate": str(tmp_path / "gate")})
        first = wait_until(lambda: crew.ledger.entries(id))[0]
        killed = time.monotonic()
        os.kill(first.pid, signal.SIGKILL)
        (tmp_path / "gate").touch()
        wait_until(lambda: len(crew.ledger.entries(id)) >= 2, within=10.0, what="the node is started again")
        assert time.monotonic() - killed < 4.0, "nobody waited for the lease of 30 s to end"
        ended(id)
        check_runs(crew.ledger, id)
        assert len(events(id, "node.lost", node="work")) == 1
        assert crew.ledger.entries(id)[1].pid != first.pid
        wait_until(lambda: len(crew.workers()) == 2, what="the dead worker's place is taken")
        crew.stop()


def test_every_process_dies_with_its_parent_and_another_cluster_finishes_the_work(tmp_path):
    with cluster(tmp_path) as crew:
        gated = begin(samples.gated, {"gate": str(tmp_path / "gate")})
        ids = [begin(samples.three) for _ in range(20)]
        wait_until(lambda: crew.ledger.entries(gated) and any(status(id) == "succeeded" for id in ids))
        os.kill(crew.pid, signal.SIGKILL)
        crew.process.wait()
        wait_until(lambda: not crew.processes(), within=2.0, what="its processes are gone")
        running = NodeRun.objects.filter(status="running").count()
        assert running >= 1
        (tmp_path / "gate").touch()
        with cluster(tmp_path) as second:
            began = time.monotonic()
            for id in [gated, *ids]:
                ended(id)
            # Its leases may have been renewed just before; what follows the lost nodes takes its own time.
            assert time.monotonic() - began < LEASE + 2.0
            for id in [gated, *ids]:
                check_runs(second.ledger, id)
                check_order(id)
            second.stop()


def test_the_guard_of_the_workers_killed_alone_ends_the_cluster_and_frees_its_work(tmp_path):
    with cluster(tmp_path, IGON7_LEASE_SECONDS="30") as crew:
        id = begin(samples.gated, {"gate": str(tmp_path / "gate")})
        worker = wait_until(lambda: crew.ledger.entries(id))[0].pid
        os.kill(_parent_of(worker), signal.SIGKILL)
        assert crew.process.wait(10.0) == 1
        assert "start the command again" in crew.log
        assert statuses(id) == {"work": "ready"}
        assert len(events(id, "node.lost")) == 1


def test_a_worker_that_slept_past_its_lease_is_refused_and_the_node_completes_once(tmp_path):
    with cluster(tmp_path) as crew:
        id = begin(samples.gated, {"gate": str(tmp_path / "gate")})
        first = wait_until(lambda: crew.ledger.entries(id))[0]
        os.kill(first.pid, signal.SIGSTOP)
        try:
            second = wait_until(lambda: crew.ledger.entries(id)[1:], LEASE + 4.0, "another takes it over")[0]
            assert second.pid != first.pid
            (tmp_path / "gate").touch()
            ended(id)
            before = events(id)
        finally:
            os.kill(first.pid, signal.SIGCONT)
        wait_until(lambda: f"of execution {id} (attempt 1) was" in crew.log, what="the refusal is logged")
        assert events(id) == before
        assert len(events(id, "node.completed", node="work")) == 1
        assert len(events(id, "node.lost", node="work")) == 1
        check_runs(crew.ledger, id)
        ended(begin(samples.diamond))
        crew.stop()


def test_twenty_kills_in_a_row_lose_nothing(tmp_path):
    chance = random.Random(7)
    with cluster(tmp_path) as crew:
        ids = [begin(samples.three) for _ in range(60)]
        for n in range(20):
            if all(status(id) == "succeeded" for id in ids):
                ids += [begin(samples.three) for _ in range(10)]
            workers = wait_until(lambda: crew.workers(), what="a worker is there")
            os.kill(chance.choice(workers), signal.SIGKILL)
            if n % 3 == 0:
                time.sleep(chance.random() * 0.3)
        for id in ids:
            ended(id, within=40.0)
            check_runs(crew.ledger, id)
            check_order(id)
        wait_until(lambda: len(crew.workers()) == 2, what="both workers are back")
        assert sum(len(events(id, "node.lost")) for id in ids) > 0
        assert WorkerNode.objects.filter(pid=crew.pid).count() == 1
        crew.stop()


def _parent_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])
