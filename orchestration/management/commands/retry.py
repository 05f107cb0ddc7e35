"""Run again what failed in an execution."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestration.management import acts


class Command(acts.Act):
    help = "Run again what failed or was cancelled in an execution that has ended, or one node and what follows it."
    verb = "retry"
    takes_input = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--node", help="the node to begin with, however it ended; it may be given another input"
        )

    def concerns(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"node": options["node"]}
