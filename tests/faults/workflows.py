"""What runs while faults happen, and the traps that make a worker die or stop at a chosen moment.

Each body looks, at its start, at what is committed: its own row and its predecessors'. It writes what it saw into the
ledger. A cluster imports this module before it forks its workers; where the environment names a folder of traps, the
runner's steps are wrapped *here*, in the test's process, so that the product needs no hooks.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models import Q

from orchestration import DoNotRetry, RetryPolicy, WorkflowBuilder
from orchestration.models import NodeRun
from orchestration.runner import bodies, lanes
from orchestration.runner.patience import patiently
from orchestration.store import settle, wakeups
from tests import ledger

TRAPS = "IGON7_TEST_TRAPS"
MUTE = "IGON7_TEST_MUTE"  # no NOTIFY leaves a process that has this


# --- traps -----------------------------------------------------------------------------------------


def spring(moment: str, claim: Any = None) -> None:
    """Send this process the signal that a trap for this moment holds; a trap takes one worker process."""
    folder = os.environ.get(TRAPS)
    if not folder or multiprocessing.parent_process() is None:  # the cluster's own process is no worker
        return
    trap = Path(folder) / moment
    with suppress(FileNotFoundError):
        sign = int(trap.read_text())
        trap.unlink()  # one of those that are here at the same time succeeds
        about = (str(claim.execution_id), claim.key.node, claim.attempt) if claim else ("", "", 0)
        ledger.write(f"trap {moment}", *about, fence=claim.fence if claim else 0)
        # To this thread: sent to the process, another might take it, and this one go on for a moment.
        signal.pthread_kill(threading.get_ident(), sign)


_handed_over: dict[int, float] = {}


def _arrange() -> None:
    """Put the moments into the runner's way; all but "during", which the bodies themselves pass."""
    run_sync, run_async = bodies.run_sync, bodies.run_async

    def run_sync_between(held: Any, *args: Any) -> Any:
        _handed_over[held.claim.run_id] = time.monotonic()
        spring("before", held.claim)
        value = run_sync(held, *args)
        spring("after", held.claim)
        return value

    async def run_async_between(held: Any, *args: Any) -> Any:
        _handed_over[held.claim.run_id] = time.monotonic()
        spring("before", held.claim)
        value = await run_async(held, *args)
        spring("after", held.claim)
        return value

    bodies.run_sync, bodies.run_async = run_sync_between, run_async_between  # type: ignore[assignment]
    settle._lock_and_load = _then(settle._lock_and_load, "locked")
    lanes.settle = _then(lanes.settle, "committed")  # type: ignore[attr-defined]


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


# --- bodies ----------------------------------------------------------------------------------------


def look(ctx: Any) -> dict[str, Any]:
    """Return what is committed about the claim that this body runs for, and about its predecessors."""
    claim, parents = ctx._held.claim, ctx._spec.depends_on
    began = _handed_over.pop(claim.run_id)  # when the runner let it begin; a trap lies between that and here
    mine = Q(pk=claim.run_id) | Q(execution=claim.execution_id, superseded=False, node__in=parents)
    columns = ("pk", "node", "status", "fence", "generation")
    found = patiently(lambda: list(NodeRun.objects.filter(mine).values_list(*columns)))
    own = next(row for row in found if row[0] == claim.run_id)
    return {
        "began": began,
        "run": claim.run_id,
        "generation": own[4],
        "fence": claim.fence,
        "seen": [own[2], own[3]],
        "parents": dict.fromkeys(parents, "") | {row[1]: row[2] for row in found if row is not own},
        "outside": not connection.in_atomic_block,
    }


def looks(body: Callable[..., Any]) -> Callable[..., Any]:
    """Note a body's begin with what it sees, pass the moment "during" in its middle, and note its end."""

    @functools.wraps(body)
    def run(ctx: Any) -> Any:
        seen = look(ctx)
        ledger.note(ctx, "start", **seen)
        try:
            time.sleep(ctx.params.get("pause", 0))
            spring("during", ctx._held.claim)
            return body(ctx, seen)
        finally:
            ledger.note(ctx, "end")

    return run


