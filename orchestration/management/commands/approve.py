"""Approve, or reject, what a node asks."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from orchestration import executor
from orchestration.management import command
from orchestration.management.given import read_input


class Command(command.Command):
    help = "Approve, or reject, what a node of an execution asks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument("node", metavar="NODE", help="the node's id")
        parser.add_argument("--reject", action="store_true", help="say no")
        parser.add_argument(
            "--form", metavar="JSON", help="the answers: JSON, @file, or - for standard input"
        )
        parser.add_argument(
            "--wait", type=int, metavar="N", help="which question, as `approvals` numbers them"
        )
        parser.add_argument("--comment", default="", help="told to the body, and kept in the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        execution, node = command.find(self.principal, options["id"]), options["node"]
        told = {"principal": self.principal, "comment": options["comment"], "wait": options["wait"]}
        if options["reject"]:
            executor.reject(execution.id, node, **told)
        else:
            form = read_input(options["form"]) if options["form"] is not None else None
            executor.approve(execution.id, node, form=form, **told)
        said = _("rejected") if options["reject"] else _("approved")
        self.stdout.write(
            _("“%(node)s” of %(id)s is %(said)s.") % {"node": node, "id": execution.id, "said": said}
        )
