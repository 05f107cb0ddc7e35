"""Bodies of the drills. How each ends follows from its parameters and the attempt, so how it must end is known.

Each looks, at its start, at what is committed: its own row, its predecessors', that of whom it rescues or undoes, and,
in an undo, the other undos'. It writes what it saw into the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models import Q

from orchestration import DoNotRetry, RetryAfter
from orchestration.models import NodeRun
from orchestration.runner.patience import patiently
from orchestration.store import clock
from tests import ledger

from .payments import pay
from .traps import handed_over, spring

ERRORS: dict[str, type[Exception]] = {
    each.__name__: each for each in (ConnectionError, ValueError, DoNotRetry, LookupError)
}


def look(ctx: Any) -> dict[str, Any]:
    """Return what is committed about the claim that this body runs for, and about the nodes it follows from."""
    claim, parents, join = ctx._held.claim, ctx._spec.depends_on, ctx._spec.join
    began = handed_over.pop(claim.run_id)  # when the runner let it begin; a trap lies between that and here
    undone, undos = ctx._graph.undos.get(ctx.node_id), ctx._graph.undos
    whom = undone or claim.key.for_node
    near = [*parents, whom, *(undos if undone else ())]
    names = Q(execution=claim.execution_id, superseded=False, node__in=near, index=-1)
    columns = ("pk", "node", "status", "fence", "generation", "available_at", "ready_at")

    def ask() -> Any:
        asked = time.monotonic()
        return (
            asked,
            clock.now(),
            list(NodeRun.objects.filter(Q(pk=claim.run_id) | names).values_list(*columns)),
        )

    asked, now, found = patiently(ask)
    own = next(row for row in found if row[0] == claim.run_id)
    seen = {row[1]: row[2] for row in found if row is not own}
    return {
        "began": began,
        "took": time.monotonic() - began,
        "run": claim.run_id,
        "generation": own[4],
        "fence": claim.fence,
        "seen": [own[2], own[3]],
        "parents": {parent: seen.get(parent, "") for parent in parents},
        "join": join if isinstance(join, str) else join.count,
        "rescues": seen.get(whom, "") if whom and not undone else None,
        "undoes": seen.get(whom, "") if undone else None,
        "undos": {name: status for name, status in seen.items() if undone and name in undos},
        "outside": not connection.in_atomic_block or ctx._spec.transactional,
        # By the database's clock, the latest that it can have begun: the answer came after it was asked for.
        "at": (now - dt.timedelta(seconds=asked - began)).isoformat(),
        "due": own[5].isoformat(),
        "ready": own[6].isoformat(),
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
            ledger.note(ctx, "end", run=seen["run"], fence=seen["fence"])

    return run


@looks
def step(ctx: Any, seen: dict[str, Any]) -> str:
    return str(ctx.node_id)


async def step_async(ctx: Any) -> str:
    """Do as `step`, on the event loop (which the look holds up: it must be what the body does first)."""
    async with _looking(ctx):
        _fail_if_told(ctx)
        return str(ctx.node_id)


@contextlib.asynccontextmanager
async def _looking(ctx: Any) -> AsyncIterator[None]:
    seen = look(ctx)
    ledger.note(ctx, "start", **seen)
    try:
        await asyncio.sleep(ctx.params.get("pause", 0))
        spring("during", ctx._held.claim)
        yield
    finally:
        ledger.note(ctx, "end", run=seen["run"], fence=seen["fence"])


@looks
def twenty(ctx: Any, seen: dict[str, Any]) -> list[int]:
    return list(range(20))


@looks
def fails(ctx: Any, seen: dict[str, Any]) -> str:
    """Fail as the parameters say: with `error`, until the attempt `good_at` (never good, where there is none)."""
    _fail_if_told(ctx)
    return "good"


@looks
def asks_for_time(ctx: Any, seen: dict[str, Any]) -> str:
    """Ask for `after` seconds, at the first attempt."""
    if ctx.attempt == 1:
        raise RetryAfter(ctx.params["after"])
    return "good"


@looks
def pays(ctx: Any, seen: dict[str, Any]) -> str:
    """Pay, and fail afterwards as the parameters say: the next attempt pays again, under the same key."""
    _pay(ctx, seen)
    _fail_if_told(ctx)
    return "paid"


def _pay(ctx: Any, seen: dict[str, Any]) -> None:
    ledger.note(ctx, "pay", run=seen["run"])
    whom = ctx._held.claim.key.for_node
    pay(ctx.idempotency_key, **{"execution": ctx.execution_id, "node": ctx.node_id, "for": whom})
    spring("paid", ctx._held.claim)


@looks
def talks(ctx: Any, seen: dict[str, Any]) -> Any:
    """Pay in a step, sleep, wait for the signal "go", and sleep again: what was paid once is not paid again."""
    ctx.step("pay", lambda: _pay(ctx, seen))
    ctx.sleep(ctx.params["sleep"])
    given = ctx.wait_for_signal("go")
    _fail_if_told(ctx)
    ctx.sleep(ctx.params["sleep"])
    return given


async def talks_async(ctx: Any) -> Any:
    """Sleep and wait for the signal "go" at once, on the event loop."""
    async with _looking(ctx):
        _, given = await asyncio.gather(ctx.sleep(ctx.params["sleep"]), ctx.wait_for_signal("go"))
        return given


@looks
def announces(ctx: Any, seen: dict[str, Any]) -> None:
    ctx.emit_event("f-told", {"round": ctx.input["round"]})


@looks
def hears(ctx: Any, seen: dict[str, Any]) -> Any:
    return ctx.wait_for_event("f-told", {"round": ctx.input["round"]})["data"]["round"]


@looks
def breeds(ctx: Any, seen: dict[str, Any]) -> list[Any]:
    """Wait for a child, then for several of which one fails, and fail afterwards as the parameters say."""
    first = ctx.run_child("f-born", {"n": 0})
    asked = [*(("f-born", {"n": n}) for n in range(1, 5)), ("f-stillborn", {})]
    found = ctx.run_children(asked, return_exceptions=True)
    _fail_if_told(ctx)
    return [first, *(each if isinstance(each, str) else type(each).__name__ for each in found)]


@looks
def pays_back(ctx: Any, seen: dict[str, Any]) -> str:
    """Undo: pay back what its node has paid, and fail afterwards before the attempt `undone_at`."""
    _pay(ctx, seen)
    spring("undoing", ctx._held.claim)
    if ctx.attempt < ctx.params.get("undone_at", 1):
        raise ConnectionError(f"attempt {ctx.attempt} fails")
    return "paid back"


async def undoes_async(ctx: Any) -> None:
    """Undo on the event loop."""
    async with _looking(ctx):
        pass


COUNTS = 5  # of one body


@looks
def counts(ctx: Any, seen: dict[str, Any]) -> int:
    """Count for the workflow, and pass the moment "counting" between two counts."""
    for _ in range(COUNTS):
        total = ctx.storage.incr("total", scope="workflow")
        spring("counting", ctx._held.claim)
    return int(total)


async def counts_async(ctx: Any) -> int:
    """Do as `counts`, on the event loop, all at once."""
    async with _looking(ctx):
        made = [ctx.storage.incr("total", scope="workflow") for _ in range(COUNTS)]
        totals = await asyncio.gather(*made)
        spring("counting", ctx._held.claim)
        return max(totals)


def _fail_if_told(ctx: Any) -> None:
    error = ctx.params.get("error")
    if error is not None and not 0 < ctx.params.get("good_at", 0) <= ctx.attempt:
        raise ERRORS[error](f"attempt {ctx.attempt} fails")


@looks
def broken_at_first(ctx: Any, seen: dict[str, Any]) -> str:
    if seen["generation"] == 1:
        raise DoNotRetry("a person has to look at this")
    return "mended"


def asked(ctx: Any) -> bool:
    """Be a node's condition: what the parameter `when` says."""
    ledger.note(ctx, "asked", run=ctx._held.claim.run_id, fence=ctx._held.claim.fence)
    return bool(ctx.params["when"])


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
