"""Workflows for tests of the runner. Every body writes into the ledger that it has begun, and that it has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestration import DoNotRetry, RetryAfter, RetryPolicy, Workflow, WorkflowBuilder, task
from tests.ledger import recorded


def single(name: str, body: Callable[..., Any], *, then: bool = False, **options: Any) -> Workflow:
    """Build a workflow of the one node "work" (and, with `then`, of "after" behind it)."""
    builder = WorkflowBuilder(name, timeout=options.pop("whole", None)).add_node("work", body, **options)
    if then:
        builder.add_node("after", quick, depends_on=["work"])
    return builder.build()


def wait_for_file(path: str, within: float = 30.0) -> None:
    """Return when the test makes the file: how a test holds a body without guessing times."""
    deadline = time.monotonic() + within
    while not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.01)


# --- graphs ----------------------------------------------------------------------------------------


@recorded
def quick(ctx: Any) -> str:
    return str(ctx.node_id)


@recorded
def gather(ctx: Any) -> dict[str, Any]:
    return dict(ctx.results)


@recorded
def asks_input(ctx: Any) -> Any:
    return ctx.input


@recorded
def wait(ctx: Any) -> str:
    """Sleep so many seconds: the input's, else the node's own."""
    time.sleep(ctx.input.get("seconds", ctx.params.get("seconds", 1.0)))
    return "slept"


@recorded
def gate(ctx: Any) -> str:
    """Hold until the test opens the gate that the input names."""
    wait_for_file(ctx.input["gate"])
    return "open"


chain = (
    WorkflowBuilder("t-chain", output="c")
    .add_node("a", quick)
    .add_node("b", quick, depends_on=["a"])
    .add_node("c", gather, depends_on=["b"])
    .build()
)
diamond = (
    WorkflowBuilder("t-diamond")
    .add_node("top", quick)
    .add_node("left", quick, depends_on=["top"])
    .add_node("right", quick, depends_on=["top"])
    .add_node("bottom", gather, depends_on=["left", "right"])
    .build()
)
_fan = WorkflowBuilder("t-fan", output="all").add_node("root", quick)
for _n in range(200):
    _fan.add_node(f"leaf-{_n}", quick, depends_on=["root"])
fan = _fan.add_node("all", gather, depends_on=[f"leaf-{_n}" for _n in range(200)]).build()

three = (
    WorkflowBuilder("t-three")
    .add_node("a", wait, params={"seconds": 0.05})
    .add_node("b", wait, depends_on=["a"], params={"seconds": 0.05})
    .add_node("c", quick, depends_on=["b"])
    .build()
)
slow = single("t-slow", wait, then=True)
gated = single("t-gated", gate, then=True)
gated_pair = (
    WorkflowBuilder("t-gated-pair")
    .add_node("held", gate)
    .add_node("other", quick)
    .add_node("join", gather, depends_on=["held", "other"])
    .build()
)
schema = {
    "type": "object",
    "required": ["rows"],
    "additionalProperties": False,
    "properties": {
        "rows": {"type": "array", "items": {"type": "object", "properties": {"age/y": {"type": "integer"}}}}
    },
}
with_schema = WorkflowBuilder("t-schema", input_schema=schema).add_node("work", quick).build()

# Quick bodies, so that batches grow; a pause, so that the next look takes a batch; then, first in that batch, a body
# that does not end soon: what was claimed with it must go to somebody else.
_batch = WorkflowBuilder("t-batch").add_node("warm-0", quick)
for _n in range(1, 40):
    _batch.add_node(f"warm-{_n}", quick, depends_on=[f"warm-{_n - 1}"])
_batch.add_node("pause", wait, depends_on=["warm-39"], params={"seconds": 0.022})
_batch.add_node("a-slow", wait, depends_on=["pause"], params={"seconds": 2.5})
for _n in range(60):
    _batch.add_node(f"leaf-{_n}", quick, depends_on=["pause"])
batch = _batch.build()


# --- failures --------------------------------------------------------------------------------------


@recorded
def fail_until(ctx: Any) -> str:
    """Fail each attempt before the one that the parameter names."""
    if ctx.attempt < ctx.params["good"]:
        raise ConnectionError(f"attempt {ctx.attempt} failed")
    return f"attempt {ctx.attempt}"


@recorded
def later(ctx: Any) -> str:
    if ctx.attempt == 1:
        raise RetryAfter(0.7, "come back")
    return "came back"


@recorded
def never_again(ctx: Any) -> None:
    raise DoNotRetry("no use")


@recorded
def fails_unless_fixed(ctx: Any) -> str:
    if not Path(ctx.input["fixed"]).exists():
        raise ValueError("not fixed yet")
    return "fixed"


@recorded
def exits(ctx: Any) -> None:
    sys.exit(3)


@recorded
def vanishes(ctx: Any) -> None:
    os._exit(9)


@recorded
def unserialisable(ctx: Any) -> Any:
    return {"rows": [1, {"when": object()}]}


@recorded
def not_a_number(ctx: Any) -> Any:
    return {"mean": float("nan")}


@recorded
def too_large(ctx: Any) -> str:
    return "x" * (3 * 1024 * 1024)


@recorded
def gate_then_fail(ctx: Any) -> str:
    wait_for_file(ctx.input["gate"])
    if ctx.attempt == 1:
        raise ConnectionError("the first attempt fails")
    return "good"


gate_flaky = single("t-gate-flaky", gate_then_fail, retry=RetryPolicy(max_attempts=2, initial_interval=0.05))
_retry = RetryPolicy(max_attempts=4, initial_interval=0.2, backoff_coefficient=2)
flaky = single("t-flaky", fail_until, then=True, params={"good": 3}, retry=_retry)
hopeless = single(
    "t-hopeless",
    fail_until,
    then=True,
    params={"good": 9},
    retry=RetryPolicy(max_attempts=2, initial_interval=0.05),
)
retry_after = single("t-retry-after", later, retry=RetryPolicy(max_attempts=3, initial_interval=60))
do_not_retry = single("t-do-not-retry", never_again, retry=RetryPolicy(max_attempts=5, initial_interval=0.05))
retry_late = single(
    "t-retry-late",
    fail_until,
    then=True,
    params={"good": 2},
    retry=RetryPolicy(max_attempts=3, initial_interval=60),
)
exiting = single("t-exiting", exits, then=True, retry=RetryPolicy(max_attempts=5, initial_interval=0.05))
vanishing = single("t-vanishing", vanishes, then=True)
results_of_a_kind = {
    name: single(f"t-{name}", body, then=True)
    for name, body in (("unserialisable", unserialisable), ("nan", not_a_number), ("large", too_large))
}
unserialisable_result, nan_result, large_result = results_of_a_kind.values()
fixable = (
    WorkflowBuilder("t-fixable")
    .add_node("first", quick)
    .add_node("broken", fails_unless_fixed, depends_on=["first"])
    .add_node("beside", quick, depends_on=["first"])
    .add_node("last", gather, depends_on=["broken", "beside"])
    .build()
)


# --- timeouts --------------------------------------------------------------------------------------


@recorded
def spins(ctx: Any) -> None:
    number = 0
    while True:
        number += 1


@recorded
def sleeps(ctx: Any) -> None:
    time.sleep(60)


@recorded
def ignores(ctx: Any) -> None:
    """Pay no heed to signals or exceptions."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
    swallow()


