"""What is measured, on whom, how much of it, and what should be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

IGON7, SQLITE, ABSURD, DBOS = "igon7", "igon7-sqlite", "absurd", "dbos"
CONTESTANTS = (IGON7, ABSURD, DBOS, SQLITE)  # in the order of a round
PEERS = (ABSURD, DBOS)
OURS = (IGON7, SQLITE)
ROUNDS, QUICK_ROUNDS = 5, 3


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure: on whom, with which amounts, and how long a run may take (seconds)."""

    name: str
    about: str
    contestants: tuple[str, ...]
    full: Mapping[str, Any]
    quick: Mapping[str, Any]
    deadline: float = 180.0
    quick_rounds: int = QUICK_ROUNDS


SCENARIOS = (
    Scenario("chain", "chain of 100", CONTESTANTS, {"length": 100, "times": 7}, {"length": 100, "times": 5}),
    Scenario(
        "fan", "fan-out 1 → n → 1", CONTESTANTS, {"width": 1000, "times": 3}, {"width": 1000, "times": 1}
    ),
    Scenario("many", "executions of 3 nodes", (IGON7, ABSURD, SQLITE), {"count": 1000}, {"count": 500}),
    Scenario("latency", "start latency", CONTESTANTS, {"trials": 50, "seed": 7}, {"trials": 20, "seed": 7}),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that should be reached: a contestant's own, or its ratio to another's or to another figure."""

    text: str
    scenario: str
    figure: str
    sense: Literal["≤", "≥"]
    limit: float
    unit: str = ""
    of: str = IGON7
    over: str = ""  # a contestant
    over_figure: str = field(default="")

    def reached(self, value: float) -> bool:
        return value <= self.limit if self.sense == "≤" else value >= self.limit


def _many() -> list[Target]:
    return [
        Target(f"{how}, submission {where}", "many", f"{key}_{side}", "≥", 3.0, over=ABSURD)
        for key, how in (("together", "many by start_many"), ("single", "many one by one"))
        for side, where in (("with", "inside"), ("without", "before"))
    ]


TARGETS = (
    Target("chain: ms per hop ÷ Absurd's", "chain", "hop_ms", "≤", 0.9, over=ABSURD),
    Target("fan-out: nodes/s ÷ Absurd's", "fan", "nodes_s", "≥", 3.0, over=ABSURD),
    Target("fan-out: nodes/s ÷ DBOS's", "fan", "nodes_s", "≥", 10.0, over=DBOS),
    *_many(),
    Target("start latency on PostgreSQL, p50", "latency", "p50_ms", "≤", 8.0, "ms"),
    Target("start latency on SQLite, p50", "latency", "p50_ms", "≤", 25.0, "ms", of=SQLITE),
)
