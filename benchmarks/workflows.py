"""The bodies that benchmarks run, and the graphs they are put in."""

from __future__ import annotations

import math
import time
from typing import Any

from orchestration import Workflow, WorkflowBuilder, task

BODY = "bench.moment"


@task(BODY)
def moment(ctx: Any) -> dict[str, float]:
    """Say when it ran."""
    return {"at": time.time()}


@task("bench.wait")
def wait(ctx: Any) -> dict[str, float]:
    """Wait for a signal, and say when it was there."""
    ctx.wait_for_signal("go")
    return {"at": time.time()}


@task("bench.hear")
def hear(ctx: Any) -> dict[str, float]:
    """Wait for an event, and say when it was there."""
    ctx.wait_for_event("bench")
    return {"at": time.time()}


@task("bench.breed")
def breed(ctx: Any) -> dict[str, float]:
    """Start so many children, wait for them, and say when all had ended."""
    ctx.run_children([("bench-child", {}) for _ in range(ctx.params["count"])])
    return {"at": time.time()}


@task("bench.numbers")
def numbers(ctx: Any) -> list[int]:
    """Give so many numbers."""
    return list(range(ctx.params["count"]))


def mapped(count: int) -> Workflow:
    """Build root → what finds so many items → a map over them → join."""
    builder = WorkflowBuilder(f"bench-map-{count}").add_node("root", BODY)
    builder.add_node("numbers", "bench.numbers", params={"count": count}, depends_on=["root"])
    return builder.map("work", BODY, over="numbers").add_node("join", BODY, depends_on=["work"]).build()


def waiting(_size: int) -> Workflow:
    """Build one node that waits for a signal."""
    return WorkflowBuilder("bench-waiting").add_node("work", "bench.wait").build()


def listening(_size: int) -> Workflow:
    """Build one node that waits for an event."""
    return WorkflowBuilder("bench-listening").add_node("work", "bench.hear").build()


# Of a module, so that workers know it by its name.
CHILD = WorkflowBuilder("bench-child").add_node("work", BODY).build()


def family(count: int) -> Workflow:
    """Build a parent of so many children."""
    return (
        WorkflowBuilder(f"bench-family-{count}")
        .add_node("work", "bench.breed", params={"count": count})
        .build()
    )


def chain(length: int) -> Workflow:
    """Build `length` nodes one after another."""
    builder = WorkflowBuilder(f"bench-chain-{length}")
    for number in range(length):
        before = [f"n{number - 1:05}"] if number else []
        builder.add_node(f"n{number:05}", BODY, depends_on=before)
    return builder.build()


def fan(width: int) -> Workflow:
    """Build 1 → width → 1."""
    builder = WorkflowBuilder(f"bench-fan-{width}").add_node("root", BODY)
    leaves = [f"leaf{number:05}" for number in range(width)]
    for leaf in leaves:
        builder.add_node(leaf, BODY, depends_on=["root"])
    return builder.add_node("join", BODY, depends_on=leaves).build()


def layered(size: int) -> Workflow:
    """Build a square of `size` nodes: as deep as wide, each node with one or two predecessors in turn."""
    side = math.isqrt(size)
    builder = WorkflowBuilder(f"bench-layered-{size}")
    for number in range(side * side):
        layer, place = divmod(number, side)
        above = [place, (place + 1) % side] if place % 2 else [place]
        before = [_cell(layer - 1, other) for other in above] if layer else []
        builder.add_node(_cell(layer, place), BODY, depends_on=before)
    return builder.build()


def last_but_one(size: int) -> str:
    """Return a node of the last layer but one of `layered`, which two nodes follow."""
    return _cell(math.isqrt(size) - 2, 0)


def _cell(layer: int, place: int) -> str:
    return f"l{layer:03}p{place:03}"
