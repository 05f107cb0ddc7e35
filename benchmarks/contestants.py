"""Each contestant as the bench sees it: a Python, a driver's module, and a database prepared once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from igon7site.setup.postgres import find_binaries
from igon7site.setup.processes import kill_group, start

from . import proc
from .databases import Databases
from .plan import ABSURD, DBOS, IGON7, SQLITE

ROOT = Path(__file__).resolve().parents[1]
_DRIVERS = {
    IGON7: "benchmarks.drive_igon7",
    SQLITE: "benchmarks.drive_igon7",
    ABSURD: "benchmarks.peers.drive_absurd",
    DBOS: "benchmarks.peers.drive_dbos",
}


class RunFailed(Exception):
    """A driver did not give its figures; the text is what it said last."""


@dataclass
class Contestant:
    """Runs its driver, once for each measurement, on a database of its own."""

    name: str
    databases: Databases
    folder: Path
    python: str = sys.executable

    @property
    def _template(self) -> str:
        return self.name.replace("-", "_")

    def prepare(self) -> None:
        """Make the database whose copies are measured on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.name == SQLITE:
            url = self.databases.sqlite_url(self._template)
        else:
            url = self.databases.create(self._template)
        if self.name in (IGON7, SQLITE):
            self._finish([self.python, "manage.py", "migrate", "--verbosity=0"], url, 120)
        else:
            self._finish([self.python, "-m", _DRIVERS[self.name], "prepare", url], url, 120)

    def run(self, scenario: str, amounts: Mapping[str, Any], deadline: float) -> dict[str, float]:
        """Measure once. Raises RunFailed."""
        with self._database() as url:
            order = {"scenario": scenario, "amounts": amounts, "database": url, "folder": str(self.folder)}
            command = [self.python, "-m", _DRIVERS[self.name], json.dumps(order)]
            said = self._finish(command, url, deadline)
        figures: dict[str, float] = json.loads(said.splitlines()[-1])
        return figures

    @contextmanager
    def _database(self) -> Iterator[str]:
        copy = self.databases.copy_sqlite if self.name == SQLITE else self.databases.copy
        with copy(self._template) as url:
            yield url

    def _finish(self, command: list[str], url: str, deadline: float) -> str:
        child = start(
            command, self._surroundings(url), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, err = child.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"{self.name} gave no figures within {deadline:g} s") from None
        finally:
            _end(child)
        if child.returncode:
            raise RunFailed(f"{self.name} failed:\n{err.decode(errors='replace').strip()[-2000:]}")
        return out.decode()

    def _surroundings(self, url: str) -> dict[str, str]:
        """Return an environment without this installation's configuration."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IGON7_")}
        programs = find_binaries()  # a peer's own tools ask for psql
        return {
            **kept,
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(programs or "")]),
            "DATABASE_URL": url,
            "REDIS_URL": "",
            "IGON7_VAR": str(self.folder),
            "IGON7_ENV_FILE": os.devnull,
            "IGON7_NO_VENV": "1",
            "IGON7_DEMO": "0",
            "IGON7_WORKFLOWS": "benchmarks.workflows",
        }


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a driver that is still there, with its workers: asked to stop, they would wait for the database."""
    if child.poll() is None:
        for pid in proc.tree(child.pid)[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    kill_group(child)
