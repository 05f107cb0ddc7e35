"""Workflows that the other tests use, with a crash at each of their commits: their ends stay the same."""

from __future__ import annotations

from typing import Any

import pytest

from igon7site.demo import workflows as demo
from orchestration import Workflow
from orchestration.testing import Result, crash_everywhere
from tests import durable_workflows_for_tests as durable
from tests import workflows_for_tests as samples

pytestmark = pytest.mark.django_db(transaction=True)
GO = [("continue", {"by": "ann"})]
CASES: list[tuple[Workflow, str, list[tuple[str, Any]]]] = [
    (samples.diamond, "succeeded", []),
    (samples.flaky, "succeeded", []),
    (samples.hopeless, "failed", []),
    (samples.async_file, "succeeded", []),
    (durable.waiting, "succeeded", GO),
    (durable.collecting, "succeeded", [("item", 1), ("item", 2), ("item", 3)]),
    (durable.giving_up, "succeeded", []),
    (durable.stepping, "succeeded", []),
    (durable.two_at_once, "succeeded", [("a", 1), ("b", 2)]),
    (durable.first_of_two, "succeeded", [("b", 1), ("last", 2)]),
    (durable.leaving, "failed", GO),
]


@pytest.mark.parametrize(("workflow", "status", "signals"), CASES, ids=[case[0].name for case in CASES])
def test_a_sample_ends_alike_wherever_a_worker_dies(
    workflow: Workflow, status: str, signals: list[tuple[str, Any]]
) -> None:
    tried = crash_everywhere(workflow, signals=signals)
    assert tried.result.status == status
    assert tried.crashes > len(tried.commits) > 2


def test_flight_delays_end_alike_where_workers_die() -> None:
    def end(result: Result) -> Any:  # the report says when it was made
        return result.output["flights"], {node.id: node.status for node in result.nodes.values()}

    tried = crash_everywhere(
        demo.flight_delays, input={"carriers": ["HA"], "resamples": 0}, compare=end, most=8
    )
    assert (tried.result.status, tried.crashes) == ("succeeded", 8)
