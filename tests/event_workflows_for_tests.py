"""Workflows that emit events, are started by them, and wait for them."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestration import EventTimeout, WorkflowBuilder
from tests.workflows_for_tests import single


def emits(ctx: Any) -> str:
    return str(ctx.emit_event("data-processed", ctx.input))


def emits_then_fails_once(ctx: Any) -> str:
    sent = ctx.emit_event("data-processed", ctx.input)
    if ctx.attempt == 1:
        raise ConnectionError("not yet")
    return str(sent)


def handles(ctx: Any) -> Any:
    return ctx.get_event("data-processed")["data"]


def processes(ctx: Any) -> Any:
    event = ctx.get_event()
    return {"input": ctx.input, "event": event and event["name"], "other": ctx.get_event("other")}


async def processes_async(ctx: Any) -> Any:
    event = await ctx.get_event("data-processed")
    return event["data"] if event else None


def waits(ctx: Any) -> Any:
    """Wait for as many events as the input says."""
    about = ctx.input or {}
    options = {name: about[name] for name in ("match", "timeout", "lookback") if name in about}
    return [ctx.wait_for_event("paid", **options)["data"] for _ in range(about.get("count", 1))]


def gives_up(ctx: Any) -> str:
    try:
        return str(ctx.wait_for_event("paid", timeout=5))
    except EventTimeout as error:
        return str(error)


async def waits_for_two(ctx: Any) -> Any:
    found = await asyncio.gather(
        ctx.wait_for_event("paid", {"order": 1}), ctx.wait_for_event("paid", {"order": 2})
    )
    return [event["data"]["n"] for event in found]


def passes_on(ctx: Any) -> None:
    ctx.emit_event("data-processed", ctx.input)


def says(ctx: Any) -> None:
    for n in (1, 2):
        ctx.emit_event("said", {"n": n, "to": ctx.execution_id})


def hears(ctx: Any) -> list[int]:
    about = {"to": ctx.execution_id}
    return [ctx.wait_for_event("said", about)["data"]["n"] for _ in range(2)]


def is_large(event: dict[str, Any]) -> bool:
    return bool(event["data"]["amount"] > 100)


def fails_to_say(event: dict[str, Any]) -> bool:
    raise ValueError("no idea")


emitter = single("e-emitter", emits)
listener = (
    WorkflowBuilder("e-listener")
    .on_event("data-processed", handles, filter='amount > 100 and country in ["FR", "DE"] and not test')
    .add_node("process", processes)
    .build()
)
plain_listener = (
    WorkflowBuilder("e-plain", output="process")
    .on_event("data-processed")
    .on_event("other")
    .add_node("process", processes)
    .build()
)
async_listener = (
    WorkflowBuilder("e-async", output="process")
    .on_event("data-processed", processes_async)
    .add_node("process", processes_async)
    .build()
)
by_function = WorkflowBuilder("e-function").on_event("data-processed", handles, filter=is_large).build()
by_broken = WorkflowBuilder("e-broken").on_event("data-processed", handles, filter=fails_to_say).build()
strict = (
    WorkflowBuilder("e-strict", input_schema={"type": "object", "required": ["id"]})
    .on_event("data-processed")
    .add_node("process", processes)
    .build()
)
looping = WorkflowBuilder("e-looping").on_event("data-processed").add_node("pass-on", passes_on).build()
waiting = single("e-waiting", waits)
giving_up = single("e-giving-up", gives_up)
two_at_once = single("e-two", waits_for_two)
talking = WorkflowBuilder("e-talking", output="hear").add_node("say", says).add_node("hear", hears).build()
