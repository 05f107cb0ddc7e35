"""A trace as a Workflow made at run time: the same graph, its tasks asleep for as long as they once ran."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from orchestration import Workflow, WorkflowBuilder, task

from .wfformat import Trace

SLEEP = "trace.sleep"


@task(SLEEP)
async def sleep(ctx: Any) -> dict[str, Any]:
    """Sleep `seconds`, and say for which task and how long it was."""
    began = time.monotonic()
    await asyncio.sleep(ctx.params["seconds"])
    return {"task": ctx.params["task"], "slept": round(time.monotonic() - began, 6)}


def trace_workflow(trace: Trace, factor: float = 1.0) -> Workflow:
    """Build the workflow that replays `trace`, every runtime multiplied by `factor` (0 or more)."""
    builder = WorkflowBuilder(
        f"trace-{_slug(trace.name)}",
        description=f"{trace.name}: {len(trace.tasks)} tasks, runtimes × {factor:g}",
        tags=["trace"],
    )
    for each in trace.tasks:
        params = {"task": each.name, "seconds": round(each.runtime * factor, 6)}
        builder.add_node(each.id, SLEEP, depends_on=each.parents, params=params)
    return builder.build()


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].rstrip("-") or "unnamed"
