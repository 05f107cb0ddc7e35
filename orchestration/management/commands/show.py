"""Everything about one execution."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from orchestration import queries
from orchestration.api import shapes
from orchestration.management import command
from orchestration.management.follow import artifacts_of
from orchestration.management.text import clean, page, pretty, status, took
from orchestration.management.views import line_of, progress_text
from orchestration.models import Execution
from orchestration.store.versions import graph_of
from security.principals import Principal

JSON = dict[str, Any]


class Command(command.Command):
    help = "Show one execution: its nodes, output, error and artifacts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the execution's id, or enough of its beginning")
        parser.add_argument("--json", action="store_true", help="write one JSON object")
        parser.add_argument("--log", action="store_true", help="with its log lines")
        parser.add_argument("--events", action="store_true", help="with its events")
        parser.add_argument("--journal", action="store_true", help="with what its bodies remember")

    def handle(
        self, *args: Any, id: str, json: bool, log: bool, events: bool, journal: bool, **options: Any
    ) -> None:
        execution = command.find(self.principal, id)
        shape = shapes.execution_detail(self.principal, execution)
        if json:
            more: JSON = {"events": list(_events(execution))} if events else {}
            more |= {"log": list(_log(execution))} if log else {}
            more |= {"journal": list(_journal(execution))} if journal else {}
            return self.write_json(shape | more)
        to = self.console()
        _head(shape, to)
        _family(execution, self.principal, shape["children"], to)
        _nodes(shape["nodes"], to)
        _payloads(shape, to)
        artifacts_of(execution, to)
        if events:
            _lines(_("Events"), _events(execution), to)
        if log:
            _lines(_("Log"), _log(execution), to)
        if journal:
            to.print(Text(_("Journal"), "bold"))
            for entry in _journal(execution):
                to.print(_entry(entry))
        return None


def _head(shape: JSON, to: Console) -> None:
    to.print(Text(f"{clean(shape['workflow'])} v{shape['version']}  {shape['id']}", "bold"))
    line = status(shape["status"])
    if shape["duration_ms"] is not None:
        line.append(_(" in %s") % took(shape["duration_ms"]), "default")
    to.print(
        line.append(
            f"  {shape['created_at'][:19].replace('T', ' ')} UTC  {clean(shape['started_by'])}", "dim"
        )
    )
    if shape["why"]:
        to.print(Text(clean(shape["why"]), "yellow"))
    to.print(Text(page(shape["id"]), "dim"))


def _family(execution: Execution, principal: Principal, children: JSON, to: Console) -> None:
    for each in queries.above(execution, principal):
        where = f"{clean(each.workflow)}  {each.id}" if each.id else _("an execution that you may not see")
        to.print(Text(_("Started by %s") % where, "dim"))
    if children["total"]:
        parts = [f"{count} {word}" for word, count in children["counts"].items()]
        hidden = [_("%d you may not see") % children["hidden"]] if children["hidden"] else []
        to.print(Text(_("Children: %s") % ", ".join([*parts, *hidden])))


def _nodes(nodes: list[JSON], to: Console) -> None:
    shown = command.table(_("Node"), _("Status"), _("Attempt"), _("Duration"), "")
    for each in nodes:
        name = clean(each["node"]) + ("" if each["index"] is None else f"[{each['index']}]")
        if each["for"]:
            name += _(" for %s") % clean(each["for"])
        progress = progress_text(each["progress"]) if each["progress"] and each["status"] == "running" else ""
        shown.add_row(
            Text(name),
            status(each["status"]),
            str(each["attempt"] or ""),
            took(each["duration_ms"]),
            Text(progress or clean(each["why"] or ""), "dim"),
        )
    to.print()
    to.print(shown)
    to.print()


def _payloads(shape: JSON, to: Console) -> None:
    if error := shape["error"]:
        to.print(Text(_("Error"), "bold red"))
        to.print(Text(clean(error.get("traceback") or f"{error.get('type')}: {error.get('message')}")))
    for title, value in ((_("Input"), shape["input"]), (_("Output"), shape["output"])):
        if value is not None:
            to.print(Text(title, "bold"))
            to.print(Text(pretty(value)))


def _lines(title: str, items: Iterator[JSON], to: Console) -> None:
    to.print(Text(title, "bold"))
    for item in items:
        to.print(line_of(item))
        error = item.get("data", {}).get("error") or {}
        if traceback := error.get("traceback"):
            to.print(Padding(Text(clean(traceback).rstrip(), "dim"), (0, 0, 0, 14)))


def _events(execution: Execution) -> Iterator[JSON]:
    seq = 0
    while batch := queries.events_after(execution.id, seq, tracebacks=True):
        seq = batch[-1]["seq"]
        yield from batch


def _log(execution: Execution) -> Iterator[JSON]:
    line = 0
    while batch := queries.log_lines(execution.id, after=line, settled=False):
        line = batch[-1]["id"]
        yield from batch


def _journal(execution: Execution) -> Iterator[JSON]:
    graph = graph_of(execution.version_id)
    for run in queries.with_journals(execution):
        after, repeats = 0, graph.nodes[run.node].repeat is not None
        while batch := queries.journal(run, repeats=repeats, after=after):
            after = batch[-1].id
            yield from ({"node": str(run), "for": run.for_node or None, **each.to_json()} for each in batch)


def _entry(entry: JSON) -> Text:
    what = f"{entry['kind']} {entry['name']}" + (f" ({entry['number']})" if entry["number"] > 1 else "")
    within = f"[{entry['iteration']}] " if entry["iteration"] else ""
    line = Text(entry["at"][11:23], "dim").append(f"  {clean(entry['node'])}  ", "default")
    line.append(clean(within + what), "bold")
    came = entry["came"] if entry["came"] != "value" else ""
    value = entry["beginning"] or (dumps(entry["value"], ensure_ascii=False) if not came else "")
    return line.append(f"  {came}{clean(value)}", "default")
