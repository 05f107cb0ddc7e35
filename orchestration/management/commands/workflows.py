"""Which workflows there are, and which modules are broken."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _
from rich.text import Text

from orchestration import queries, registry
from orchestration.api import shapes
from orchestration.engine.builder import Workflow
from orchestration.management import command
from orchestration.management.text import ago, clean, status
from orchestration.models import Execution
from orchestration.models import Workflow as WorkflowRow
from security.principals import Principal

JSON = dict[str, Any]


class Command(command.Command):
    help = "List the workflows of the code and of the database. Exit 1 when a module is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="write one JSON object")

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        code, broken = registry.all(), registry.broken()
        rows = {row.name: row for row in _rows(self.principal)}
        last = _last(self.principal, rows.values())
        found = [
            _entry(name, code.get(name), rows.get(name), last) for name in sorted(code.keys() | rows.keys())
        ]
        if json:
            self.write_json({"workflows": [_plain(entry) for entry in found], "broken": dict(broken)})
        else:
            self._print(found, dict(broken))
        raise SystemExit(command.FAILED if broken else command.OK)

    def _print(self, found: list[JSON], broken: dict[str, str]) -> None:
        to = self.console()
        if found:
            to.print(_table(found))
        else:
            to.print(_("There are no workflows. Put one into a workflows.py of an installed app."))
        for module, sentence in sorted(broken.items()):
            to.print(Text(_("Broken module %(module)s") % {"module": clean(module)}, "bold red"))
            to.print(Text(f"  {clean(sentence)}"))


def _rows(principal: Principal) -> list[WorkflowRow]:
    own = queries.executions(principal).filter(workflow=OuterRef("pk")).values("id")[:1]
    rows = queries.workflows(principal).defer("current__definition")
    return list(rows.annotate(last=Subquery(own)))


def _last(principal: Principal, rows: Any) -> dict[Any, Execution]:
    ids = [row.last for row in rows if row.last]
    found = queries.executions(principal).filter(pk__in=ids)
    return {each.pk: each for each in found.defer("input", "output", "version__definition")}


def _entry(name: str, code: Workflow | None, row: WorkflowRow | None, last: dict[Any, Execution]) -> JSON:
    current = row.current if row else None
    same = current is not None and (code is None or code.checksum() == current.checksum)
    nodes = len(code.graph.nodes) if code else (current.node_count if current else None)
    return {
        "name": name,
        "version": current.number if current and same else None,  # None: not yet seen by a server
        "nodes": nodes,
        "code": code is not None,
        "description": code.description if code else row.description if row else "",
        "last": last.get(getattr(row, "last", None)),
    }


def _plain(entry: JSON) -> JSON:
    last = entry["last"]
    return entry | {"last": shapes.execution_summary(last) if last else None}


def _table(found: list[JSON]) -> Any:
    shown = command.table(_("Workflow"), _("Version"), _("Nodes"), _("Last execution"), "")
    for entry in found:
        last = entry["last"]
        version = f"v{entry['version']}" if entry["version"] else _("new")
        ended = (
            status(last.status).append(f"  {ago(last.created_at)}", "default") if last else Text("–", "dim")
        )
        note = "" if entry["code"] else _("its code is not here")
        shown.add_row(
            Text(clean(entry["name"])), version, str(entry["nodes"] or ""), ended, Text(note, "yellow")
        )
    return shown
