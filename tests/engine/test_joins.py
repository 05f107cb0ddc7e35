"""What each join makes of its predecessors, over every count there can be."""

from __future__ import annotations

from itertools import product

import pytest

from orchestration.engine.joins import Counts, Verdict, verdict
from orchestration.engine.policies import JOINS, AtLeast
from tests.engine.simulation import SKIPS_ON_FAILURE, may_run

ALL = [*JOINS, AtLeast(1), AtLeast(2), AtLeast(9)]
MOST = 5


def every_count(total: int):
    for ok, failed, skipped in product(range(total + 1), repeat=3):
        if ok + failed + skipped <= total:
            yield Counts(total, ok, failed, skipped)


@pytest.mark.parametrize("join", ALL, ids=str)
def test_a_join_gives_the_verdict_that_its_rule_promises(join):
    for total in range(1, MOST + 1):
        for c in every_count(total):
            said = verdict(join, c)
            assert (said is Verdict.RUN) == may_run(join, c.ok, c.failed, c.skipped, c.left), c
            if said in (Verdict.SKIP, Verdict.FAIL):
                assert not c.left, "only a rule that can be met early is decided early, and only to run"
                assert (said is Verdict.FAIL) == (c.failed > 0 and join not in SKIPS_ON_FAILURE)
            if not c.left:
                assert said is not Verdict.WAIT


@pytest.mark.parametrize("join", ALL, ids=str)
def test_a_verdict_once_given_stays_as_more_predecessors_end(join):
    for total in range(1, MOST + 1):
        for c in every_count(total):
            if c.left and verdict(join, c) is not Verdict.WAIT:
                more = [
                    (c.ok + 1, c.failed, c.skipped),
                    (c.ok, c.failed + 1, c.skipped),
                    (c.ok, c.failed, c.skipped + 1),
                ]
                assert {verdict(join, Counts(total, *counts)) for counts in more} == {verdict(join, c)}


@pytest.mark.parametrize("join", ALL, ids=str)
def test_a_node_without_predecessors_runs_whatever_its_join(join):
    assert verdict(join, Counts(0)) is Verdict.RUN


def test_a_skipped_predecessor_is_neither_success_nor_failure():
    counts = Counts(2, ok=1, skipped=1)
    assert verdict("all_success", counts) is Verdict.SKIP
    assert verdict("none_failed", counts) is Verdict.RUN
    assert verdict("all_done", counts) is Verdict.RUN
