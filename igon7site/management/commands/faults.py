"""Drills: real faults under real load, and the table of what held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console

from tests.faults.table import Report, table

_TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


class Command(BaseCommand):
    help = (
        "Makes faults while executions run, in scratch databases of its own, and counts what igon7 promises."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", choices=[*_TITLES, "both"], default="both")
        parser.add_argument("--only", default="", help="drills, separated by commas")
        parser.add_argument("--seed", type=int, default=7, help="what chance begins with")
        parser.add_argument(
            "--rounds", type=int, default=1, help="how often to run all of it, each with a new seed"
        )
        parser.add_argument("--minutes", type=float, default=0, help="go on with further rounds for so long")
        parser.add_argument("--short", action="store_true", help="a few faults of each kind instead of forty")
        parser.add_argument("--report", help="also write what was counted into this file, as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        chosen = [*_TITLES] if options["database"] == "both" else [options["database"]]
        reports, codes = list[Report](), list[int]()
        for database in chosen:
            found, code = _drill(database, options)
            codes.append(code)
            reports += found
            self._print(database, found, options)
        if options["report"]:
            Path(options["report"]).write_text(json.dumps([report.to_json() for report in reports]))
        if any(codes):
            sys.exit(1)

    def _print(self, database: str, reports: list[Report], options: dict[str, Any]) -> None:
        Console(file=sys.stdout, width=200, highlight=False).print("", table(_TITLES[database], reports))
        for report in reports:
            if report.broken:
                short = " --short" if options["short"] else ""
                only = f"--database {database} --only {report.drill} --seed {report.seed}{short}"
                self.stderr.write(f"{report.drill} broke a promise. Again: python3 manage.py faults {only}")


def _drill(database: str, options: dict[str, Any]) -> tuple[list[Report], int]:
    """Run the drills on one database in a process of its own, which that database is all for."""
    with tempfile.TemporaryDirectory(prefix="igon7-faults-") as scratch:
        path = Path(scratch) / "report.json"
        wanted = {name: options[name] for name in ("seed", "rounds", "minutes", "short")}
        only = [name for name in options["only"].split(",") if name]
        about = {**wanted, "database": database, "only": only, "report": str(path)}
        command = [sys.executable, "-m", "tests.faults", json.dumps(about)]
        code = subprocess.run(command, cwd=settings.BASE_DIR, env=_environment()).returncode
        found = json.loads(path.read_text()) if path.exists() else []
        return [Report.from_json(each) for each in found], code


def _environment() -> dict[str, str]:
    """Return the present environment without this installation's configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IGON7_")}
    return {**kept, "REDIS_URL": "", "IGON7_ENV_FILE": os.devnull, "IGON7_NO_VENV": "1"}
