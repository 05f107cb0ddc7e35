"""The benchmarks themselves, on small amounts: real databases, real workers, real figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import proc
from igon7site.setup.postgres import find_binaries

ROOT = Path(__file__).resolve().parents[2]
MARK = "BENCH_TEST_RUN"  # a variable that all processes of a run inherit
# One run sees both databases.
pytestmark = [
    pytest.mark.once,
    pytest.mark.alone,
    pytest.mark.skipif(find_binaries() is None, reason="no PostgreSQL server binaries here"),
]


def bench(var: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict]:
    """Run the command away from this installation and the package index; return it and the JSON it kept."""
    surroundings = {
        **os.environ,
        "IGON7_VAR": str(var),
        "IGON7_ENV_FILE": os.devnull,
        "IGON7_NO_VENV": "1",
        "PIP_NO_INDEX": "1",
        MARK: str(var),
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "bench", *arguments],
        cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    kept = list((var / "bench").glob("*.json"))
    assert len(kept) == 1, done.stdout + done.stderr
    return done, json.loads(kept[0].read_text())


def test_a_quick_chain_gives_figures_of_both_databases_and_keeps_them(tmp_path):
    arguments = ["--quick", "--only=chain", "--rounds=1", "--no-peers"]
    done, kept = bench(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [run["contestant"] for run in kept["runs"]] == ["pgbench", "igon7", "igon7-sqlite"]
    for run in kept["runs"][1:]:
        # 99 hops are in the whole, which is made of nothing but them, the start and the end.
        assert 0 < run["figures"]["hop_ms"] * 99 < run["figures"]["whole_ms"] < 60_000
    assert set(kept["versions"]) == {"python", "django", "postgresql"}
    assert kept["machine"]["cores"] == os.cpu_count()
    assert [one["verdict"] for one in kept["verdicts"]] == ["not measured"]
    assert "A hop of igon7's chain costs" in done.stdout
    assert not _left_of(tmp_path)


def test_a_peer_that_cannot_be_installed_is_skipped_with_the_reason(tmp_path):
    done, kept = bench(tmp_path, "--quick", "--only=chain", "--contestants=absurd")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "absurd is skipped: its environment could not be made" in done.stdout
    assert "absurd-sdk==" in kept["skipped"]["absurd"]
    assert [run["contestant"] for run in kept["runs"]] == ["pgbench"]


def _left_of(var: Path) -> list[str]:
    """Return the command lines of the run's processes that are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                surroundings = (entry / "environ").read_bytes()
                if f"{MARK}={var}".encode() in surroundings:
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return found


def test_cpu_seconds_count_a_child_that_works_and_one_that_has_ended():
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]]); input()"
    busy = (
        "import time\nwhile time.process_time() < 0.4: pass"  # the kernel counts in ticks, and cuts them off
    )
    child = subprocess.Popen([sys.executable, "-c", program, busy], stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while proc.cpu_seconds([child.pid]) < 0.3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert proc.parent(child.pid) == os.getpid()
        assert child.pid in proc.tree(os.getpid())
        assert 1 < proc.pss_mib(child.pid) < 100
    finally:
        child.communicate()
