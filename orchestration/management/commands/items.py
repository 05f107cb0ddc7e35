"""What became of a map's items."""

from __future__ import annotations

import json as json_module
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import queries
from orchestration.management import command
from orchestration.management.text import clean, status, took

JSON = dict[str, Any]


class Command(command.Command):
    help = "List the items of a map, in their order."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument("node", metavar="NODE", help="the map")
        parser.add_argument("--status", choices=queries.ITEM_STATUSES, help="only items that stand so")
        parser.add_argument("--after", type=int, default=-1, metavar="INDEX", help="those behind this one")
        parser.add_argument("--limit", type=int, default=50, help="at most so many (50; up to 500)")
        parser.add_argument("--json", action="store_true", help="write one JSON object")

    def handle(self, *args: Any, id: str, node: str, **options: Any) -> None:
        execution = command.find(self.principal, id)
        shown = queries.map_of(execution, node)
        given = {name: options[name] for name in ("status", "after", "limit")}
        page = queries.items_page(execution, node, **given)
        found = queries.items_json(execution, node, page.items)
        if options["json"]:
            counts = queries.item_counts(execution, node)
            shape = {"node": node, "items": shown, "counts": counts, "results": found, "next": page.next}
            return self.write_json(shape)
        self._show(found, page.next)
        return None

    def _show(self, found: list[JSON], following: int | None) -> None:
        to = self.console()
        if not found:
            to.print(_("There are no such items."))
            return
        table = command.table(_("Item"), _("Status"), _("Attempt"), _("Duration"), _("Value"), _("Result"))
        for each in found:
            table.add_row(*_cells(each))
        to.print(table)
        if following is not None:
            to.print(Text(_("There are more: --after %(index)d") % {"index": following}, "dim"))


def _cells(each: JSON) -> list[Text]:
    error = each["error"]
    gave = f"{error['type']}: {error['message']}" if error else _plain(each["result"])
    return [
        Text(str(each["index"])),
        status(each["status"]),
        Text(str(each["attempt"] or "")),
        Text(took(each["duration_ms"])),
        Text(_plain(each["item"])),
        Text(clean(gave)[:200]),
    ]


def _plain(value: Any) -> str:
    return clean(json_module.dumps(value, ensure_ascii=False))[:200] if value is not None else ""
