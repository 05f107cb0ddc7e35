"""Traces replayed by a real cluster: each task once, none before its parents, in little more than the critical path.

IGON7_TRACES names a folder of further traces to replay, at a tenth of their runtimes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from igon7site.demo.trace import critical_path, parse, trace_workflow
from orchestration.models import Execution, NodeRun
from tests.cluster import (
    ROOT,
    begin,
    check_order,
    ended,
    events,
    transactional_db,  # noqa: F401 - a fixture
)
from tests.demo.conftest import DATA

SAMPLE = DATA / "trace-sample.json"
OTHERS = sorted(Path(os.environ["IGON7_TRACES"]).glob("*.json")) if os.environ.get("IGON7_TRACES") else []


def check_replay(execution: Any, path: Path, factor: float) -> float:
    """Check that the execution is the trace's replay; return its makespan in seconds."""
    trace = parse(path.read_bytes())
    rows: dict[str, Any] = {run.node: run for run in NodeRun.objects.filter(execution=execution)}
    assert set(rows) == {each.id for each in trace.tasks}
    started = [event["node"] for event in events(execution.pk, "node.started")]
    assert sorted(started) == sorted(rows), "every task starts once"
    for each in trace.tasks:
        run = rows[each.id]
        assert (run.status, run.attempt) == ("succeeded", 1)
        assert run.result["slept"] >= each.runtime * factor - 1e-3
        assert all(run.started_at >= rows[parent].finished_at for parent in each.parents)
    check_order(execution.pk)
    return (execution.finished_at - execution.started_at).total_seconds()


@pytest.mark.alone
@pytest.mark.parametrize(
    ("path", "factor"),
    [(SAMPLE, 0.03), *((path, 0.1) for path in OTHERS)],
    ids=lambda value: value.stem if isinstance(value, Path) else f"x{value}",
)
def test_a_replay_takes_little_longer_than_the_critical_path(crew, path, factor):
    trace = parse(path.read_bytes())
    shortest = critical_path(trace, factor)
    execution = ended(begin(trace_workflow(trace, factor)), within=3 * shortest + 30)
    makespan = check_replay(execution, path, factor)
    print(f"{path.stem}: {len(trace.tasks)} tasks, critical path {shortest:.2f} s, makespan {makespan:.2f} s")
    assert shortest <= makespan <= 1.1 * shortest + 1.0


def test_the_command_follows_a_replay_to_its_end(crew, child_environment):
    command = [sys.executable, "manage.py", "trace", str(SAMPLE), "--factor", "0.02", "--follow", "--json"]
    done = subprocess.run(
        command, env=child_environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *lines, result, ended_line = [json.loads(line) for line in done.stdout.splitlines()]
    execution = Execution.objects.get(pk=first["execution"])
    check_replay(execution, SAMPLE, 0.02)
    assert (first["trace"], first["tasks"]) == ("orchard-panorama", 14)
    assert [line["seq"] for line in lines] == list(range(1, execution.seq + 1))
    assert (lines[-1]["type"], result["type"]) == ("execution.completed", "result")
    assert ended_line["critical_path"] == pytest.approx(
        critical_path(parse(SAMPLE.read_bytes()), 0.02), abs=1e-3
    )
    assert ended_line["makespan"] >= ended_line["critical_path"]


def test_a_malformed_trace_is_refused_naming_the_field_and_nothing_is_made(crew, child_environment, tmp_path):
    data = json.loads(SAMPLE.read_text())
    data["workflow"]["execution"]["tasks"][0]["runtimeInSeconds"] = "soon"
    (tmp_path / "bad.json").write_text(json.dumps(data))
    before = Execution.objects.count()
    done = subprocess.run(
        [sys.executable, "manage.py", "trace", str(tmp_path / "bad.json")],
        env=child_environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "runtimeInSeconds" in done.stderr
    assert "Traceback" not in done.stderr
    assert Execution.objects.count() == before
