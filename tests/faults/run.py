"""Runs drills one after the other, in one database, and writes down what they have shown."""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from django.core.management import call_command

from igon7site.setup.postgres import Server
from orchestration import registry

from .crew import Crew, Trial
from .drills import DRILLS, Drill
from .promises import PROMISES
from .table import Count, Report


def run(options: dict[str, Any], folder: Path, server: Server | None, disk: Path | None) -> int:
    """Run the chosen drills, again and again while there are rounds or minutes left; return the exit code."""
    if unknown := sorted(set(options["only"]) - set(DRILLS)):
        print(f"There is no drill {', '.join(unknown)}. There are: {', '.join(DRILLS)}.", file=sys.stderr)
        return 2
    call_command("migrate", verbosity=0)
    registry.discover()
    crew = Crew(folder, server, disk)
    reports: dict[str, Report] = {}
    deadline = time.monotonic() + options["minutes"] * 60
    turn = 0
    try:
        while turn < options["rounds"] or time.monotonic() < deadline:
            for name in options["only"] or DRILLS:
                found = _run(DRILLS[name], crew, options, options["seed"] + turn)
                _tell(found)
                if name in reports:
                    reports[name].add(found)
                else:
                    reports[name] = found
                Path(options["report"]).write_text(json.dumps([each.to_json() for each in reports.values()]))
            turn += 1
    finally:
        crew.end()
    return int(any(report.broken for report in reports.values()))


def _run(drill: Drill, crew: Crew, options: dict[str, Any], seed: int) -> Report:
    report = Report(options["database"], drill.name, drill.fault, seed)
    report.skipped = drill.lacks(crew)
    if report.skipped:
        return report
    report.times = drill.short if options["short"] else drill.times
    began = time.monotonic()
    crew.muster()
    trial = Trial(crew, random.Random(f"{seed} {drill.name}"), report.times)
    try:
        drill.run(trial)
        evidence = trial.finish()
    except Exception:
        trial.check(False, f"the drill was cut short: {traceback.format_exc()}\n{crew.logs()}")
        crew.end()
        evidence = trial.evidence([])
    for name, promise in PROMISES.items():
        report.counts[name] = Count()
        promise(evidence, report.counts[name])
    report.counts["own"] = trial.own
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _tell(report: Report) -> None:
    said = f"skipped, {report.skipped}" if report.skipped else f"{report.times} times, {report.seconds} s"
    print(f"{report.database} {report.drill}: {said}{', BROKEN' if report.broken else ''}", flush=True)
    for sentence in report.broken:
        print(f"    {sentence}", flush=True)
