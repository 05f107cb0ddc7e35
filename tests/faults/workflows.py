"""What runs while faults happen, and how it must end, whatever the faults."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from orchestration import AtLeast, RetryPolicy, Workflow, WorkflowBuilder

from .bodies import (
    COUNTS,
    announces,
    asked,
    asks_for_time,
    breeds,
    broken_at_first,
    counts,
    counts_async,
    fails,
    hears,
    held,
    pays,
    pays_back,
    polls,
    step,
    step_async,
    talks,
    talks_async,
    twenty,
    undoes_async,
)

CAUGHT = frozenset({"succeeded", "cancelled"})  # by the end of one that fails fast


@dataclass(frozen=True, slots=True)
class Ends:
    """How an execution must end: its status, and that of each node that does not succeed."""

    status: str = "succeeded"
    nodes: dict[str, str | frozenset[str]] = field(default_factory=dict)
    delays: dict[str, list[float]] = field(default_factory=dict)  # seconds that a node waits between attempts
    undos: frozenset[str] = frozenset()  # nodes that have an undo
    rolls_back: bool = False  # its cancel undoes


ENDS: dict[str, Ends] = {}


def ends(made: Workflow, status: str = "succeeded", **nodes: str | frozenset[str]) -> Workflow:
    """Say how it must end; "_" in a node's name stands for "-"."""
    waits = {id: _delays(spec.retry, spec.params) for id, spec in made.graph.nodes.items() if spec.retry}
    undos = frozenset(id for id, spec in made.graph.nodes.items() if spec.compensate)
    named = {name.replace("_", "-"): each for name, each in nodes.items()}
    ENDS[made.name] = Ends(status, named, waits, undos)
    return made


def _delays(policy: RetryPolicy, params: Any) -> list[float]:
    """Return the seconds before each further attempt, as docs say it, by hand: not as the engine reckons."""
    if "after" in params:
        return [params["after"]]
    times = range(1, params.get("good_at", params.get("undone_at", policy.max_attempts)))
    first = policy.initial_interval
    by = {
        "fixed": lambda n: first,
        "linear": lambda n: first * n,
        "exponential": lambda n: first * 2 ** (n - 1),
    }
    return [by[policy.strategy](n) for n in times]


_chance = random.Random(7)


def _pause(**params: Any) -> dict[str, Any]:
    return {"pause": round(_chance.uniform(0.001, 0.03), 4), **params}


def _fails(error: str = "ConnectionError", **params: Any) -> dict[str, Any]:
    return _pause(error=error, **params)


def _soon(attempts: int, strategy: str = "exponential", interval: float = 0.1) -> RetryPolicy:
    return RetryPolicy(max_attempts=attempts, initial_interval=interval, strategy=strategy)


# --- graphs in which nothing fails -----------------------------------------------------------------

_chain = WorkflowBuilder("f-chain", timeout=600).add_node("n0", step, params=_pause())
for _n in range(1, 6):
    _body = step_async if _n == 3 else step
    _chain.add_node(f"n{_n}", _body, depends_on=[f"n{_n - 1}"], params=_pause())
chain = ends(_chain.build())

_fan = WorkflowBuilder("f-fan", timeout=600).add_node("root", step, params=_pause())
for _n in range(12):
    _fan.add_node(f"leaf{_n}", step_async if _n % 3 == 0 else step, depends_on=["root"], params=_pause())
fan = ends(_fan.add_node("all", step, depends_on=[f"leaf{_n}" for _n in range(12)]).build())

diamond = ends(
    WorkflowBuilder("f-diamond")
    .add_node("top", step_async, params=_pause())
    .add_node("left", step, depends_on=["top"], params=_pause())
    .add_node("right", step_async, depends_on=["top"], params=_pause())
    .add_node("bottom", step, depends_on=["left", "right"], params=_pause())
    .build()
)

# --- retries ---------------------------------------------------------------------------------------

