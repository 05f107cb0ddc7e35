"""Graphs of every shape, run by two real worker processes: each node once, children after their parents."""

import json

import pytest

from orchestration.models import NodeRun
from tests import workflows_for_tests as samples
from tests.cluster import (
    begin,
    check_order,
    ended,
    events,
    run_of,
    status,
    statuses,
    transactional_db,  # noqa: F401 - a fixture
    wait_for_node,
    wait_until,
)


def test_a_chain_runs_in_order_and_its_last_node_is_the_output(crew):
    id = begin(samples.chain)
    execution = ended(id)
    assert execution.output == {"b": "b"}
    assert crew.ledger.runs(id) == {"a": 1, "b": 1, "c": 1}
    assert [e["node"] for e in events(id, "node.completed")] == ["a", "b", "c"]
    check_order(id)


def test_a_diamond_joins_both_sides_once(crew):
    id = begin(samples.diamond)
    assert ended(id).output == {"bottom": {"left": "left", "right": "right"}}
    assert crew.ledger.runs(id) == dict.fromkeys(("top", "left", "right", "bottom"), 1)
    check_order(id)


def test_a_fan_out_of_200_runs_every_node_once_on_both_workers(crew):
    id = begin(samples.fan)
    output = ended(id).output
    assert output == {f"leaf-{n}": f"leaf-{n}" for n in range(200)}
    runs = crew.ledger.runs(id)
    assert len(runs) == 202
    assert set(runs.values()) == {1}
    check_order(id)
    began = {e.node: e.at for e in crew.ledger.entries(id)}
    finished = {e.node: e.at for e in crew.ledger.entries(id, "end")}
    assert min(began[f"leaf-{n}"] for n in range(200)) > finished["root"]
    assert began["all"] > max(finished[f"leaf-{n}"] for n in range(200))


def test_a_child_starts_only_after_the_commit_of_its_parent(crew, tmp_path):
    id = begin(samples.gated, {"gate": str(tmp_path / "gate")})
    wait_for_node(id, "work", "running")
    assert "after" not in statuses(id)
    (tmp_path / "gate").touch()
    ended(id)
    completed = next(e["seq"] for e in events(id, "node.completed", node="work"))
    assert next(e["seq"] for e in events(id, "node.ready", node="after")) == completed + 1
    assert run_of(id, "after").started_at >= run_of(id, "work").finished_at


def test_a_hundred_executions_at_once_all_end_with_whole_logs(crew):
    ids = [begin(samples.diamond) for _ in range(100)]
    for id in ids:
        ended(id)
    counts = [crew.ledger.runs(id) for id in ids]
    assert all(count == dict.fromkeys(("top", "left", "right", "bottom"), 1) for count in counts)


@pytest.mark.alone
def test_a_body_of_a_second_is_shown_as_started_while_it_runs(crew):
    id = begin(samples.slow, {"seconds": 1.5})
    began = wait_until(lambda: crew.ledger.entries(id))[0].at
    run = wait_for_node(id, "work", "running")
    started = wait_until(lambda: events(id, "node.started"))[0]
    assert status(id) == "running"
    assert not crew.ledger.runs(id, "end"), "the event came only after the body had ended"
    written = wait_until(lambda: run_of(id, "work").started_at)
    assert abs(written.timestamp() - began) < 0.3
    assert started["data"]["worker"].endswith(f"/{run.pid}")
    ended(id)
    assert len(events(id, "node.started", node="work")) == 1


def test_what_waits_behind_a_slow_body_is_handed_back_and_run_by_the_other_worker(crew):
    id = begin(samples.batch)
    leaves = [f"leaf-{n}" for n in range(60)]
    done = lambda: all(statuses(id).get(leaf) == "succeeded" for leaf in leaves)  # noqa: E731
    wait_until(done, within=10.0, what=lambda: json.dumps(statuses(id)))
    assert statuses(id)["a-slow"] == "running", "the leaves had to wait for the slow body"
    released = {e["node"] for e in events(id, "node.released")}
    assert released
    ended(id)
    assert set(crew.ledger.runs(id).values()) == {1}
    assert not NodeRun.objects.filter(execution=id, node__in=released).exclude(attempt=1).exists()
    pid = {entry.node: entry.pid for entry in crew.ledger.entries(id)}
    assert all(pid[leaf] != pid["a-slow"] for leaf in released)
