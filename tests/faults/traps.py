"""Traps that make a worker die or stop at a chosen moment, and clusters that are deaf to wake-ups.

A cluster imports this before it forks its workers. Where the environment names a folder of traps, the steps of runner
and store are wrapped *here*, in the test's process, so that the product needs no hooks.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestration.runner import bodies, lanes
from orchestration.runner.waiter import Waiter
from orchestration.store import event_waits, events, settle, start, wakeups, wire
from tests import ledger

TRAPS = "IGON7_TEST_TRAPS"
WEB = "IGON7_TEST_WEB"  # a web server has this: it may be taken too
MUTE = "IGON7_TEST_MUTE"  # a process that has this sends no wake-up, and sees none of SQLite's

handed_over: dict[int, float] = {}  # when the runner let a node run's body begin


def spring(moment: str, claim: Any = None) -> None:
    """Send this process the signal that a trap for this moment holds; a trap takes one process."""
    folder = os.environ.get(TRAPS)
    # The cluster's own process is no worker.
    if not folder or (multiprocessing.parent_process() is None and not os.environ.get(WEB)):
        return
    trap = Path(folder) / moment
    with suppress(FileNotFoundError):
        sign = int(trap.read_text())
        trap.unlink()  # one of those that are here at the same time succeeds
        about = (str(claim.execution_id), claim.key.node, claim.attempt) if claim else ("", "", 0)
        ledger.write(f"trap {moment}", *about, fence=claim.fence if claim else 0)
        # To this thread: sent to the process, another might take it, and this one go on for a moment.
        signal.pthread_kill(threading.get_ident(), sign)


def _arrange() -> None:
    """Put the moments into the runner's way; but for those that the bodies themselves pass."""
    run_sync, run_async, begin = bodies.run_sync, bodies.run_async, start.start
    claim = lanes.claim  # type: ignore[attr-defined]

    def claim_between(*args: Any, **options: Any) -> Any:
        spring("claiming")
        claims = claim(*args, **options)
        if claims:
            spring("claimed", claims[0])
        return claims

    def run_sync_between(held: Any, *args: Any) -> Any:
        handed_over[held.claim.run_id] = time.monotonic()
        spring("before", held.claim)
        value = run_sync(held, *args)
        spring("after", held.claim)
        return value

    async def run_async_between(held: Any, *args: Any) -> Any:
        handed_over[held.claim.run_id] = time.monotonic()
        spring("before", held.claim)
        value = await run_async(held, *args)
        spring("after", held.claim)
        return value

    def start_then(*args: Any, **options: Any) -> Any:
        started = begin(*args, **options)
        if not all(one.existed for one in started):
            spring("started")
        return started

    emit = events.emit

    def emit_then(claim: Any, *args: Any, **options: Any) -> Any:
        kept = emit(claim, *args, **options)
        spring("emitted", claim)
        return kept

    events.emit = emit_then
    event_waits._bring = _then(event_waits._bring, "given")
    bodies.run_sync, bodies.run_async = run_sync_between, run_async_between  # type: ignore[assignment]
    lanes.claim = claim_between  # type: ignore[attr-defined]
    settle._lock_and_load = _then(settle._lock_and_load, "locked")
    wire.Wire._send = _speak_and_stop(wire.Wire._send)  # type: ignore[method-assign]
    start.start = start_then
    lanes.settle = _then(lanes.settle, "committed")  # type: ignore[attr-defined]


def _speak_and_stop(send: Callable[..., None]) -> Callable[..., None]:
    def speaking(self: wire.Wire, text: str, values: Any) -> None:
        send(self, text, values)
        trap = Path(os.environ[TRAPS]) / "speaking"
        if text.startswith("UPDATE orchestration_noderun") and self._pg.pipeline_status and trap.exists():
            self._pg.flush()  # as libpq does by itself each 8 KiB
            spring("speaking")

    return speaking


def _then(step: Callable[..., Any], moment: str) -> Callable[..., Any]:
    @functools.wraps(step)
    def passing(*args: Any, **options: Any) -> Any:
        value = step(*args, **options)
        spring(moment)
        return value

    return passing


if os.environ.get(TRAPS):
    _arrange()
if os.environ.get(MUTE):
    wakeups.statements = lambda *_: []
    Waiter._data_version = lambda _: 0  # type: ignore[method-assign, assignment]
