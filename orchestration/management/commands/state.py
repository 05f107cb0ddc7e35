"""Shared state: what bodies have stored, and changing it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import executor, queries
from orchestration.management import command
from orchestration.management.given import read_input
from orchestration.management.text import ago, clean
from orchestration.queries.state import previewed, state_entry, state_json, writers


class Command(command.Command):
    help = "List, read, set or delete what bodies share: of an execution, a workflow, or all."

    def add_arguments(self, parser: CommandParser) -> None:
        does = parser.add_subparsers(dest="what", required=True)
        listing = does.add_parser("list", help="the keys, in their order")
        listing.add_argument("--search", metavar="TEXT", help="only keys with this in them")
        listing.add_argument("--after", metavar="KEY", help="only keys behind this one")
        listing.add_argument("--limit", type=int, default=50, help="how many at most")
        listing.add_argument("--json", action="store_true", help="write one JSON object a line")
        getting = does.add_parser("get", help="one value, as JSON")
        getting.add_argument("--json", action="store_true", help="with its version, and who changed it last")
        setting = does.add_parser("set", help="set a value")
        deleting = does.add_parser("delete", help="delete a value")
        for one in (getting, setting, deleting):
            one.add_argument("key", metavar="KEY")
        setting.add_argument("value", metavar="VALUE", help="JSON, @file, or - for standard input")
        setting.add_argument("--ttl", metavar="DURATION", help="for how long, such as 30m; without: for ever")
        for one in (setting, deleting):
            one.add_argument("--version", type=int, dest="expected", help="only if this is its version still")
            one.add_argument("--reason", default="", help="kept in the audit")
        for one in (listing, getting, setting, deleting):
            one.add_argument("--workflow", metavar="NAME", help="that all executions of this workflow share")
            one.add_argument("--execution", metavar="ID", help="of this execution")

    def handle(self, *args: Any, what: str, execution: str | None, **options: Any) -> None:
        id = command.find(self.principal, execution).id if execution else None
        named = {"workflow": options["workflow"], "execution": id, "principal": self.principal}
        about = {name: options[name] for name in ("reason",) if name in options} | named
        if what == "set":
            value = read_input(options["value"], "VALUE")
            about |= {"ttl": options["ttl"], "version": options["expected"]}
            version = executor.set_state(options["key"], value, **about)
            self.stdout.write(_("It is at version %d now.") % version)
        elif what == "delete":
            executor.delete_state(options["key"], version=options["expected"], **about)
            self.stdout.write(_("It is deleted."))
        elif what == "get":
            self._get(executor.state_of(**named), options)
        else:
            self._list(executor.state_of(**named), options)

    def _get(self, whose: executor.StateOf, options: dict[str, Any]) -> None:
        place = whose.place()
        entry = state_entry(place.scope, place.owner, options["key"])
        if options["json"]:
            seen = writers(self.principal, [entry])
            self.write_json(state_json(entry, seen) | {"value": entry.value})
        else:
            self.write_json(entry.value)

    def _list(self, whose: executor.StateOf, options: dict[str, Any]) -> None:
        place, limit = whose.place(), max(1, options["limit"])
        rows = queries.state(place.scope, place.owner, options["search"], options["after"])
        found = list(previewed(rows)[:limit])
        seen = writers(self.principal, found)
        if options["json"]:
            for row in found:
                self.write_json(state_json(row, seen) | {"preview": row.preview})  # type: ignore[attr-defined]
            return
        shown = command.table(_("Key"), _("Value"), _("Version"), _("Until"), _("Changed"), _("By"))
        for row in found:
            by = row.person or (row.by_node if row.by_execution in seen else "–")
            until = row.expires_at.strftime("%Y-%m-%d %H:%M:%S") if row.expires_at else "–"
            cells = (clean(row.preview), str(row.version), until, ago(row.updated_at), clean(by))  # type: ignore[attr-defined]
            shown.add_row(Text(row.key), *map(Text, cells))
        self.console().print(shown)
