"""Workflows whose bodies wait, and remember. See `tests.cluster`."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from django.db import connection

from orchestration import RetryPolicy, SignalTimeout, WorkflowBuilder
from tests.ledger import note, recorded
from tests.workflows_for_tests import single


@recorded
def waits(ctx: Any) -> Any:
    """Wait for a signal between two steps."""
    before = ctx.step("before", lambda: _noted(ctx, "before"))
    given = ctx.wait_for_signal("continue", timeout=ctx.params.get("timeout"))
    after = ctx.step("after", lambda: _noted(ctx, "after"))
    return {"before": before, "given": given, "after": after}


def _noted(ctx: Any, what: str) -> str:
    note(ctx, what)
    return what


@recorded
def gives_up(ctx: Any) -> str:
    try:
        return str(ctx.wait_for_signal("continue", timeout=0.3))
    except SignalTimeout as error:
        return str(error)


@recorded
def naps(ctx: Any) -> str:
    ctx.sleep(0.4)
    ctx.sleep(0.2)
    return "rested"


@recorded
def works_between_naps(ctx: Any) -> str:
    for _ in range(3):
        ctx.step("work", time.sleep, 0.2)
        ctx.sleep(0.5)
    return "done"


@recorded
def asks(ctx: Any) -> Any:
    about = ctx.input or {}
    return ctx.wait_for_approval("go live", text="May it go live?", form=FORM, **about)


FORM = {"type": "object", "properties": {"window": {"type": "string"}}, "required": ["window"]}


@recorded
def collects(ctx: Any) -> list[Any]:
    return [ctx.wait_for_signal("item") for _ in range(ctx.input or 3)]


@recorded
def fails_after_a_step(ctx: Any) -> str:
    kept = ctx.step("effect", lambda: _noted(ctx, "effect"))
    if ctx.attempt < 3:
        raise ConnectionError("not yet")
    return kept


@recorded
def fails_unless_fixed(ctx: Any) -> str:
    kept = ctx.step("effect", lambda: _noted(ctx, "effect"))
    if not Path(ctx.input["fixed"]).exists():
        raise ValueError("not fixed yet")
    return kept


@recorded
def diverges(ctx: Any) -> Any:
    """Do something else than before, once it has been woken."""
    if ctx.has_waited and ctx.params["how"] == "leaves":
        return "elsewhere"
    if ctx.has_waited and ctx.params["how"] == "steps":
        return ctx.step("continue", lambda: 1)
    return ctx.wait_for_signal("continue")


@recorded
def swallows_everything(ctx: Any) -> str:
    try:
        return str(ctx.wait_for_signal("continue"))
    except BaseException:
        return "swallowed"


@recorded
async def waits_for_two(ctx: Any) -> list[Any]:
    first, second = await asyncio.gather(ctx.wait_for_signal("a"), ctx.wait_for_signal("b"))
    return [first, second]


@recorded
async def whichever_comes(ctx: Any) -> Any:
    """Wait for one of two, give the other up, and then wait for a third."""
    tasks = [asyncio.create_task(ctx.wait_for_signal(name), name=name) for name in ("a", "b")]
    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    [first] = {task.get_name() for task in done}
    last = await ctx.wait_for_signal("last")
    return [first, last]


@recorded
async def steps_and_naps(ctx: Any) -> list[Any]:
    async def slow() -> str:
        await asyncio.sleep(0.2)
        return _noted(ctx, "slow")

    kept = await ctx.step("slow", slow)
    await asyncio.gather(ctx.sleep(0.3), ctx.sleep(0.2))
    return [kept, await ctx.step("plain", lambda: 7)]


@recorded
async def loses_its_connection(ctx: Any) -> list[Any]:
    """Lose what a restart of the database takes away, between durable calls."""
    first = await ctx.step("first", lambda: 1)
    await ctx._call(lambda: connection.connection.close())
    return [first, await ctx.step("second", lambda: 2)]


@recorded
def writes_and_tells(ctx: Any) -> int:
    """Tell, in a transaction, and take a while."""
    ctx.log.info("half way")
    ctx.progress(0.5, "half")
    time.sleep(0.8)
    return int(ctx.storage.incr("written"))


waiting = single("d-waiting", waits, then=True)
patient = single("d-patient", waits, params={"timeout": 30})
giving_up = single("d-giving-up", gives_up)
napping = single("d-napping", naps, then=True)
asking = single("d-asking", asks)
timed = single("d-timed", works_between_naps, timeout=1.5)
too_long = single("d-too-long", works_between_naps, timeout=0.5)
collecting = single("d-collecting", collects)
two_collectors = (
    WorkflowBuilder("d-two-collectors").add_node("one", collects).add_node("two", collects).build()
)
stepping = single("d-stepping", fails_after_a_step, retry=RetryPolicy(max_attempts=3, initial_interval=0.05))
fixable = single("d-fixable", fails_unless_fixed)
leaving = single("d-leaving", diverges, params={"how": "leaves"})
stepping_instead = single("d-stepping-instead", diverges, params={"how": "steps"})
swallowing = single("d-swallowing", swallows_everything)
telling = single("d-telling", writes_and_tells, transactional=True, timeout=1)
two_at_once = single("d-two-at-once", waits_for_two)
first_of_two = single("d-first-of-two", whichever_comes)
async_steps = single("d-async-steps", steps_and_naps)
severed = single("d-severed", loses_its_connection)
conditional = WorkflowBuilder("d-conditional").add_node("work", waits, when=lambda ctx: not ctx.input).build()
