"""Send a signal to an execution."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from orchestration import executor
from orchestration.management import command
from orchestration.management.given import read_input


class Command(command.Command):
    help = "Send a signal to an execution. It is kept until a body asks for its name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument(
            "name", metavar="NAME", help="cancel, terminate, pause and resume do what they say"
        )
        parser.add_argument("--payload", metavar="JSON", help="JSON, @file, or - for standard input")
        parser.add_argument("--id", dest="sent_id", metavar="ID", help="sent again under it, it counts once")

    def handle(self, *args: Any, **options: Any) -> None:
        execution, name = command.find(self.principal, options["id"]), options["name"]
        payload = read_input(options["payload"])
        executor.send_signal(execution.id, name, payload, principal=self.principal, id=options["sent_id"])
        told = {"id": execution.id, "name": name}
        self.stdout.write(_("Execution %(id)s has been sent the signal “%(name)s”.") % told)
