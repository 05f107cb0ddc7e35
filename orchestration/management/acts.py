"""What the commands for one execution share: a dry run, the act, and a line that says how it is now."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestration import executor, queries
from orchestration.models import Execution

from . import command
from .given import read_input
from .text import clean, page

_WORDS = {
    "again": gettext_lazy("run again"),
    "then": gettext_lazy("run after those"),
    "kept": gettext_lazy("stay as they are"),
    "cancelled": gettext_lazy("never begin"),
    "stopped": gettext_lazy("are asked to stop"),
    "undone": gettext_lazy("are undone"),
    "held": gettext_lazy("wait"),
    "children": gettext_lazy("children end with it"),
}


class Act(command.Command):
    """A command that does one verb to one execution."""

    verb: str
    takes_input: ClassVar[bool] = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument("--reason", default="", help="kept with the execution and in the audit")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would happen, and change nothing"
        )
        if self.takes_input:
            about = "another input: JSON, @file, or - for standard input"
            parser.add_argument("--input", metavar="JSON", help=about)

    def handle(self, *args: Any, **options: Any) -> None:
        execution = command.find(self.principal, options["id"])
        if options["dry_run"]:
            self.show(
                executor.preview(execution.id, self.verb, principal=self.principal, **self.concerns(options))
            )
            return
        given = {"input": read_input(options["input"])} if options.get("input") is not None else {}
        self.tell(execution, self.act(execution, options, {"reason": options["reason"], **given}))

    def concerns(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return what the dry run is told besides the execution and the verb."""
        return {}

    def act(self, execution: Execution, options: dict[str, Any], given: dict[str, Any]) -> Any:
        """Do it; return the id of an execution that it starts."""
        executor.VERBS[self.verb](execution.id, principal=self.principal, **self.concerns(options), **given)

    def tell(self, execution: Execution, started: Any) -> None:
        if started is not None:
            self.stdout.write(
                _("Execution %(id)s starts from %(source)s") % {"id": started, "source": execution.id}
            )
            self.stdout.write(page(started))
            return
        now = queries.execution(self.principal, execution.id)
        self.stdout.write(_("Execution %(id)s is %(status)s.") % {"id": now.id, "status": now.status})

    def show(self, preview: dict[str, Any]) -> None:
        for name, told in preview.items():
            if told["count"]:
                names = ", ".join(clean(node) for node in told["nodes"][:10])
                more = " …" if told["nodes"] and told["count"] > 10 else ""
                self.stdout.write(f"{told['count']} {_WORDS[name]}" + (f": {names}{more}" if names else ""))
        self.stdout.write(_("Nothing has been changed."))
