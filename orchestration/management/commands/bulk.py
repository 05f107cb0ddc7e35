"""Do one verb to many executions."""

from __future__ import annotations

import json as json_module
import sys
from typing import Any
from urllib.parse import parse_qs

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rich.text import Text

from orchestration import bulk, executor
from orchestration.api import shapes
from orchestration.engine.errors import InvalidOption
from orchestration.management import command
from orchestration.management.follow_bulk import follow
from orchestration.management.given import read_input
from orchestration.management.text import clean

FILTERS = ("status", "workflow", "tag", "since", "until")


class Command(command.Command):
    help = (
        "Do one verb to many executions, once you have seen how many and typed so. The exit code: 0 all of them done, "
        "1 some were refused, 3 stopped before its end; 2 is always a refusal."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=list(executor.VERBS), help="what to do")
        parser.add_argument(
            "ids", metavar="ID", nargs="*", help="an execution's id, or enough of its beginning"
        )
        parser.add_argument("--all", action="store_true", help="every execution, when there is no filter")
        for name in ("status", "workflow", "tag"):
            parser.add_argument(
                f"--{name}", action="append", default=[], help=f"only with this {name}; may be repeated"
            )
        parser.add_argument("--since", help='a date, a time, or how long ago, such as "24h"')
        parser.add_argument("--until", help="likewise")
        parser.add_argument(
            "--query", default="", help="filters as the address of the console's list has them"
        )
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="of the verb, such as node=load or name=paid",
        )
        about = "another input for all of them: JSON, @file, or - for standard input"
        parser.add_argument("--input", metavar="JSON", help=about)
        parser.add_argument(
            "--payload", metavar="JSON", help="of the signal: JSON, @file, or - for standard input"
        )
        parser.add_argument("--reason", default="", help="kept with each execution and in the audit")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--json", action="store_true", help="write JSON: what the dry run found, then the end"
        )

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        executor.check_reason(options["reason"])
        given = dict(map(_option, options["option"]))
        if options["input"] is not None:
            given["input"] = read_input(options["input"])
        if options["payload"] is not None:
            given["payload"] = read_input(options["payload"])
        found = bulk.preview(self.principal, verb, self._selection(options), given)
        self._show(found, options["json"])
        if options["dry_run"]:
            return
        confirm = found.confirm if options["yes"] or not found.count else self._ask(found)
        frozen = bulk.Selection.thaw(found.selection, verb, self.principal)
        act = bulk.start(
            self.principal, verb, frozen, confirm=confirm, reason=options["reason"], options=given
        )
        raise SystemExit(follow(act, options["json"], self.stdout))

    def _selection(self, options: dict[str, Any]) -> bulk.Selection:
        """Return what the command line selects. Raises InvalidOption, UnknownExecution and TooMany."""
        query: dict[str, Any] = parse_qs(options["query"])
        for name in FILTERS:
            value = options[name]
            if value:
                query[name] = [*query.get(name, []), *([value] if isinstance(value, str) else value)]
        ways = [bool(options["ids"]), bool(query), options["all"]]
        if sum(ways) != 1:
            raise InvalidOption(
                option="The selection", value=sum(ways), expected="either ids, filters, or --all"
            )
        if options["ids"]:
            return bulk.Selection.of_ids(command.find(self.principal, id).id for id in options["ids"])
        return bulk.Selection.of_query(query)

    def _show(self, found: bulk.Preview, json: bool) -> None:
        if json:
            shape = shapes.bulk_preview(found)
            del shape["selection"]
            return self.write_json({"type": "preview"} | shape)
        to = self.console()
        said = ngettext(
            "%(count)d execution of %(selected)d selected to %(verb)s.",
            "%(count)d executions of %(selected)d selected to %(verb)s.",
            found.count,
        )
        to.print(said % {"count": found.count, "selected": found.selected, "verb": found.verb})
        for group in found.refused:
            to.print(Text(f"  {group.count}  {clean(group.why)}", "dim"))
        return None

    def _ask(self, found: bulk.Preview) -> str:
        sys.stderr.write(_('To go on, type "%s": ') % found.confirm)
        sys.stderr.flush()
        try:
            return input()
        except EOFError:
            self.refuse(_("Nobody is here to confirm it. Say --yes if you mean it."))


def _option(text: str) -> tuple[str, Any]:
    """Return name and value; true, false and null are what they say, everything else is a text."""
    name, given, value = text.partition("=")
    if not given:
        raise InvalidOption(option="--option", value=text, expected="NAME=VALUE")
    return name, json_module.loads(value) if value in ("true", "false", "null") else value