flaky = ends(
    WorkflowBuilder("f-flaky")
    .add_node("first", step, params=_pause())
    .add_node("flaky", fails, depends_on=["first"], params=_fails(good_at=2), retry=_soon(3, interval=0.3))
    .add_node("last", step, depends_on=["flaky"], params=_pause())
    .build()
)
retries = ends(
    WorkflowBuilder("f-retries")
    .add_node("exponential", fails, params=_fails(good_at=3), retry=_soon(4))
    .add_node("fixed", step_async, params=_fails(good_at=3), retry=_soon(3, "fixed", 0.15))
    .add_node("linear", fails, params=_fails(good_at=3), retry=_soon(3, "linear"))
    .add_node("after", asks_for_time, params=_pause(after=0.25), retry=_soon(2))
    .add_node("last", step, depends_on=["exponential", "fixed", "linear", "after"], params=_pause())
    .build()
)
# Waits for its time between two attempts: long enough for a fault to fall into that.
delayed = ends(
    WorkflowBuilder("f-delayed")
    .add_node("flaky", fails, params=_fails(good_at=2), retry=_soon(3, interval=1.5))
    .add_node("last", step, depends_on=["flaky"])
    .build()
)
# Fails, until a person retries it: its second generation runs the rest.
mended = ends(
    WorkflowBuilder("f-mended")
    .add_node("first", pays, params=_pause())
    .add_node("broken", broken_at_first, depends_on=["first"], params=_pause())
    .add_node("last", step, depends_on=["broken"], params=_pause())
    .build()
)

# --- effects ---------------------------------------------------------------------------------------

_paying = WorkflowBuilder("f-paying").add_node("order", step, params=_pause(), compensate=pays_back)
for _n in range(4):
    _paying.add_node(f"pay{_n}", pays, depends_on=["order"], params=_pause())
paying = ends(
    _paying.add_node(
        "again", pays, depends_on=["order"], params=_fails(good_at=3), retry=_soon(3, "fixed", 0.05)
    )
    .add_node("receipt", step, depends_on=["again", *(f"pay{_n}" for _n in range(4))], params=_pause())
    .build()
)

# --- rescues ---------------------------------------------------------------------------------------

rescued = ends(
    WorkflowBuilder("f-rescued")
    .add_node("first", step, params=_pause())
    .add_node("primary", fails, depends_on=["first"], params=_fails(), retry=_soon(2), fallback="second")
    .add_node("second", step_async, params=_fails("ValueError"), retry=_soon(2, "fixed"), fallback="third")
    .add_node("third", pays, params=_pause())
    .add_node("sound", step, depends_on=["first"], params=_pause(), fallback="spare")
    .add_node("spare", step)
    .add_node("last", step, depends_on=["primary", "sound"], params=_pause())
    .build(),
    primary="recovered",
    second="recovered",
    spare="skipped",
)
bounded = ends(
    WorkflowBuilder("f-bounded")
    .add_node("risky", fails, params=_fails(), retry=_soon(2))
    .add_node("shaky", step_async, params=_fails())
    .add_node("wrong", fails, params=_fails("ValueError"), fallback="as-wrong")
    .add_node("as-wrong", fails, params=_fails("ValueError"))
    .add_node("values", pays, on_error=True, error_types=[ValueError], params=_pause())
    .add_node("network", pays, on_error=True, for_nodes=["risky", "shaky"], params=_pause())
    .add_node("last", step, depends_on=["risky", "shaky", "wrong"], params=_pause())
    .build(),
    risky="recovered",
    shaky="recovered",
    wrong="recovered",
    as_wrong="failed",
)

# --- what is undone --------------------------------------------------------------------------------

_undo: dict[str, Any] = {"compensate": pays_back, "compensate_retry": _soon(3)}
_TWICE = {"undone_at": 2}  # the undo's first attempt fails
undone = ends(
    WorkflowBuilder("f-undone")
    .add_node("book", pays, params=_pause(**_TWICE), **_undo)
    .add_node("fly", pays, depends_on=["book"], params=_pause(), **_undo)
    .add_node("sleep", step_async, depends_on=["book"], params=_pause(), compensate=undoes_async)
    .add_node("plain", step, depends_on=["book"], params=_pause())
    .add_node("risky", fails, depends_on=["book"], params=_fails(), fallback="instead", compensate=pays_back)
    .add_node("instead", pays, params=_pause(**_TWICE), **_undo)
    .add_node("ship", fails, depends_on=["fly", "sleep", "plain", "risky"], params=_fails(), retry=_soon(2))
    .add_node("after", step, depends_on=["ship"], compensate=pays_back)
    .build(),
    "failed",
    risky="recovered",
    ship="failed",
    after="upstream_failed",
)


