"""What an execution was told."""

from __future__ import annotations

import json as json_module
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import queries
from orchestration.management import command
from orchestration.management.text import clean

JSON = dict[str, Any]


class Command(command.Command):
    help = "List the signals that an execution was sent, in order of receipt."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument("--json", action="store_true", help="write one JSON object")

    def handle(self, *args: Any, id: str, json: bool, **options: Any) -> None:
        execution = command.find(self.principal, id)
        found = [queries.signal_json(row, execution) for row in queries.signals(execution.id).iterator()]
        if json:
            return self.write_json({"signals": found})
        to = self.console()
        if not found:
            return to.print(_("It has been sent no signals."))
        shown = command.table(_("Signal"), _("By"), _("Received"), _("State"), _("Payload"))
        for each in found:
            shown.add_row(*map(Text, _cells(each)))
        return to.print(shown)


def _cells(each: JSON) -> list[str]:
    state = each["state"]
    if each["node"]:
        name = clean(each["node"]) + ("" if each["index"] is None else f"[{each['index']}]")
        state = _("read by %(node)s") % {"node": name}
    received = each["received_at"][:19].replace("T", " ")
    payload = clean(json_module.dumps(each["payload"], ensure_ascii=False))
    return [clean(each["name"]), clean(each["by"]), received, state, payload[:200]]
