"""Who may do what, and why."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import queries
from orchestration.management import command
from orchestration.management.text import clean
from orchestration.queries.access import Entitlement, entitlements_of, entitlements_on


class Command(command.Command):
    help = "Show who may do what with a workflow, or what a person may do, and why."

    def add_arguments(self, parser: CommandParser) -> None:
        about = parser.add_mutually_exclusive_group(required=True)
        about.add_argument("--workflow", metavar="NAME")
        about.add_argument("--person", metavar="NAME")
        parser.add_argument("--json", action="store_true", help="write one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        found = self._found(options["workflow"], options["person"])
        if options["json"]:
            for each in found:
                self.write_json(each.to_json())
            return
        shown = command.table(_("May"), _("Person"), _("Role"), _("On"))
        for each in found:
            on = each.workflow or (f"#{each.tag}" if each.tag else _("all workflows"))
            cells = (each.permission, each.person or "–", each.role or "–", on)
            shown.add_row(*(Text(clean(cell)) for cell in cells))
        self.console().print(shown)

    def _found(self, workflow: str | None, name: str | None) -> list[Entitlement]:
        if workflow:
            return entitlements_on(queries.workflow(self.principal, workflow))
        person = get_user_model()._default_manager.filter(username=name).first()
        if person is None:
            self.refuse(_("There is no person “%s”.") % name)
        return entitlements_of(person, self.principal)
