"""Watching one execution in a terminal to its end."""

from __future__ import annotations

import json as json_module
import sys
import time
import uuid

from django.core.management.base import OutputWrapper
from django.utils.translation import gettext as _
from rich.console import Console
from rich.text import Text

from orchestration import queries
from orchestration.api import shapes
from orchestration.engine.states import ExecutionStatus
from orchestration.models import Execution
from orchestration.store.versions import graph_of
from security.principals import Principal

from .board import Board
from .command import CANCELLED, FAILED, INTERRUPTED, OK, console
from .feed import Feed
from .text import clean, page, pretty, size, status, took
from .views import JSONLines, LiveTable, PlainLines, View

EXIT_CODES = {
    ExecutionStatus.SUCCEEDED: OK,
    ExecutionStatus.FAILED: FAILED,
    ExecutionStatus.CANCELLED: CANCELLED,
    ExecutionStatus.TERMINATED: CANCELLED,
}
STILL = 1.0  # seconds without an event after which the reason is worth a query


def follow(execution_id: uuid.UUID, json: bool, out: OutputWrapper) -> int:
    """Show the execution until it ends and return the exit code of its outcome; 130 when interrupted.

    `json` writes one event a line and at last {"type": "result", …}. A terminal gets a live table, anything
    else plain lines. Raises UnknownExecution.
    """
    principal = Principal.for_shell()
    execution = queries.execution(principal, execution_id)
    to = console(out)
    try:
        with _view(execution, json, to) as view:
            _watch(execution, view)
    except KeyboardInterrupt:
        sys.stderr.write(_interrupted(execution_id))
        return INTERRUPTED
    execution = queries.execution(principal, execution_id)
    if json:
        out.write(json_module.dumps(result(execution), ensure_ascii=False) + "\n")
    else:
        outcome(execution, to)
    return EXIT_CODES[ExecutionStatus(execution.status)]


def result(execution: Execution) -> shapes.JSON:
    """Return the last line of --json."""
    shape = shapes.execution_summary(execution)
    details = {"output": execution.output, "error": execution.error, "artifacts": shapes.artifacts(execution)}
    return {"type": "result"} | shape | details


def outcome(execution: Execution, to: Console) -> None:
    """Print how the execution ended, what came of it and where to look."""
    duration = took(queries.duration_ms(execution.started_at, execution.finished_at))
    ended = status(execution.status)
    to.print(ended.append(_(" in %s") % duration if duration else "", "default"))
    if why := queries.why(execution, queries.node_runs(execution)):
        to.print(Text(clean(why), "red"))
    if execution.output is not None:
        to.print(Text(_("Output"), "bold"))
        to.print(Text(pretty(execution.output)))
    artifacts_of(execution, to)
    to.print(Text(page(execution.id), "dim"))


def artifacts_of(execution: Execution, to: Console) -> None:
    """Print the artifacts, if there are any, with where to download them."""
    found = list(execution.artifacts.order_by("created_at", "id"))
    if found:
        to.print(Text(_("Artifacts"), "bold"))
    for row in found:
        address = f"{page(execution.id)}artifacts/{row.id}/"
        to.print(Text(f"{clean(row.name)}  {size(row.size)}  {clean(row.content_type)}  {address}"))


def _view(execution: Execution, json: bool, to: Console) -> View:
    if json:
        return JSONLines(to.file)
    if not to.is_terminal or to.is_dumb_terminal:
        return PlainLines(to)
    graph = graph_of(execution.version_id)
    return LiveTable(to, Board(graph), f"{execution.workflow.name} v{execution.version.number}")


def _watch(execution: Execution, view: View) -> None:
    moved, why = time.monotonic(), None
    for news in Feed(execution.id).news():
        if news.events:
            moved, why = time.monotonic(), None
        elif time.monotonic() - moved >= STILL:
            why = _why(execution)
        view.show(news, why)


def _why(execution: Execution) -> str | None:
    execution.refresh_from_db(fields=["status", "error", "cause"])
    return queries.why(execution, queries.node_runs(execution))


def _interrupted(execution_id: uuid.UUID) -> str:
    return _(
        "\nNo longer watching; the execution goes on.\n"
        "  look:   python3 manage.py show %(id)s\n"
        "  cancel: python3 manage.py cancel %(id)s\n"
    ) % {"id": execution_id}
