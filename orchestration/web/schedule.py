"""The attempts that a node still has, before they happen: when the next begins, and how long after that the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestration.engine.graph import NodeSpec
from orchestration.engine.retry import delay_after
from orchestration.engine.states import NodeStatus
from orchestration.models import NodeRun

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Planned:
    """An attempt to come: at `due`, or `delay` seconds after the one before has failed."""

    number: int
    due: datetime | None = None
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """The next attempts, how many more there are, and of how many in all; `at_most` where chance shortens delays."""

    planned: tuple[Planned, ...]
    more: int
    of: int
    at_most: bool


def schedule(spec: NodeSpec, run: NodeRun | None) -> Schedule | None:
    """Return what the policy has in store for a node that runs or waits to be retried; None where nothing more comes.

    It is the plan: `on_retry`, or an error that asks for another delay or is not retried, may overrule it.
    """
    policy = spec.retry
    if (
        policy is None
        or run is None
        or run.status not in (NodeStatus.READY, NodeStatus.RUNNING)
        or not run.attempt
    ):
        return None
    planned = []
    number = run.attempt
    if run.status == NodeStatus.READY:
        number += 1
        planned.append(Planned(number, due=run.available_at))
    types = (run.error or {}).get("types") or policy.retry_on
    while len(planned) < SHOWN:
        delay = delay_after(policy, number, types, None, 1.0)
        if delay is None:
            break
        number += 1
        planned.append(Planned(number, delay=delay))
    if not planned:
        return None
    more = policy.max_attempts - number if len(planned) == SHOWN else 0
    return Schedule(tuple(planned), more, policy.max_attempts, policy.jitter == "full")
