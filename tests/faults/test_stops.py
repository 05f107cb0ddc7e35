"""Stopping a cluster: at once when idle, after its bodies within their grace, never losing what they held."""

import os
import signal
import subprocess
import time

import pytest

from orchestration.models import WorkerNode
from tests import workflows_for_tests as samples
from tests.cluster import (
    begin,
    check_log,
    cluster,
    ended,
    events,
    run_of,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)

pytestmark = [pytest.mark.faults, pytest.mark.alone, pytest.mark.usefixtures("transactional_db")]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_cluster_stops_at_once_and_says_so_in_its_row(tmp_path, sign):
    with cluster(tmp_path) as crew:
        began = time.monotonic()
        crew.process.send_signal(sign)
        assert crew.process.wait(10.0) == 0
        # About 0.6 s on an idle machine; a busy one may take its time to end ten processes.
        assert time.monotonic() - began < 3.0
        row = WorkerNode.objects.get(pid=crew.pid)
        assert row.stopped_at is not None
        assert not crew.processes()


def test_a_body_that_ends_within_the_grace_completes_and_nothing_new_begins(tmp_path):
    with cluster(tmp_path, workers=1) as crew:
        id = begin(samples.slow, {"seconds": 1.0})
        other = begin(samples.async_nap, {"seconds": 1.0})
        wait_until(lambda: crew.ledger.entries(id) and crew.ledger.entries(other))
        assert crew.stop() < 4.5
        for one in (id, other):
            assert (run_of(one, "work").status, statuses(one)["after"]) == ("succeeded", "ready")
            assert crew.ledger.runs(one) == {"work": 1}
            check_log(one)
        with cluster(tmp_path) as second:
            ended(id)
            ended(other)
            second.stop()


@pytest.mark.parametrize(
    "workflow", [samples.long_sleep, samples.async_sleep, samples.stubborn], ids=["sync", "async", "stubborn"]
)
def test_a_body_that_outlasts_the_grace_is_handed_back(tmp_path, workflow):
    with cluster(tmp_path, workers=1, grace="0.5s", IGON7_LEASE_SECONDS="60") as crew:
        id = begin(workflow)
        wait_until(lambda: crew.ledger.entries(id))
        assert crew.stop() < (10.0 if workflow is samples.stubborn else 4.0)
        run = run_of(id, "work")
        assert (run.status, run.attempt, run.lease_until) == ("ready", 0, None)
        assert len(events(id, "node.released")) == 1
        assert not events(id, "node.lost")
        check_log(id)


def test_a_second_signal_does_not_cut_the_grace_short(tmp_path):
    with cluster(tmp_path, workers=1) as crew:
        id = begin(samples.slow, {"seconds": 1.0})
        wait_until(lambda: crew.ledger.entries(id))
        crew.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            crew.process.wait(0.2)
        crew.stop()
        assert run_of(id, "work").status == "succeeded"


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_to_every_process_at_once_drains_like_one_to_the_parent(tmp_path, sign):
    with cluster(tmp_path, workers=2) as crew:
        id = begin(samples.slow, {"seconds": 1.0})
        wait_until(lambda: crew.ledger.entries(id))
        os.killpg(crew.pid, sign)
        assert crew.process.wait(10.0) == 0
        assert not crew.processes()
        assert (run_of(id, "work").status, statuses(id)["after"]) == ("succeeded", "ready")
        assert crew.ledger.runs(id) == {"work": 1}
