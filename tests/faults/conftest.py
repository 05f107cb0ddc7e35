"""The drills run once, in processes and databases of their own; each is then a test, and the table is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from rich.console import Console

from orchestration import executor
from orchestration.engine.states import EXECUTION_LIVE
from orchestration.models import Execution
from tests.cluster import ME

from .table import Report, table

_REPORTS = pytest.StashKey[list[Report]]()


@pytest.fixture(scope="session")
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """What `manage.py faults --short` has found, for the drills that were selected, on this run's kind of database."""
    chosen = [item.callspec.params["drill"] for item in request.session.items if _is_drill(item)]  # type: ignore[attr-defined]
    path = tmp_path_factory.mktemp("faults") / "report.json"
    database = {"postgresql": "postgres"}.get(connection.vendor, connection.vendor)
    options = ["--short", f"--database={database}", f"--only={','.join(chosen)}", f"--report={path}"]
    done = subprocess.run(
        [sys.executable, "manage.py", "faults", *options],
        cwd=settings.BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
    )  # fmt: skip
    if not path.exists():
        pytest.fail(f"The drills did not run:\n{done.stdout}")
    found = [Report.from_json(each) for each in json.loads(Path(path).read_text())]
    request.config.stash[_REPORTS] = found
    return {report.drill: report for report in found}


def _is_drill(item: pytest.Item) -> bool:
    return "drill" in getattr(getattr(item, "callspec", None), "params", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of faults × promises."""
    found = config.stash.get(_REPORTS, [])
    if found:
        terminalreporter.section("faults × promises: how often each was checked, and held")
        console = Console(width=200, highlight=False, file=terminalreporter._tw._file)
        console.print(table("", found))


@pytest.fixture(autouse=True)
def _nothing_left_to_run(request):
    """End what a test leaves open, so that the next one's cluster does not run it."""
    yield
    if "transactional_db" in request.fixturenames:
        for execution in Execution.objects.filter(status__in=sorted(EXECUTION_LIVE)):
            executor.terminate(execution.pk, principal=ME)
