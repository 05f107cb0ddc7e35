"""How a contestant is driven: the same scenarios, the same clock and the same waits for each.

Only the standard library and what needs no more than that is imported here: each peer's own Python runs it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

Figures = dict[str, float]
Scenario = Callable[..., Figures]  # of a contestant and the amounts
LOOK_EVERY = 0.01  # seconds between two looks at whether all has ended
STEPS = 3  # of each of the many executions


class Contestant(Protocol):
    """What is measured: it has two worker processes, and a body's moment is when it ran (epoch seconds)."""

    def begin(self) -> None:
        """Start the workers and return once they are ready."""

    def end(self) -> None:
        """Stop the workers."""

    def workers(self) -> Sequence[int]:
        """Return the pids of the processes that run bodies."""

    def chain(self, length: int) -> str:
        """Submit `length` steps one after another; return an id."""

    def fan(self, width: int) -> str:
        """Submit a root, `width` nodes that workers take from the queue, and a join; return an id."""

    def many(self, count: int, together: bool) -> list[str]:
        """Submit `count` executions of three steps, in as few commits as can be or one by one; return ids."""

    def park(self, count: int) -> list[str]:
        """Submit `count` executions that wait for a message each; return ids."""

    def parked(self) -> int:
        """Return how many wait."""

    def wake(self, ids: Sequence[str], together: bool) -> None:
        """Send each its message, in as few commits as can be or one by one."""

    def open(self) -> int:
        """Return how many of the submitted are not done. What failed is told by its moments, or the deadline."""

    def moments(self, ids: Sequence[str]) -> list[float]:
        """Return the moments of all their bodies, in order; of a fan, those of the root and the join."""


# --- scenarios -------------------------------------------------------------------------------------


def chain(one: Contestant, *, length: int, times: int) -> Figures:
    """Measure a hop, from body to body, and the whole, from submission to what the client sees ended."""
    _chain(one, length)
    found = [_chain(one, length) for _ in range(times)]
    hops, wholes = zip(*found, strict=True)
    return {"hop_ms": statistics.median(hops), "whole_ms": statistics.median(wholes)}


def _chain(one: Contestant, length: int) -> tuple[float, float]:
    before = time.time()
    id = one.chain(length)
    after = wait_until_ended(one)
    moments = all_of(one, [id], length)
    return (moments[-1] - moments[0]) / (length - 1) * 1000, (after - before) * 1000


def fan(one: Contestant, *, width: int, times: int) -> Figures:
    """Measure the nodes a second between the root's body and the join's."""
    _fan(one, width // 4)
    return {"nodes_s": statistics.median(_fan(one, width) for _ in range(times))}


def _fan(one: Contestant, width: int) -> float:
    id = one.fan(width)
    wait_until_ended(one)
    root, join = all_of(one, [id], 2)
    return width / (join - root)


def many(one: Contestant, *, count: int) -> Figures:
    """Measure executions a second: submitted together or one by one, with and without the submission."""
    for together in (True, False):
        _with_submission(one, count // 10, together)
    return {
        "together_with": _with_submission(one, count, True),
        "single_with": _with_submission(one, count, False),
        "together_without": _without_submission(one, count, True),
        "single_without": _without_submission(one, count, False),
    }


def _with_submission(one: Contestant, count: int, together: bool) -> float:
    before = time.time()
    ids = one.many(count, together)
    after = wait_until_ended(one)
    all_of(one, ids, count * STEPS)
    return count / (after - before)


def _without_submission(one: Contestant, count: int, together: bool) -> float:
    """Submit while the workers are halted, warm as they are, and measure from the first body."""
    with halted(one):
        ids = one.many(count, together)
    after = wait_until_ended(one)
    return count / (after - all_of(one, ids, count * STEPS)[0])


def latency(one: Contestant, *, trials: int, seed: int) -> Figures:
    """Measure from before the submission to the body's first line, at random moments while nothing else runs."""
    pauses = random.Random(seed)
    for _ in range(5):
        _latency(one)
    found = []
    for _ in range(trials):
        time.sleep(pauses.uniform(0.05, 0.15))
        found.append(_latency(one))
    whole, waited = ([pair[which] for pair in found] for which in (0, 1))
    return {
        "p50_ms": statistics.median(whole),
        "p95_ms": statistics.quantiles(whole, n=20, method="inclusive")[-1],
        "committed_p50_ms": statistics.median(waited),
    }


def _latency(one: Contestant) -> tuple[float, float]:
    """Return the milliseconds to the body from before the submission, and from after it."""
    before = time.time()
    id = one.chain(1)
    after = time.time()
    wait_until_ended(one)
    (at,) = all_of(one, [id], 1)
    return (at - before) * 1000, (at - after) * 1000


def woken(one: Contestant, *, count: int, trials: int) -> Figures:
    """Measure executions a second that wait, are sent a message and end; and how soon one body goes on."""
    for together in (True, False):
        _woken(one, count // 10, together)
    figures = {"together_s": _woken(one, count, True), "single_s": _woken(one, count, False)}
    found = [_resumed(one) for _ in range(trials)]
    return {**figures, "resumed_p50_ms": statistics.median(found)}


def _woken(one: Contestant, count: int, together: bool) -> float:
    ids = parked(one, count)
    before = time.time()
    one.wake(ids, together)
    return count / (wait_until_ended(one) - before)


def _resumed(one: Contestant) -> float:
    """Return the milliseconds from when a message has been accepted until its body has it."""
    ids = parked(one, 1)
    time.sleep(0.1)
    one.wake(ids, False)
    after = time.time()
    wait_until_ended(one)
    return (all_of(one, ids, 1)[0] - after) * 1000


def parked(one: Contestant, count: int, within: float = 120.0) -> list[str]:
    """Submit so many that wait; return their ids once all of them do."""
    before, ids, deadline = one.parked(), one.park(count), time.monotonic() + within
    while one.parked() < before + count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{one.parked() - before} of {count} wait")
        time.sleep(LOOK_EVERY)
    return ids


SCENARIOS: dict[str, Scenario] = {
    "chain": chain,
    "fan": fan,
    "many": many,
    "latency": latency,
    "woken": woken,
}


# --- helpers ---------------------------------------------------------------------------------------


def wait_until_ended(one: Contestant, within: float = 120.0) -> float:
    """Return the moment at which nothing submitted is open any more, as the client sees it."""
    deadline = time.monotonic() + within
    while one.open():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{one.open()} have not ended within {within:g} s")
        time.sleep(LOOK_EVERY)
    return time.time()


def all_of(one: Contestant, ids: Sequence[str], count: int) -> list[float]:
    """Return the moments, once it is certain that each body ran."""
    moments = sorted(one.moments(ids))
    if len(moments) != count:
        raise AssertionError(f"{count} bodies should have run, {len(moments)} have")
    return moments


@contextmanager
def halted(one: Contestant) -> Iterator[None]:
    """Let the kernel stop the workers for the block: what is submitted in it waits, and they stay warm."""
    pids = one.workers()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


# --- the driver's process --------------------------------------------------------------------------


def drive(make: Callable[[str, str], Contestant], scenarios: Mapping[str, Scenario]) -> None:
    """Take an order from the command line, measure, and print the figures as one line of JSON."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    one = make(order["database"], order["folder"])
    one.begin()
    try:
        figures = scenarios[order["scenario"]](one, **order["amounts"])
    finally:
        one.end()
    print(json.dumps(figures), flush=True)
