"""Decide about one node."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from orchestration import executor
from orchestration.engine.attention import DECISIONS
from orchestration.management import acts
from orchestration.models import Execution


class Command(acts.Act):
    help = (
        "Decide about a node that needs attention: retry it, supply its result, skip it or let it fail. "
        "A node that has not begun, or that failed in an execution that has ended, can be skipped or given a result."
    )
    takes_input = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("node", metavar="NODE", help="the node's id")
        parser.add_argument("decision", choices=DECISIONS, help="what to do")
        parser.add_argument("--reopen", action="store_true", help="of an execution that has ended, too")
        parser.add_argument("--result", metavar="JSON", help="what the node gives, for supply")

    def handle(self, *args: Any, **options: Any) -> None:
        self.verb = options["decision"]
        super().handle(*args, **options)

    def concerns(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"node": options["node"]}

    def act(self, execution: Execution, options: dict[str, Any], given: dict[str, Any]) -> Any:
        given |= {"result": _json(options["result"]), "reopen": options["reopen"]}
        executor.attend(execution.id, options["node"], options["decision"], principal=self.principal, **given)


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text is not None else None
    except ValueError as error:
        raise CommandError(f"--result is not JSON: {error}.") from None
