"""What is cached, and invalidating it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rich.text import Text

from orchestration import executor, queries
from orchestration.management import command
from orchestration.management.text import ago, clean


class Command(command.Command):
    help = "List the cached results of nodes, or invalidate them."

    def add_arguments(self, parser: CommandParser) -> None:
        does = parser.add_subparsers(dest="what", required=True)
        listing = does.add_parser("list", help="what is cached, the newest first")
        listing.add_argument("--workflow", metavar="NAME", help="only of this workflow")
        listing.add_argument("--node", metavar="ID", help="only of this node")
        listing.add_argument("--limit", type=int, default=50, help="how many at most")
        listing.add_argument("--json", action="store_true", help="write one JSON object a line")
        ending = does.add_parser("invalidate", help="let nobody take it over any more")
        ending.add_argument("--workflow", metavar="NAME", help="what is cached of this workflow")
        ending.add_argument("--node", metavar="ID", help="of this node of it alone")
        ending.add_argument("--tag", help="what is cached with this tag")
        ending.add_argument("--reason", default="", help="kept in the audit")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        if what == "list":
            self._list(options)
            return
        given = {name: options[name] for name in ("workflow", "node", "tag", "reason")}
        count = executor.invalidate_cache(principal=self.principal, **given)
        said = ngettext("%d cached result is invalid now.", "%d cached results are invalid now.", count)
        self.stdout.write(said % count)

    def _list(self, options: dict[str, Any]) -> None:
        if options["workflow"]:
            queries.workflow(self.principal, options["workflow"])  # one that there is not is refused
        rows = queries.cache_entries(self.principal, options["workflow"], options["node"])
        found = rows[: max(1, options["limit"])]
        if options["json"]:
            for row in found:
                self.write_json(queries.entry_json(row))
            return
        shown = command.table(_("Workflow"), _("Node"), _("Execution"), _("Bytes"), _("Kept"), _("Until"))
        for row in found:
            names = (Text(clean(row.workflow)), Text(clean(row.node)), str(row.execution))
            shown.add_row(*names, str(row.size), ago(row.at), row.expires_at.strftime("%Y-%m-%d %H:%M:%S"))
        self.console().print(shown)
