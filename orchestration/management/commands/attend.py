"""Decide about a node that needs attention."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from orchestration import executor, queries
from orchestration.engine.attention import DECISIONS
from orchestration.management import command


class Command(command.Command):
    help = "Decide about a node that needs attention: retry it, supply its result, skip it or let it fail."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument("node", metavar="NODE", help="the node's id")
        parser.add_argument("decision", choices=DECISIONS, help="what to do")
        parser.add_argument("--result", metavar="JSON", help="what the node gives, for supply")
        parser.add_argument("--reason", default="", help="kept with the node and in the audit")

    def handle(
        self, *args: Any, id: str, node: str, decision: str, result: str | None, reason: str, **options: Any
    ) -> None:
        execution = command.find(self.principal, id)
        value = _json(result)
        executor.attend(execution.id, node, decision, principal=self.principal, result=value, reason=reason)
        execution = queries.execution(self.principal, execution.id)
        said = _("Execution %(id)s is %(status)s.")
        self.stdout.write(said % {"id": execution.id, "status": execution.status})


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text is not None else None
    except ValueError as error:
        raise CommandError(f"--result is not JSON: {error}.") from None