def swallow() -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            time.sleep(60)
        except BaseException:
            continue


@recorded
def swallows(ctx: Any) -> None:
    swallow()


spinning = single("t-spinning", spins, then=True, timeout=0.3)
sleeping = single("t-sleeping", sleeps, timeout=0.3, retry=RetryPolicy(max_attempts=2, initial_interval=0.05))
ignoring = single("t-ignoring", ignores, then=True, timeout=0.3)
whole_timeout = single("t-whole-timeout", wait, then=True, whole=1.0)
stubborn = single("t-stubborn", swallows)
long_sleep = single("t-long-sleep", sleeps, then=True)


# --- on the event loop -----------------------------------------------------------------------------


@recorded
async def nap(ctx: Any) -> float:
    await asyncio.sleep(ctx.params.get("seconds", ctx.input.get("seconds", 0.5)))
    return 0.5


@recorded
async def sleeps_async(ctx: Any) -> None:
    await asyncio.sleep(60)


@recorded
async def raises_async(ctx: Any) -> None:
    await asyncio.sleep(0)
    raise LookupError("nothing there")


@recorded
async def exits_async(ctx: Any) -> None:
    sys.exit(4)


@recorded
async def leaves_an_orphan(ctx: Any) -> None:
    async def exit_later() -> None:
        sys.exit(5)

    await asyncio.wait([asyncio.ensure_future(exit_later())], timeout=0.2)


