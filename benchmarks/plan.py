"""What is measured, on whom, how much of it, and what should be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

IGON7, SQLITE, ABSURD, DBOS = "igon7", "igon7-sqlite", "absurd", "dbos"
CONTESTANTS = (IGON7, ABSURD, DBOS, SQLITE)  # in the order of a round
PEERS = (ABSURD, DBOS)
OURS = (IGON7, SQLITE)
ROUNDS, QUICK_ROUNDS = 5, 1
PGBENCH_SECONDS, QUICK_PGBENCH_SECONDS = 2, 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure: on whom, with which amounts, and how long a run may take (seconds)."""

    name: str
    contestants: tuple[str, ...]
    full: Mapping[str, Any]
    quick: Mapping[str, Any]
    deadline: float = 180.0


SCENARIOS = (
    # a chain
    Scenario("chain", CONTESTANTS, {"length": 100, "times": 7}, {"length": 100, "times": 5}),
    # 1 → width → 1
    Scenario("fan", CONTESTANTS, {"width": 1000, "times": 3}, {"width": 1000, "times": 1}),
    # executions of three nodes
    Scenario("many", (IGON7, ABSURD, SQLITE), {"count": 1000}, {"count": 500}),
    # from submission to body
    Scenario("latency", CONTESTANTS, {"trials": 50, "seed": 7}, {"trials": 20, "seed": 7}),
    Scenario(
        "large",
        OURS,
        {"nodes": 10_000, "starts": 5, "repeats": 100},
        {"nodes": 10_000, "starts": 5, "repeats": 20},
    ),
    # a map, and beside it fans of as many nodes
    Scenario(
        "map",
        OURS,
        {"items": 10_000, "width": 10_000, "times": 3},
        {"items": 10_000, "width": 10_000, "times": 1},
    ),
    # one event that many executions wait for
    Scenario(
        "event",
        OURS,
        {"listeners": 1000, "times": 5, "trials": 50},
        {"listeners": 1000, "times": 1, "trials": 20},
    ),
    # one parent's children, and beside them executions of the same workflow by themselves
    Scenario("family", OURS, {"children": 1000, "times": 5}, {"children": 1000, "times": 1}),
    Scenario("idle", OURS, {"settle": 10, "seconds": 60}, {"settle": 4, "seconds": 20}),
    Scenario(
        "memory", (IGON7,), {"early": 10_000, "late": 100_000}, {"early": 10_000, "late": 30_000}, 600.0
    ),
    # executions that wait for a message, and are sent it
    Scenario("woken", (IGON7, ABSURD, SQLITE), {"count": 2000, "trials": 30}, {"count": 500, "trials": 10}),
    Scenario(
        "parked",
        (IGON7,),
        {"count": 100_000, "woken": 10_000, "seconds": 60},
        {"count": 10_000, "woken": 2000, "seconds": 20},
        900.0,
    ),
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
    over_figure: str = ""

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
    Target("idle: CPU seconds a minute, web + cluster + PostgreSQL", "idle", "cpu_s_min", "≤", 1.0, "s"),
    Target("start of a graph of 10,000 nodes", "large", "start_ms", "≤", 50.0, "ms"),
    Target(
        "its cost per node ÷ that of graphs of 100",
        "large",
        "node_ms_large",
        "≤",
        1.3,
        over_figure="node_ms_small",
    ),
    Target(
        "rerun of 3 nodes of it ÷ of 3 of a graph of 100",
        "large",
        "rerun_ms_large",
        "≤",
        2.0,
        over_figure="rerun_ms_small",
    ),
    Target("map of 10,000: items/s ÷ fan-out's nodes/s", "map", "items_s", "≥", 1.0, over_figure="fan_s"),
    Target("an event until 1,000 who wait have it, on PostgreSQL", "event", "given_ms", "≤", 1000.0, "ms"),
    Target("the same on SQLite", "event", "given_ms", "≤", 1000.0, "ms", of=SQLITE),
    Target(
        "1,000 children of one parent ÷ as many executions alone, each a second",
        "family",
        "children_s",
        "≥",
        0.5,
        over_figure="alone_s",
    ),
    Target("a worker's memory after 10,000 nodes", "memory", "pss_early_mib", "≤", 90.0, "MiB"),
    Target(
        "its memory after 100,000 ÷ after 10,000",
        "memory",
        "pss_late_mib",
        "≤",
        1.03,
        over_figure="pss_early_mib",
    ),
    Target("woken in bulk: executions/s ÷ Absurd's", "woken", "together_s", "≥", 5.0, over=ABSURD),
    Target("woken one by one: executions/s ÷ Absurd's", "woken", "single_s", "≥", 2.0, over=ABSURD),
    Target("signal accepted until its body resumes, p50", "woken", "resumed_p50_ms", "≤", 10.0, "ms"),
    Target("a worker's growth by 100,000 parked", "parked", "grown_mib", "≤", 3.0, "MiB"),
    Target(
        "CPU seconds a minute with 100,000 parked, cluster + PostgreSQL", "parked", "cpu_s_min", "≤", 1.0, "s"
    ),
)
