"""Workflows for tests of the cache. A test gives them inputs of its own, so that no other has cached them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from orchestration import CachePolicy, RetryPolicy, WorkflowBuilder
from tests.ledger import recorded


def _wait_for(path: str, within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.01)


def _answer(ctx: Any) -> dict[str, Any]:
    return {"of": ctx.input.get("of"), "from": ctx.execution_id}


@recorded
def computed(ctx: Any) -> dict[str, Any]:
    """Answer once the gate is open, if the input names one; fail on the first tries that it names."""
    if gate := ctx.input.get("gate"):
        _wait_for(gate)
    return _answer(ctx)


@recorded
async def computed_async(ctx: Any) -> dict[str, Any]:
    while (gate := ctx.input.get("gate")) and not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return _answer(ctx)


@recorded
def fails_while_told(ctx: Any) -> dict[str, Any]:
    """Fail while the file is there, which the gate has to be open for."""
    _wait_for(ctx.input["gate"])
    if Path(ctx.input["fails"]).exists():
        Path(ctx.input["fails"]).unlink()
        raise ConnectionError("told to")
    return _answer(ctx)


@recorded
def large(ctx: Any) -> str:
    return "x" * int(ctx.input["size"])


@recorded
def keeps_a_file(ctx: Any) -> dict[str, Any]:
    reference: dict[str, Any] = ctx.artifact("a.txt", b"kept")
    return {"file": reference}


@recorded
def told_by_signal(ctx: Any) -> dict[str, Any]:
    return {**_answer(ctx), "said": ctx.wait_for_signal("go")}


def even(ctx: Any) -> bool:
    return bool(ctx.input.get("run", True))


def by_name(input: Any) -> Any:
    return input["of"]


def _single(name: str, body: Any, **options: Any) -> Any:
    return WorkflowBuilder(f"t-{name}").add_node("work", body, **options).build()


_an_hour = CachePolicy(ttl="1h")
cached = _single("cached", computed, cache=_an_hour, when=even)
cached_async = _single("cached-async", computed_async, cache=_an_hour)
cached_by_key = _single(
    "cached-by-key", computed, cache=CachePolicy(ttl="1h", key_fn=by_name, tags=["named"])
)
cached_shortly = _single("cached-shortly", computed, cache=CachePolicy(ttl=1))
cached_failing = _single("cached-failing", fails_while_told, cache=_an_hour)
cached_retried = _single(
    "cached-retried", fails_while_told, cache=_an_hour, retry=RetryPolicy(initial_interval=0.1)
)
cached_parked = _single("cached-parked", told_by_signal, cache=_an_hour)
cached_large = _single("cached-large", large, cache=_an_hour)
cached_file = _single("cached-file", keeps_a_file, cache=_an_hour)
_shared = CachePolicy(ttl="1h", scope="global")
shared_one, shared_two = (_single(f"shared-{name}", computed, cache=_shared) for name in ("one", "two"))
cached_behind = (
    WorkflowBuilder("t-cached-behind")
    .add_node("before", computed)
    .add_node("work", computed, depends_on=["before"], cache=_an_hour)
    .build()
)