@recorded
async def blocks_the_loop(ctx: Any) -> None:
    swallow()


@recorded
async def keeps_a_file(ctx: Any) -> Any:
    ctx.log.info("keeping")
    reference = await ctx.artifact("async.bin", b"\0\1\2" * 1000, "application/octet-stream")
    again = await ctx.read_artifact(reference)
    return {"file": reference, "same": again == b"\0\1\2" * 1000, "root": ctx.results["root"]}


_naps = WorkflowBuilder("t-naps")
for _n in range(100):
    _naps.add_node(f"nap-{_n}", nap)
naps = _naps.build()
async_timeout = single("t-async-timeout", sleeps_async, then=True, timeout=0.3)
async_error = single("t-async-error", raises_async)
async_exit = single("t-async-exit", exits_async)
async_blocking = single("t-async-blocking", blocks_the_loop, then=True, timeout=0.3)
async_sleep = single("t-async-sleep", sleeps_async, then=True)
async_orphan = single("t-async-orphan", leaves_an_orphan)
async_nap = single("t-async-nap", nap, then=True)
async_file = (
    WorkflowBuilder("t-async-file", output="keep")
    .add_node("root", quick)
    .add_node("keep", keeps_a_file, depends_on=["root"])
    .build()
)


@task("t.nap")
@recorded
async def named_nap(ctx: Any) -> str:
    await asyncio.sleep(ctx.params["seconds"])
    return "napped"


# --- what a body can say ---------------------------------------------------------------------------


@recorded
def talks(ctx: Any) -> int:
    for number in range(ctx.input["lines"]):
        ctx.log.info("line %d", number)
    ctx.log.warning("a NUL \0, a lone surrogate \ud800 and 100%")
    return int(ctx.input["lines"])


@recorded
def reports(ctx: Any) -> None:
    ctx.progress(0.25, "a quarter")
    ctx.log.info("a quarter of it")
    wait_for_file(ctx.input["gate"])
    ctx.progress(1, "all")


@recorded
def keeps(ctx: Any) -> Any:
    return ctx.artifact("numbers.csv", bytes(range(256)) * 20_000, "text/csv")


@recorded
def reads(ctx: Any) -> Any:
    data = ctx.read_artifact(ctx.results["keep"])
    return {"size": len(data), "same": data == bytes(range(256)) * 20_000}


@recorded
def asks(ctx: Any) -> dict[str, Any]:
    """Return what ctx says of itself, and the sentences of the errors that a wrong question gives."""
    said = {}
    for name, question in {
        "typo": lambda: ctx.results["frist"],
        "skipped": lambda: ctx.results["second"],
        "artifact": lambda: ctx.read_artifact("not-an-id"),
        "progress": lambda: ctx.progress(float("nan")),
        "name": lambda: ctx.artifact("../x", b""),
        "bytes": lambda: ctx.artifact("x", "text"),
    }.items():
        try:
            question()
        except Exception as error:
            said[name] = str(error)
    about = {
        "attempt": ctx.attempt,
        "params": dict(ctx.params),
        "input": ctx.input,
        "key": ctx.idempotency_key,
    }
    return {
        **said,
        **about,
        "by": ctx.principal.name,
        "get": ctx.results.get("second"),
        "first": ctx.results["first"],
    }