def _cancelled(name: str) -> Workflow:
    """Run until a person cancels it: its last node ends in no other way."""
    built = (
        WorkflowBuilder(name)
        .add_node("first", pays, params=_pause(**_TWICE), **_undo)
        .add_node("second", pays, depends_on=["first"], params=_pause(), **_undo)
        .add_node("hold", polls, depends_on=["second"], compensate=pays_back)
        .build()
    )
    return ends(built, "cancelled", hold="cancelled")


rolled_back = _cancelled("f-rolled-back")
ENDS[rolled_back.name] = replace(ENDS[rolled_back.name], rolls_back=True)
called_off = _cancelled("f-called-off")

# --- failures that nobody rescues ------------------------------------------------------------------

unrescued = ends(
    WorkflowBuilder("f-unrescued")
    .add_node("primary", fails, params=_fails(), retry=_soon(2), fallback="second")
    .add_node("second", fails, params=_fails())
    .add_node("boundary", fails, on_error=True, for_nodes=["primary"], params=_fails("DoNotRetry"))
    .add_node("beside", step, params=_pause())
    .add_node("after", step, depends_on=["primary"])
    .add_node("far-after", step, depends_on=["after", "beside"])
    .add_node("alarm", step_async, depends_on=["primary", "beside"], join="one_failed", params=_pause())
    .add_node("cleanup", step, depends_on=["far-after", "beside"], join="all_done", params=_pause())
    .build(),
    "failed",
    primary="failed",
    second="failed",
    boundary="failed",
    after="upstream_failed",
    far_after="upstream_failed",
)
_BAD = ["good", "bad", "no"]
choosy = ends(
    WorkflowBuilder("f-choosy")
    .add_node("good", step, params=_pause(when=True), when=asked)
    .add_node("bad", fails, params=_fails("LookupError"))
    .add_node("no", step, params=_pause(when=False), when=asked)
    .add_node("after-no", step, depends_on=["good", "no"])
    .add_node("after-bad", step, depends_on=["good", "bad"])
    .add_node("none-failed", step, depends_on=["good", "no"], join="none_failed", params=_pause())
    .add_node("any", step_async, depends_on=_BAD, join="any_success", params=_pause())
    .add_node("two", step, depends_on=[*_BAD, "none-failed"], join=AtLeast(2), params=_pause())
    .add_node("no-two", step, depends_on=_BAD, join=AtLeast(2))
    .add_node("all-failed", step, depends_on=["bad", "after-bad"], join="all_failed", params=_pause())
    .add_node("one-failed", step, depends_on=_BAD, join="one_failed", params=_pause())
    .add_node("no-failed", step, depends_on=["good", "no"], join="one_failed")
    .add_node("one-done", step, depends_on=_BAD, join="one_done", params=_pause())
    .add_node("exact", step, depends_on=_BAD, join="good.ok and bad.failed and no.skipped", params=_pause())
    .build(),
    "failed",
    bad="failed",
    no="skipped",
    after_no="skipped",
    after_bad="upstream_failed",
    no_two="upstream_failed",
    no_failed="skipped",
)
_fast = WorkflowBuilder("f-fast", on_failure="fail_fast").add_node("root", step, params=_pause())
for _n in range(6):
    _fast.add_node(f"leaf{_n}", step_async if _n % 2 else step, depends_on=["root"], params=_pause())
_fast.add_node("bad", fails, depends_on=["root"], params=_fails(), retry=_soon(2, "fixed", 0.02))
fast = ends(
    _fast.add_node("all", step, depends_on=["bad", *(f"leaf{_n}" for _n in range(6))]).build(),
    "failed",
    bad="failed",
    all=frozenset({"cancelled", "upstream_failed"}),
    **{f"leaf{_n}": CAUGHT for _n in range(6)},
)

# --- for one drill each ----------------------------------------------------------------------------

