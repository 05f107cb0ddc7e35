"""What waits for an approval."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import queries
from orchestration.api import shapes
from orchestration.management import command
from orchestration.management.text import clean

JSON = dict[str, Any]


class Command(command.Command):
    help = "List what executions ask people, what is due first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="write one JSON object")

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        found = [shapes.approval(row) for row in queries.approvals(self.principal).iterator()]
        if json:
            return self.write_json({"approvals": found})
        to = self.console()
        if not found:
            return to.print(_("Nothing waits for an approval."))
        shown = command.table(
            "#", _("Execution"), _("Node"), _("Approval"), _("Of whom"), _("Asked"), _("Due")
        )
        for each in found:
            shown.add_row(*map(Text, _cells(each)))
        return to.print(shown)


def _cells(each: JSON) -> list[str]:
    node = clean(each["node"]) + ("" if each["index"] is None else f"[{each['index']}]")
    whom = ", ".join(map(clean, [*each["users"], *each["roles"]])) or _("whoever may control it")
    times = [(each[name] or "–")[:19].replace("T", " ") for name in ("since", "due")]
    return [str(each["id"]), each["execution"], node, clean(each["name"]), whom, *times]
