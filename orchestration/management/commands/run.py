"""Start an execution, and watch it if asked to."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from orchestration import executor, queries
from orchestration.api import shapes
from orchestration.management import command
from orchestration.management.follow import follow
from orchestration.management.given import read_input
from orchestration.management.text import clean, page


class Command(command.Command):
    help = (
        "Start an execution of a workflow. With --follow the exit code is its outcome: "
        "0 succeeded, 1 failed, 3 cancelled or terminated; 2 is always a refusal."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflow", metavar="NAME", help="the workflow's name")
        parser.add_argument("--input", metavar="JSON", help="its input: JSON, @file, or - for standard input")
        parser.add_argument("--follow", action="store_true", help="watch it to its end")
        parser.add_argument(
            "--json", action="store_true", help="write JSON: one event a line, then the result"
        )
        parser.add_argument("--idempotency-key", metavar="KEY", help="start once only, however often asked")
        parser.add_argument("--priority", type=int, choices=range(1, 6), default=3, help="1 first … 5 last")
        parser.add_argument("--refresh", action="store_true", help="compute what is cached, and renew it")
        parser.add_argument("--tag", action="append", default=[], dest="tags", help="may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        started = executor.start_or_get(
            options["workflow"],
            read_input(options["input"]),
            principal=self.principal,
            idempotency_key=options["idempotency_key"],
            priority=options["priority"],
            tags=options["tags"],
            refresh=options["refresh"],
        )
        id = started.id
        if options["json"] and not options["follow"]:
            shape = shapes.execution_summary(queries.execution(self.principal, id))
            return self.write_json(shape | {"page": page(id)})
        if not options["json"]:
            said = (
                _("Execution %(id)s has this key already")
                if started.existed
                else _("Execution %(id)s of %(workflow)s")
            )
            self.stdout.write(said % {"id": id, "workflow": clean(options["workflow"])})
            self.stdout.write(page(id))
        if options["follow"]:
            raise SystemExit(follow(id, options["json"], self.stdout))
        return None
