"""The events that were sent, and what became of them."""

from __future__ import annotations

import json as json_module
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import queries
from orchestration.management import command
from orchestration.management.text import ago, clean
from orchestration.models import Event


class Command(command.Command):
    help = "List the events that were sent to everyone, newest first; with an ID, one of them and what became of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", nargs="?", help="one event")
        parser.add_argument("--name", default="", help="only of this name")
        parser.add_argument("--source", default="", help="only from there")
        about = "started, woke, nobody (has been given it) or open (still being delivered)"
        parser.add_argument("--fate", default="", help=about)
        parser.add_argument("--since", metavar="WHEN", default="", help="2026-01-31T12:00, or 24h")
        parser.add_argument("--limit", type=int, default=20, help="how many at most")
        parser.add_argument("--json", action="store_true", help="write one JSON object a line")

    def handle(self, *args: Any, id: str | None, **options: Any) -> None:
        if id is not None:
            return self._show(queries.event(self.principal, id), options["json"])
        names = ("name", "source", "fate", "since")
        filters = queries.EventFilter.from_query({name: options[name] for name in names})
        rows = list(queries.events(self.principal, filters)[: max(1, options["limit"])])
        fates = queries.fates(rows)
        if options["json"]:
            for row in rows:
                self.write_json(queries.broadcast_json(row, fates[row.pk]))
            return None
        shown = command.table(_("Event"), _("Name"), _("From"), _("Accepted"), _("What became of it"))
        for row in rows:
            cells = (str(row.pk), Text(clean(row.name)), Text(clean(row.sender)), ago(row.accepted_at))
            shown.add_row(*cells, str(fates[row.pk]))
        return self.console().print(shown)

    def _show(self, row: Event, json: bool) -> None:
        found = list(queries.receipts(self.principal, row)[:200])
        fate = queries.fates([row])[row.pk]
        told = queries.broadcast_json(row, fate) | {
            "receipts": [queries.receipt_json(each) for each in found]
        }
        if json:
            return self.write_json(told)
        to = self.console()
        to.print(Text(f"{clean(row.name)} {row.pk}: {fate}"))
        to.print(Text(clean(json_module.dumps(row.data, ensure_ascii=False))[:2000]))
        shown = command.table(_("Workflow"), _("What became of it"), _("Execution"), _("Node"), _("Why not"))
        for each in found:
            word, execution = each.get_outcome_display(), str(each.execution_id or "")
            shown.add_row(
                Text(clean(each.workflow.name)),
                word,
                execution,
                *map(Text, map(clean, (each.node, each.why))),
            )
        return to.print(shown)