@looks
def step(ctx: Any, seen: dict[str, Any]) -> str:
    return str(ctx.node_id)


async def step_async(ctx: Any) -> str:
    """Do as `step`, on the event loop (which the look holds up: it must be what the body does first)."""
    ledger.note(ctx, "start", **look(ctx))
    try:
        await asyncio.sleep(ctx.params.get("pause", 0))
        spring("during", ctx._held.claim)
        return str(ctx.node_id)
    finally:
        ledger.note(ctx, "end")


@looks
def fails_once(ctx: Any, seen: dict[str, Any]) -> str:
    if ctx.attempt == 1:
        raise ConnectionError("the first attempt fails")
    return "good"


@looks
def broken_at_first(ctx: Any, seen: dict[str, Any]) -> str:
    if seen["generation"] == 1:
        raise DoNotRetry("a person has to look at this")
    return "mended"


@looks
def held(ctx: Any, seen: dict[str, Any]) -> str:
    """Hold until the drill opens the gate that the input names."""
    deadline = time.monotonic() + 60
    while not Path(ctx.input["gate"]).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(ctx.input["gate"])
        time.sleep(0.01)
    return "open"


@looks
def polls(ctx: Any, seen: dict[str, Any]) -> None:
    """Go on until the execution is cancelled."""
    for _ in range(6000):
        ctx.check_cancelled()
        time.sleep(0.01)


# --- graphs ----------------------------------------------------------------------------------------

_chance = random.Random(7)


def _pause() -> dict[str, Any]:
    return {"pause": round(_chance.uniform(0.001, 0.03), 4)}


_chain = WorkflowBuilder("f-chain", timeout=60).add_node("n0", step, params=_pause())
for _n in range(1, 6):
    _body = step_async if _n == 3 else step
    _chain.add_node(f"n{_n}", _body, depends_on=[f"n{_n - 1}"], params=_pause())
chain = _chain.build()

_fan = WorkflowBuilder("f-fan", timeout=60).add_node("root", step, params=_pause())
for _n in range(12):
    _fan.add_node(f"leaf{_n}", step_async if _n % 3 == 0 else step, depends_on=["root"], params=_pause())
fan = _fan.add_node("all", step, depends_on=[f"leaf{_n}" for _n in range(12)]).build()

diamond = (
    WorkflowBuilder("f-diamond")
    .add_node("top", step_async, params=_pause())
    .add_node("left", step, depends_on=["top"], params=_pause())
    .add_node("right", step_async, depends_on=["top"], params=_pause())
    .add_node("bottom", step, depends_on=["left", "right"], params=_pause())
    .build()
)
flaky = (
    WorkflowBuilder("f-flaky")
    .add_node("first", step, params=_pause())
    .add_node(
        "flaky",
        fails_once,
        depends_on=["first"],
        params=_pause(),
        retry=RetryPolicy(max_attempts=3, initial_interval=0.3),
    )
    .add_node("last", step, depends_on=["flaky"], params=_pause())
    .build()
)
# Fails, until a person retries it: its second generation runs the rest.
mended = (
    WorkflowBuilder("f-mended")
    .add_node("first", step, params=_pause())
    .add_node("broken", broken_at_first, depends_on=["first"], params=_pause())
    .add_node("last", step, depends_on=["broken"], params=_pause())
    .build()
)
# Waits for its time between two attempts: long enough for a fault to fall into that.
delayed = (
    WorkflowBuilder("f-delayed")
    .add_node("flaky", fails_once, retry=RetryPolicy(max_attempts=3, initial_interval=1.5))
    .add_node("last", step, depends_on=["flaky"])
    .build()
)
gated = WorkflowBuilder("f-gated").add_node("work", held).add_node("after", step, depends_on=["work"]).build()
# Runs into its deadline.
overdue = WorkflowBuilder("f-overdue", timeout=1.0).add_node("work", polls).build()
# For a queue that no cluster serves: a drill settles it itself.
RACE = "race"
raced = WorkflowBuilder("f-raced").add_node("work", step, queue=RACE).build()
LOAD = (chain, fan, diamond, flaky, mended)
