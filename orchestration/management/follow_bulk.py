"""Watching a bulk act in a terminal to its end."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Callable

from django.core.management.base import OutputWrapper
from django.utils.translation import gettext as _
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from orchestration import bulk, queries
from orchestration.api import shapes
from orchestration.models import BulkAct

from .command import CANCELLED, FAILED, INTERRUPTED, OK, console
from .text import clean

EVERY = 0.5
SHOWN = 20  # refused executions, at the end


def follow(act: BulkAct, json: bool, out: OutputWrapper) -> int:
    """Show how far it comes until it ends; return 0 when all were done, 1 when some were refused, 3 when stopped.

    Ctrl-C returns 130, and it goes on.
    """
    to = console(out)
    try:
        if to.is_terminal and not json:
            with Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=to
            ) as bar:
                task = bar.add_task(act.verb, total=act.total)
                _watch(act, lambda now: bar.update(task, completed=now.total - now.left))
        else:
            _watch(act, lambda now: None if json else to.print(_line(now)))
    except KeyboardInterrupt:
        sys.stderr.write(_("\nNo longer watching; bulk act %s goes on.\n") % act.pk)
        return INTERRUPTED
    if json:
        out.write(
            json_module.dumps({"type": "result"} | shapes.bulk_act(act, bulk.counts(act)), ensure_ascii=False)
            + "\n"
        )
    else:
        _outcome(act, to)
    if act.status == BulkAct.Status.STOPPED:
        return CANCELLED
    return FAILED if bulk.counts(act).refused else OK


def _watch(act: BulkAct, show: Callable[[bulk.Counts], None]) -> None:
    if not queries.live_worker_nodes().exists():
        sys.stderr.write(_("No worker is running: it begins once one is. Ctrl-C leaves it waiting.\n"))
    shown = None
    while True:
        act.refresh_from_db()
        now = bulk.counts(act)
        if now != shown:
            show(now)
            shown = now
        if act.status != BulkAct.Status.RUNNING:
            return
        time.sleep(EVERY)


def _line(now: bulk.Counts) -> str:
    return _("%(done)d done, %(refused)d refused, %(left)d to go") % now._asdict()


def _outcome(act: BulkAct, to: Console) -> None:
    now = bulk.counts(act)
    to.print(Text(_("Bulk act %(id)s is %(status)s.") % {"id": act.pk, "status": act.get_status_display()}))
    to.print(Text(_line(now)))
    for item in bulk.refused_items(act, limit=SHOWN):
        to.print(Text(f"{item.execution_id}  {clean(item.why)}", "yellow"))
    if now.refused > SHOWN:
        to.print(Text(_("… and %d more") % (now.refused - SHOWN), "dim"))
