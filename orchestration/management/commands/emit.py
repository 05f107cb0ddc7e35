"""Send an event to everyone who listens."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from orchestration import executor, queries
from orchestration.management import command
from orchestration.management.given import read_input
from orchestration.management.text import clean


class Command(command.Command):
    help = "Send an event to everyone who listens: workflows that it starts, and bodies that wait for it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the event's name")
        parser.add_argument("--data", metavar="JSON", help="JSON, @file, or - for standard input")
        parser.add_argument("--id", dest="sent_id", metavar="ID", help="sent again under it, it counts once")
        parser.add_argument("--source", metavar="URI", help="whence it comes; the id is this source's")
        parser.add_argument("--subject", metavar="TEXT", default="", help="what it is about")
        parser.add_argument("--json", action="store_true", help="write one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        accepted = executor.emit_event(
            options["name"],
            read_input(options["data"]),
            principal=self.principal,
            id=options["sent_id"],
            source=options["source"],
            subject=options["subject"],
        )
        row = queries.event(self.principal, accepted.id)
        fate = queries.fates([row])[row.pk]
        if options["json"]:
            return self.write_json(queries.broadcast_json(row, fate) | {"existed": accepted.existed})
        said = (
            _("Event %(id)s “%(name)s” had been sent before: %(fate)s.")
            if accepted.existed
            else _("Event %(id)s “%(name)s” is kept: %(fate)s.")
        )
        self.stdout.write(said % {"id": row.pk, "name": clean(row.name), "fate": fate})
        return None
