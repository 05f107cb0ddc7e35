"""Cancel an execution."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from orchestration import executor, queries
from orchestration.management import command


class Command(command.Command):
    help = "Cancel an execution: nothing new starts in it, and what runs is told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument("--reason", default="", help="kept with the execution and in the audit")

    def handle(self, *args: Any, id: str, reason: str, **options: Any) -> None:
        execution = command.find(self.principal, id)
        executor.cancel(execution.id, principal=self.principal, reason=reason)
        execution = queries.execution(self.principal, execution.id)
        said = _("Execution %(id)s is %(status)s.")
        self.stdout.write(said % {"id": execution.id, "status": execution.status})
