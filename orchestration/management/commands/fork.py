"""Start an execution from a node of another."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestration import executor
from orchestration.management import acts
from orchestration.models import Execution


class Command(acts.Act):
    help = "Start an execution that takes over another's results up to a node, and runs from there."
    verb = "fork"
    takes_input = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("node", metavar="NODE", help="the node to begin with")

    def concerns(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"node": options["node"]}

    def act(self, execution: Execution, options: dict[str, Any], given: dict[str, Any]) -> Any:
        return executor.fork(execution.id, options["node"], principal=self.principal, **given)
