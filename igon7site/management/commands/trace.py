"""Replay a WfCommons trace: its tasks and edges, asleep for as long as they once ran."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.management.base import CommandParser

from igon7site.demo.trace import Trace, critical_path, parse, trace_workflow
from orchestration import executor
from orchestration.management.command import Command as DoorCommand
from orchestration.management.follow import follow
from orchestration.models import Execution

_DEMO = "igon7site.demo"
_FACTOR_MOST = 1_000.0


class Command(DoorCommand):
    help = "Replay a WfCommons trace (WfFormat 1.4 to 1.6) as a workflow whose nodes sleep."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", type=Path, metavar="FILE", help="default: the trace igon7 ships"
        )
        parser.add_argument(
            "--factor",
            type=_factor,
            default=0.1,
            help="what runtimes are multiplied by (default %(default)s)",
        )
        parser.add_argument("--follow", action="store_true", help="stay until the end; exit by the outcome")
        parser.add_argument("--json", action="store_true", help="print JSON lines")

    def handle(self, *args: Any, file: Path | None, factor: float, **options: Any) -> None:
        if not apps.is_installed(_DEMO):
            self.refuse("Traces are part of the demo, which is off here: set IGON7_DEMO=1.")
        trace = self._read(file)
        id = executor.start(trace_workflow(trace, factor), principal=self.principal)
        self._say_started(id, trace, factor, **options)
        if options["follow"]:
            code = follow(id, json=options["json"], out=self.stdout)
            self._say_ended(id, critical_path(trace, factor), **options)
            sys.exit(code)

    def _read(self, file: Path | None) -> Trace:
        path = file or Path(apps.get_app_config("demo").path) / "data" / "trace-sample.json"
        try:
            return parse(path.read_bytes())
        except OSError as error:
            self.refuse(f'The trace "{path}" cannot be read: {error.strerror}.')

    def _say_started(self, id: UUID, trace: Trace, factor: float, **options: Any) -> None:
        if options["json"]:
            started = {"execution": str(id), "trace": trace.name, "tasks": len(trace.tasks), "factor": factor}
            self.stdout.write(json.dumps(started))
        else:
            self.stdout.write(
                f"{trace.name}: {len(trace.tasks)} tasks, runtimes × {factor:g}. Execution {id}"
            )

    def _say_ended(self, id: UUID, shortest: float, **options: Any) -> None:
        """Compare how long it took with the longest chain of sleeps, in seconds."""
        execution = Execution.objects.get(pk=id)
        if execution.started_at is None or execution.finished_at is None:
            return  # whoever followed left before the end
        makespan = (execution.finished_at - execution.started_at).total_seconds()
        if options["json"]:
            ended = {"makespan": round(makespan, 3), "critical_path": round(shortest, 3)}
            self.stdout.write(json.dumps(ended))
        else:
            self.stdout.write(f"Makespan {makespan:.2f} s; critical path {shortest:.2f} s.")


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = -1.0
    if not 0 <= factor <= _FACTOR_MOST:
        raise ArgumentTypeError(f'"{text}" is not a number from 0 to {_FACTOR_MOST:g}')
    return factor
