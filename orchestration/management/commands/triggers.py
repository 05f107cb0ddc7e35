"""What starts workflows, and deciding about it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import executor, queries
from orchestration.management import command
from orchestration.management.text import clean


class Command(command.Command):
    help = "List the events that start workflows, or decide whether one does."

    def add_arguments(self, parser: CommandParser) -> None:
        does = parser.add_subparsers(dest="what", required=True)
        listing = does.add_parser("list", help="what starts which workflow, and for whom it acts")
        listing.add_argument("--workflow", metavar="NAME", help="only of this workflow")
        listing.add_argument("--json", action="store_true", help="write one JSON object a line")
        for name, about in (
            ("enable", "let events start a workflow"),
            ("disable", "let them start it no more"),
        ):
            deciding = does.add_parser(name, help=about)
            deciding.add_argument("workflow", metavar="WORKFLOW")
            deciding.add_argument("event", metavar="EVENT")
            deciding.add_argument("--reason", default="", help="kept in the audit")
            if name == "enable":
                deciding.add_argument(
                    "--owner", metavar="PERSON", help="whom it acts for (default: the system)"
                )

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        if what == "list":
            return self._list(options)
        about = {"principal": self.principal, "reason": options["reason"]}
        if what == "enable":
            executor.enable_trigger(options["workflow"], options["event"], owner=options["owner"], **about)
            said = _("The event “%(event)s” starts “%(workflow)s”.")
        else:
            executor.disable_trigger(options["workflow"], options["event"], **about)
            said = _("The event “%(event)s” does not start “%(workflow)s” any more.")
        named = {"event": clean(options["event"]), "workflow": clean(options["workflow"])}
        return self.stdout.write(said % named)

    def _list(self, options: dict[str, Any]) -> None:
        name = options["workflow"]
        one = queries.workflow(self.principal, name) if name else None
        rows = queries.triggers_of(one) if one else queries.triggers(self.principal)
        found = [queries.trigger_json(row) for row in rows]
        if options["json"]:
            for each in found:
                self.write_json(each)
            return
        shown = command.table(_("Workflow"), _("Event"), _("Filter"), _("Enabled"), _("Acts for"))
        for each in found:
            cells = (each["workflow"], each["event"], each["filter"] or each["function"] or "")
            enabled = _("yes") if each["enabled"] else _("no")
            shown.add_row(*(Text(clean(cell)) for cell in cells), enabled, Text(clean(each["owner"] or "–")))
        self.console().print(shown)
