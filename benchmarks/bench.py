"""One run of the benchmarks: who takes part, round by round, and what is kept of it."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django

from igon7site.setup.postgres import private_postgres

from . import venvs
from .contestants import Contestant, RunFailed
from .databases import Databases, Pgbench
from .plan import PEERS, PGBENCH_SECONDS, QUICK_PGBENCH_SECONDS, SCENARIOS, TARGETS, Scenario
from .report import COMMIT, Run, Verdict, as_json, number, spreads, verdicts


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for."""

    scenarios: Sequence[Scenario]
    rounds: int
    quick: bool
    peers: bool
    contestants: Sequence[str]


@dataclass
class Bench:
    """Measures, interleaved, and keeps every run."""

    options: Options
    folder: Path
    say: Callable[[str], None]
    runs: list[Run] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    _versions: dict[str, Any] = field(default_factory=dict)

    def run(self) -> list[Verdict]:
        """Measure everything and return the verdicts. Raises NoPostgres."""
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(TemporaryDirectory(prefix="igon7-bench-", dir="/tmp")))
            if filesystem(scratch) == "tmpfs":
                self.say("/tmp lies in memory: a commit waits for no disk here, and ratios say little.")
            databases = Databases(stack.enter_context(private_postgres()), scratch)
            self._versions["postgresql"] = databases.version()
            pgbench = Pgbench(databases)
            if not pgbench.here:
                self.skipped["pgbench"] = "there is no pgbench beside initdb"
            present = self._present(databases, scratch)
            for round in range(1, self.options.rounds + 1):
                for scenario in self.options.scenarios:
                    self._measure(round, scenario, present, pgbench)
        return verdicts(spreads(self.runs), [t for t in TARGETS if self._asked(t.scenario)])

    def _present(self, databases: Databases, scratch: Path) -> dict[str, Contestant]:
        """Prepare who takes part; say who cannot, and why."""
        present = {}
        for name in self._wanted():
            one = Contestant(name, databases, scratch / name)
            try:
                if name in PEERS:
                    one.python = venvs.python_of(name, self.folder / "venvs")
                    self._versions |= venvs.versions(name)
                one.prepare()
            except venvs.NoPeer as why:
                self.skipped[name] = str(why)
                self.say(f"{name} is skipped: {why}")
            except RunFailed as why:
                self.failed.append(f"preparing: {why}")
                self.say(f"preparing: {why}")
            else:
                present[name] = one
        return present

    def _wanted(self) -> list[str]:
        asked = {name for scenario in self.options.scenarios for name in scenario.contestants}
        return [
            name
            for name in self.options.contestants
            if name in asked and (self.options.peers or name not in PEERS)
        ]

    def _measure(
        self, round: int, scenario: Scenario, present: dict[str, Contestant], pgbench: Pgbench
    ) -> None:
        if pgbench.here:
            seconds = QUICK_PGBENCH_SECONDS if self.options.quick else PGBENCH_SECONDS
            self._keep(round, scenario, COMMIT, {"commit_ms": pgbench.commit_ms(seconds)})
        amounts = scenario.quick if self.options.quick else scenario.full
        for name, one in present.items():
            if name in scenario.contestants:
                try:
                    figures = one.run(scenario.name, amounts, scenario.deadline)
                except RunFailed as why:
                    self.failed.append(f"{scenario.name}: {why}")
                    self.say(f"{scenario.name}: {why}")
                else:
                    self._keep(round, scenario, name, figures)

    def _keep(self, round: int, scenario: Scenario, contestant: str, figures: dict[str, float]) -> None:
        self.runs.append(Run(round, scenario.name, contestant, figures))
        told = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
        self.say(f"round {round}  {scenario.name:8} {contestant:13} {told}")

    def _asked(self, scenario: str) -> bool:
        return any(one.name == scenario for one in self.options.scenarios)

    def keep(self, judged: Sequence[Verdict]) -> Path:
        """Write the JSON and return its path."""
        now = dt.datetime.now(dt.UTC)
        about = {
            "at": now.isoformat(timespec="seconds"),
            "quick": self.options.quick,
            "machine": machine(),
            "versions": {"python": platform.python_version(), "django": django.__version__, **self._versions},
            "skipped": self.skipped,
            "failed": self.failed,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{now:%Y-%m-%dT%H-%M-%S}.json"
        path.write_text(json.dumps(as_json(about, self.runs, judged), ensure_ascii=False, indent=1) + "\n")
        return path


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "filesystem": filesystem(Path("/tmp")),
        "load": os.getloadavg()[0],
    }


def filesystem(path: Path) -> str:
    """Return the type of the filesystem that the path lies on."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = [(len(place), kind) for _, place, kind, *_ in mounts if path.resolve().is_relative_to(place)]
    return max(found)[1] if found else "unknown"


def named(names: str) -> list[Scenario]:
    """Return the scenarios of a list such as "chain,fan". Raises ValueError with the known names."""
    known = {one.name: one for one in SCENARIOS}
    asked = [name.strip() for name in names.split(",")] if names else list(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"There is no scenario {', '.join(unknown)}; there are {', '.join(known)}.")
    return [known[name] for name in asked]
