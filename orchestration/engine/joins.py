"""Counts of predecessors' outcomes -> verdict. A verdict, once given for a count, never changes as counts grow
to a *different* kind: `run`, `skip` and `fail` are final, `wait` asks for more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from .expressions import parse, truth
from .policies import AtLeast, Join


class Verdict(StrEnum):
    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many predecessors there are, and how many ended ok, failed (upstream failures too) or skipped."""

    total: int
    ok: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def done(self) -> int:
        return self.ok + self.failed + self.skipped

    @property
    def left(self) -> int:
        return self.total - self.done


def _all_success(c: Counts) -> Verdict:
    # Waits for all before it gives up: a skip and a failure may arrive in either order with one result.
    if c.left:
        return Verdict.WAIT
    return Verdict.FAIL if c.failed else Verdict.SKIP if c.skipped else Verdict.RUN


def _all_done(c: Counts) -> Verdict:
    return Verdict.WAIT if c.left else Verdict.RUN


def _any_success(c: Counts) -> Verdict:
    return _at_least(c, 1)


def _none_failed(c: Counts) -> Verdict:
    if c.left:
        return Verdict.WAIT
    return Verdict.FAIL if c.failed else Verdict.RUN


def _all_failed(c: Counts) -> Verdict:
    if c.left:
        return Verdict.WAIT
    return Verdict.RUN if c.failed == c.total else Verdict.SKIP


def _one_failed(c: Counts) -> Verdict:
    if c.failed:
        return Verdict.RUN
    return Verdict.WAIT if c.left else Verdict.SKIP


def _one_done(c: Counts) -> Verdict:
    if c.ok or c.failed:
        return Verdict.RUN
    return Verdict.WAIT if c.left else Verdict.SKIP


def _at_least(c: Counts, count: int) -> Verdict:
    if c.ok >= count:
        return Verdict.RUN
    if c.left:
        return Verdict.WAIT
    return Verdict.FAIL if c.failed else Verdict.SKIP


_RULES: dict[str, Callable[[Counts], Verdict]] = {
    "all_success": _all_success,
    "all_done": _all_done,
    "any_success": _any_success,
    "none_failed": _none_failed,
    "all_failed": _all_failed,
    "one_failed": _one_failed,
    "one_done": _one_done,
}


def verdict(join: Join, counts: Counts, outcomes: Mapping[str, str] = MappingProxyType({})) -> Verdict:
    """Say what the join makes of these counts. A node without predecessors always runs.

    An outcome expression asks for the `outcomes` ("ok", "failed", "skipped") of those predecessors that have ended.
    """
    if not counts.total:
        return Verdict.RUN
    if isinstance(join, AtLeast):
        return _at_least(counts, join.count)
    if (rule := _RULES.get(join)) is not None:
        return rule(counts)
    if truth(parse(join), outcomes):
        return Verdict.RUN
    # As all_success does: a skip and a failure may arrive in either order with one result.
    return Verdict.WAIT if counts.left else Verdict.FAIL if counts.failed else Verdict.SKIP
