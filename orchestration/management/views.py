"""Three ways to watch an execution: JSON lines, plain lines, a live table."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Protocol, Self

from django.utils import timezone
from django.utils.translation import gettext as _
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .board import Board, Row, first_line, note
from .command import table
from .feed import JSON, News
from .text import clean, status, took

LEVEL_STYLES = {"debug": "dim", "warning": "yellow", "error": "red"}


class View(Protocol):
    """What `follow` shows news on; a context manager around the whole watch."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *failure: Any) -> None: ...
    def show(self, news: News, why: str | None) -> None: ...


class Quiet:
    """A view that needs no clearing up."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        return None


class JSONLines(Quiet):
    """One event a line."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def show(self, news: News, why: str | None) -> None:
        for event in news.events:
            self._out.write(json.dumps(event, ensure_ascii=False) + "\n")
        if news.events:
            self._out.flush()


class PlainLines(Quiet):
    """Events, log lines, changed progress and the "why" line, each on a line of its own, in order of time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._why: str | None = None
        self._progress: dict[Any, str] = {}

    def show(self, news: News, why: str | None) -> None:
        for item in sorted([*news.events, *news.lines], key=lambda each: each["at"]):
            self._console.print(line_of(item))
        for (node, index), progress in news.progress.items():
            self._report(node if index is None else f"{node}[{index}]", progress_text(progress))
        if why and why != self._why:
            self._console.print(Text(clean(why), "yellow"))
        self._why = why

    def _report(self, name: str, text: str) -> None:
        if self._progress.get(name) != text:
            self._progress[name] = text
            self._console.print(Text(f"{'':12}  {clean(name)}  {text}", "dim"))


class LiveTable:
    """Progress bar and node table at the bottom of the terminal, log lines and failures scrolling above."""

    def __init__(self, console: Console, board: Board, title: str) -> None:
        self._board = board
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
        )
        self._task = self._bar.add_task(clean(title), total=len(board.rows))
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._why: str | None = None

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, news: News, why: str | None) -> None:
        for item in sorted([*news.events, *news.lines], key=lambda each: each["at"]):
            if _scrolls(item):
                self._live.console.print(line_of(item))
        self._board.apply(news.events)
        self._board.show_progress(news.progress)
        self._bar.update(self._task, completed=self._board.ended(), total=len(self._board.rows))
        self._live.update(Group(self._bar, self._table(), self._footer(why)), refresh=True)

    def _table(self) -> Table:
        found = table(_("Node"), _("Status"), _("Attempt"), _("Time"), "", "")
        for row in self._board.shown(max(3, self._console.height - 8)):
            found.add_row(
                Text(clean(row.name)),
                status(row.status),
                str(row.attempt) if row.attempt > 1 else "",
                took(_running_for(row)),
                *_progress_cells(row),
            )
        return found

    def _footer(self, why: str | None) -> Text:
        counts = self._board.counts()
        parts = [f"{counts[name]} {name.replace('_', ' ')}" for name in sorted(counts) if name != "pending"]
        text = Text(" · ".join(parts), "dim")
        return text.append(f"\n{clean(why)}", "yellow") if why else text


def line_of(item: JSON) -> Text:
    """Return an event or a log line as one line: time, node, what."""
    time = item["at"][11:23]
    where = clean(item["node"] or "")
    if item.get("index") is not None and item["index"] >= 0:
        where += f"[{item['index']}]"
    if "message" in item:
        style = LEVEL_STYLES.get(item["level"], "")
        return Text.assemble((time, "dim"), f"  {where}  ", (f"| {clean(item['message'])}", style))
    what = Text(f"{time}", "dim").append(f"  {where}  " if where else "  ", "default")
    what.append(item["type"].removeprefix("node." if where else "").replace(".", " "), "bold")
    if item["data"].get("status") == "upstream_failed":
        what.append(" " + _("(a predecessor failed)"))
    extra = [part for part in (took(item["data"].get("duration")), clean(note(item))) if part]
    return what.append("  " + " · ".join(extra), "default") if extra else what


def progress_text(progress: JSON) -> str:
    fraction = progress.get("fraction")
    percent = f"{fraction:.0%} " if isinstance(fraction, int | float) else ""
    return percent + clean(first_line(progress.get("text")))


def _scrolls(item: JSON) -> bool:
    """Say whether a line outlives the table's next picture: what was logged, and what went wrong."""
    return "message" in item or item["type"] in ("node.failed", "node.retrying", "node.lost", "node.blocked")


def _running_for(row: Row) -> float | None:
    if row.status == "running" and row.started_at:
        return max(0.0, (timezone.now() - row.started_at).total_seconds() * 1000 // 100 * 100)
    return row.duration


def _progress_cells(row: Row) -> tuple[ProgressBar | Text, Text]:
    if row.progress and isinstance(row.progress.get("fraction"), int | float):
        bar = ProgressBar(total=1.0, completed=row.progress["fraction"], width=20)
        return bar, Text(progress_text(row.progress))
    return Text(""), Text(progress_text(row.progress) if row.progress else clean(row.note), "dim")
