"""The newest executions."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import queries
from orchestration.api import shapes
from orchestration.management import command
from orchestration.management.text import ago, clean, status, took
from orchestration.models import Execution

MOST = 1000


class Command(command.Command):
    help = "List executions, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--status", action="append", default=[], help="only with this status; may be repeated"
        )
        parser.add_argument(
            "--workflow", action="append", default=[], help="only of this workflow; may be repeated"
        )
        parser.add_argument(
            "--parent", metavar="ID", default="", help="only those that this execution has started"
        )
        parser.add_argument("--limit", type=_limit, default=20, help="how many at most (default %(default)s)")
        parser.add_argument("--json", action="store_true", help="write one JSON array")

    def handle(self, *args: Any, limit: int, json: bool, **options: Any) -> None:
        asked = {name: options[name] for name in ("status", "workflow")}
        for name in asked["workflow"]:
            queries.workflow(self.principal, name)  # a misspelt name is an error, not an empty list
        if options["parent"]:
            asked["parent"] = [str(command.find(self.principal, options["parent"]).pk)]
        filters = queries.ExecutionFilter.from_query(asked)
        rows = queries.executions(self.principal, filters).defer("input", "output", "version__definition")
        found = list(rows[:limit])
        if json:
            return self.write_json([shapes.execution_summary(each) for each in found])
        to = self.console()
        if not found:
            to.print(_("No executions yet.") if not any(asked.values()) else _("No executions like that."))
            return None
        to.print(_table(found))
        return None


def _table(found: list[Execution]) -> Any:
    shown = command.table(_("Execution"), _("Workflow"), _("Status"), _("Started"), _("Duration"), _("By"))
    for each in found:
        shown.add_row(
            str(each.id),
            Text(f"{clean(each.workflow.name)} v{each.version.number}"),
            status(each.status),
            ago(each.created_at),
            took(queries.duration_ms(each.started_at, each.finished_at)),
            Text(clean(each.principal.get("name", ""))),
        )
    return shown


def _limit(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MOST:
        return int(text)
    raise ArgumentTypeError(f'"{text}" is not a number from 1 to {MOST}')
