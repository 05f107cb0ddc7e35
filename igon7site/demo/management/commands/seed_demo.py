"""Start each demo workflow once, so that the console has something to show on its first day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand

from igon7site.demo.trace import parse, trace_workflow
from orchestration import executor
from security.principals import Principal

TRACE_FACTOR = 0.5


class Command(BaseCommand):
    help = "Start flight-delays and a replay of the shipped trace, once each."

    def handle(self, *args: Any, **options: Any) -> None:
        principal = Principal.system("demo")
        # The key makes a second call within the day start nothing.
        executor.start("flight-delays", principal=principal, idempotency_key="demo", tags=["first-run"])
        trace = parse((Path(apps.get_app_config("demo").path) / "data" / "trace-sample.json").read_bytes())
        workflow = trace_workflow(trace, TRACE_FACTOR)
        executor.start(workflow, principal=principal, idempotency_key="demo", tags=["first-run"])
