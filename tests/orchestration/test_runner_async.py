"""Async bodies: hundreds together on one worker's event loop."""

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from orchestration import WorkflowBuilder
from orchestration.engine.states import Outcome
from orchestration.engine.view import Key
from orchestration.runner.async_lane import AsyncLane
from orchestration.runner.seat import Seat
from orchestration.store.claim import Claim
from tests import workflows_for_tests as samples
from tests.cluster import (
    begin,
    cluster,
    ended,
    run_of,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
)


@pytest.mark.alone
@pytest.mark.usefixtures("transactional_db")
def test_a_hundred_bodies_that_sleep_half_a_second_share_one_worker(tmp_path):
    with cluster(tmp_path, workers=1) as one:
        id = begin(samples.naps)
        execution = ended(id)
        assert (execution.finished_at - execution.started_at).total_seconds() < 2.0
        assert len({entry.pid for entry in one.ledger.entries(id)}) == 1
        assert set(one.ledger.runs(id, "end").values()) == {1}
        assert one.stop() < 5.0


def test_a_body_whose_lease_ended_while_it_waited_for_the_event_loop_does_not_begin():
    """As after a long stop of the process: somebody else runs the node, or has ended it."""
    seat = Seat(uuid.uuid4(), "here", ("default",), lease=3.0)
    lane = AsyncLane(seat, [], grace=0.0)
    asked = time.monotonic() - 4.0
    (held,) = seat.take([Claim(1, uuid.uuid4(), 1, Key("work"), attempt=1, fence=1)], lane.name, asked)
    lane.active[1] = None
    body = mock.AsyncMock()
    run = lane._run(held, samples.async_nap.graph.nodes["work"], body, mock.Mock())
    with ThreadPoolExecutor(1) as thread:  # a browser's tests leave a running loop in this one
        thread.submit(asyncio.run, run).result()
    body.assert_not_called()
    assert [result.outcome for _, result, _ in lane.finished] == [Outcome.RELEASED]
    assert lane.active == {}


def test_a_lease_counts_from_before_the_claim_was_asked_for():
    """A process that is stopped between the claim's commit and its answer must not take the lease for a new one."""
    lane = AsyncLane(Seat(uuid.uuid4(), "here", ("default",), lease=3.0), [], grace=0.0)
    claimed = Claim(1, uuid.uuid4(), 1, Key("work"), attempt=1, fence=1)
    clock = mock.Mock(return_value=100.0)

    def claim_and_sleep(*_, **__):
        clock.return_value += 4.0
        return [claimed]

    with mock.patch("time.monotonic", clock), mock.patch("orchestration.runner.lanes.claim", claim_and_sleep):
        assert lane.claim_more()
        assert lane.is_stale(lane.pending[0])


def test_an_async_body_that_raises_fails_its_node(crew):
    id = begin(samples.async_error)
    ended(id, "failed")
    error = run_of(id, "work").error
    assert (error["type"], error["message"]) == ("LookupError", "nothing there")
    assert "await asyncio.sleep(0)" not in error["traceback"]
    assert 'raise LookupError("nothing there")' in error["traceback"]


def test_an_async_body_that_exits_fails_its_node_and_the_loop_runs_on(crew):
    before = set(crew.processes())
    for _ in range(3):
        id = begin(samples.async_exit)
        ended(id, "failed")
        assert "sys.exit(4)" in run_of(id, "work").error["message"]
    ended(begin(samples.async_nap), within=5.0)
    assert set(crew.processes()) == before


def test_a_task_that_an_async_body_leaves_behind_and_that_exits_ends_nobody_elses_body(crew):
    nap = begin(samples.async_nap, {"seconds": 1.0})
    ids = [begin(samples.async_orphan) for _ in range(6)]
    for id in [*ids, nap]:
        ended(id, within=10.0)


def test_an_async_body_keeps_and_reads_artifacts_and_results(crew):
    output = ended(begin(samples.async_file)).output
    assert output["same"] is True
    assert output["root"] == "root"
    assert output["file"]["size"] == 3000


def test_sync_bodies_run_on_while_async_ones_sleep(crew):
    sleepy = begin(samples.naps)
    for _ in range(5):
        ended(begin(samples.diamond), within=5.0)
    ended(sleepy)


def test_a_graph_made_at_run_time_runs_registered_tasks_by_name(crew):
    builder = WorkflowBuilder("t-made-at-run-time")
    for n in range(30):
        parents = [f"n{(n - 1) // 2}"] if n else []
        builder.add_node(f"n{n}", "t.nap", depends_on=parents, params={"seconds": 0.02})
    id = begin(builder.build())
    ended(id)
    assert set(statuses(id).values()) == {"succeeded"}
    assert crew.ledger.runs(id) == {f"n{n}": 1 for n in range(30)}
