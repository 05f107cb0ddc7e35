"""What a dead process held is taken over at once: nobody waits for a long lease. The drills kill in every other way."""

import os
import signal
import time

import pytest

from tests import workflows_for_tests as samples
from tests.cluster import (
    begin,
    cluster,
    ended,
    events,
    run_of,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)

pytestmark = [pytest.mark.faults, pytest.mark.alone, pytest.mark.usefixtures("transactional_db")]


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
        assert crew.ledger.runs(id) == {"work": 2, "after": 1}
        assert run_of(id, "work").attempt == 1, "a loss spent an attempt"
        assert len(events(id, "node.lost", node="work")) == 1
        assert crew.ledger.entries(id)[1].pid != first.pid
        wait_until(lambda: len(crew.workers()) == 2, what="the dead worker's place is taken")
        crew.stop()


def test_the_guard_of_the_workers_killed_alone_ends_the_cluster_and_frees_its_work(tmp_path):
    with cluster(tmp_path, IGON7_LEASE_SECONDS="30") as crew:
        id = begin(samples.gated, {"gate": str(tmp_path / "gate")})
        worker = wait_until(lambda: crew.ledger.entries(id))[0].pid
        os.kill(_parent_of(worker), signal.SIGKILL)
        assert crew.process.wait(10.0) == 1
        assert "start the command again" in crew.log
        assert statuses(id) == {"work": "ready"}
        assert len(events(id, "node.lost")) == 1


def _parent_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])