COUNTERS = 8
# Nodes and items that run beside each other, up to a bound.
BOUND = 3
_side = [f"side{_n}" for _n in range(12)]
side = ends(
    WorkflowBuilder("f-side")
    .parallel(
        _side, [step_async if _n % 4 == 3 else step for _n in range(12)], concurrency=BOUND, params=_pause()
    )
    .add_node("last", step, depends_on=_side)
    .build()
)
mapped = ends(
    WorkflowBuilder("f-mapped")
    .map("item", step, over=twenty, concurrency=BOUND, params=_pause())
    .add_node("last", step, depends_on=["item"])
    .build()
)

_counting = WorkflowBuilder("f-counting")
for _n in range(COUNTERS):
    _counting.add_node(f"count{_n}", counts_async if _n % 2 else counts, params=_pause())
counting = ends(_counting.add_node("at-once", counts, params=_pause(), transactional=True, timeout=1).build())
COUNTED = (COUNTERS + 1) * COUNTS  # in one execution
gated = ends(
    WorkflowBuilder("f-gated").add_node("work", held).add_node("after", step, depends_on=["work"]).build()
)
# Runs into its deadline.
overdue = ends(
    WorkflowBuilder("f-overdue", timeout=1.0).add_node("work", polls).build(), "failed", work="cancelled"
)
# For a queue that no cluster serves: a drill settles it itself.
RACE = "race"
raced = ends(WorkflowBuilder("f-raced").add_node("work", step, queue=RACE).build())
_forked = WorkflowBuilder("f-forked")
for _name, _parents in {"a": [], "b": [], "c": ["a", "b"], "d": ["c"]}.items():
    _forked.add_node(_name, step, queue=RACE, depends_on=_parents)
forked = ends(_forked.build())
skippable = ends(
    WorkflowBuilder("f-skippable").add_node("work", step, queue=RACE).build(),
    work=frozenset({"skipped", "recovered"}),
)
undecided = ends(
    WorkflowBuilder("f-undecided").add_node("work", step, queue=RACE, on_exhausted="pause").build(),
    "failed",
    work="failed",
)
# --- bodies that wait ------------------------------------------------------------------------------

talking = ends(
    WorkflowBuilder("f-talking")
    .add_node("first", step, params=_pause())
    .add_node(
        "sync",
        talks,
        depends_on=["first"],
        params=_fails(sleep=0.15, good_at=2),
        retry=_soon(2, interval=0.1),
    )
    .add_node("async", talks_async, depends_on=["first"], params=_pause(sleep=0.2))
    .add_node("last", step, depends_on=["sync", "async"], params=_pause())
    .build()
)
announcing = ends(
    WorkflowBuilder("f-announcing")
    .add_node("gate", held)
    .add_node("tell", announces, depends_on=["gate"])
    .build()
)
hearing = ends(WorkflowBuilder("f-hearing").add_node("work", hears).build())
roused = ends(WorkflowBuilder("f-roused").on_event("f-told").add_node("work", step).build())
born = ends(
    WorkflowBuilder("f-born", output="grow")
    .add_node("grow", step, params=_pause())
    .add_node("last", step_async, depends_on=["grow"], params=_pause())
    .build()
)
stillborn = ends(
    WorkflowBuilder("f-stillborn").add_node("work", fails, params=_fails("DoNotRetry")).build(),
    "failed",
    work="failed",
)
breeding = ends(
    WorkflowBuilder("f-breeding", output="breed")
    .add_node("breed", breeds, params=_fails(good_at=2), retry=_soon(2, interval=0.1))
    .build()
)
awaiting = ends(WorkflowBuilder("f-awaiting").add_node("work", step, queue=RACE).build())
awaited = ends(WorkflowBuilder("f-awaited").add_node("work", step, queue=RACE).build())
signalled = ends(WorkflowBuilder("f-signalled").add_node("work", step, queue=RACE).build())

LOAD = (
    *(chain, fan, diamond, flaky, retries, mended, paying),
    *(rescued, bounded, unrescued, choosy, fast),
    *(undone, rolled_back, called_off, talking, breeding),
    *(side, mapped),
)