@recorded
def polls(ctx: Any) -> str:
    """Work in small steps until cancelled; say so with the exception that ctx raises."""
    for _ in range(3000):
        if ctx.is_cancelled():
            ctx.check_cancelled()
        time.sleep(0.01)
    return "never cancelled"


talking = single("t-talking", talks)
reporting = single("t-reporting", reports)
keeping = (
    WorkflowBuilder("t-keeping", output="read")
    .add_node("keep", keeps)
    .add_node("read", reads, depends_on=["keep"])
    .build()
)
asking = (
    WorkflowBuilder("t-asking", output="ask")
    .add_node("first", quick)
    .add_node("broken", never_again)
    .add_node("second", quick, depends_on=["broken"])
    .add_node("ask", asks, depends_on=["first", "second"], join="all_done", params={"a": [1, 2]})
    .build()
)
polling = single("t-polling", polls, then=True)


# --- silence and deadlines ---------------------------------------------------------------------------


@recorded
def speaks(ctx: Any) -> str:
    """Say so often that it is alive that no silence is as long as its `heartbeat_timeout`."""
    for number in range(8):
        time.sleep(0.1)
        ctx.heartbeat({"at": number})
    return "spoke"


@recorded
async def speaks_async(ctx: Any) -> str:
    for number in range(8):
        await asyncio.sleep(0.1)
        await ctx.heartbeat({"at": number})
    return "spoke"


_silence: dict[str, Any] = {"heartbeat_timeout": 0.5}
silent = {
    "sync": single("t-silent", sleeps, **_silence),
    "async": single("t-silent-async", sleeps_async, **_silence),
}
silent_sync, silent_on_loop = silent.values()
speaking = {
    "sync": single("t-speaking", speaks, **_silence),
    "async": single("t-speaking-async", speaks_async, **_silence),
}
speaking_sync, speaking_on_loop = speaking.values()
_often = RetryPolicy(max_attempts=5, initial_interval=0.05)
overdue = {
    "sync": single("t-overdue", sleeps, then=True, deadline=0.4, retry=_often),
    "async": single("t-overdue-async", sleeps_async, then=True, deadline=0.4, retry=_often),
}
overdue_sync, overdue_on_loop = overdue.values()


# --- control ---------------------------------------------------------------------------------------


@recorded
def sees(ctx: Any) -> Any:
    """Return the input that it sees; fail where that says so."""
    if ctx.input["fail"]:
        raise ValueError("told to")
    return ctx.input


seeing = (
    WorkflowBuilder("t-seeing", output="all")
    .add_node("first", quick)
    .add_node("work", sees, depends_on=["first"])
    .add_node("after", asks_input, depends_on=["work"])
    .add_node("all", gather, depends_on=["work", "after"])
    .build()
)


@recorded
def returns_what_it_undoes(ctx: Any) -> Any:
    return {"undone": ctx.results["work"], "sees": dict(ctx.results)}


@recorded
async def returns_what_it_undoes_async(ctx: Any) -> Any:
    return {"undone": ctx.results["other"], "sees": dict(ctx.results)}


undoing = (
    WorkflowBuilder("t-undoing")
    .add_node("first", quick)
    .add_node("work", quick, depends_on=["first"], compensate=returns_what_it_undoes)
    .add_node("other", quick, depends_on=["work"], compensate=returns_what_it_undoes_async)
    .add_node("last", never_again, depends_on=["other"])
    .build()
)


# --- the cache -------------------------------------------------------------------------------------

from tests.cached_workflows import (  # noqa: E402, F401 - theirs are ours
    cached,
    cached_async,
    cached_behind,
    cached_by_key,
    cached_failing,
    cached_file,
    cached_large,
    cached_parked,
    cached_retried,
    cached_shortly,
    shared_one,
    shared_two,
)
