"""Fallbacks and error boundaries on the real store: rows, results and errors as they are kept."""

from __future__ import annotations

import pytest

from orchestration import WorkflowBuilder
from orchestration.engine.states import Outcome
from orchestration.models import Execution, NodeRun
from orchestration.runner.sweep import sweep
from orchestration.store import leases, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle, settle_alone
from orchestration.store.start import start
from orchestration.testing import run

from .store_helpers import check_log, done, order, seat

pytestmark = pytest.mark.django_db(transaction=True)
ERROR = {"type": "Refused", "types": ["net.Refused", "ConnectionError"], "message": "no route"}


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def body(ctx):
    """Be the body of nodes that nobody runs."""


def begun(builder: WorkflowBuilder):
    (started,) = start(versions.version_of(builder.build()), [order()])
    return started.id


def cascade() -> WorkflowBuilder:
    return (
        WorkflowBuilder("cascade", output="primary")
        .add_node("primary", body, fallback="second")
        .add_node("second", body, fallback="third")
        .add_node("third", body)
        .add_node("after", body, depends_on=["primary"])
        .add_node("network", body, on_error=True, for_nodes=["primary"], error_types=[ConnectionError])
    )


def fails(claims):
    return done(claims, Outcome.FAILED, error=ERROR)


def refused(ctx):
    raise ConnectionRefusedError("no route")


def statuses(id) -> dict[str, str]:
    return dict(NodeRun.objects.filter(execution=id).values_list("node", "status"))


def test_a_cascade_takes_the_primarys_place_with_its_result():
    def third(ctx):
        return {"for": ctx.error.node, "because": ctx.error.message}

    result = run(cascade().build(), bodies={"primary": refused, "second": refused, "third": third})
    assert (result.status, result.output) == ("succeeded", {"for": "second", "because": "no route"})
    assert statuses(result.id) == {
        "primary": "recovered",
        "second": "recovered",
        "third": "succeeded",
        "after": "succeeded",
    }
    primary = result.nodes["primary"]
    assert (primary.output, primary.error["message"]) == (result.output, "no route")
    assert primary.finished_at is not None
    check_log(result.id)


def test_a_boundary_is_the_last_resort_and_a_failure_of_all_fails_the_node_once():
    result = run(cascade().build(), bodies=dict.fromkeys(("primary", "second", "third", "network"), refused))
    failed = dict.fromkeys(("primary", "second", "third", "network"), "failed")
    assert statuses(result.id) == {**failed, "after": "upstream_failed"}
    execution = Execution.objects.get(pk=result.id)
    assert (execution.status, execution.failures, result.error["node"]) == ("failed", 1, "primary")
    check_log(result.id)


def fast() -> WorkflowBuilder:
    builder = WorkflowBuilder("fast", on_failure="fail_fast", timeout="1h")
    for node in ("a", "b", "c"):
        builder.add_node(node, body)
    return builder.add_node("after", body, depends_on=["b"])


def test_a_workflow_that_fails_fast_cancels_the_rest_and_waits_for_what_runs():
    id = begun(fast())
    first, second = claim(seat(), 2)
    settle_alone(fails([first])[0])
    execution = Execution.objects.get(pk=id)
    assert (execution.status, execution.deadline_at) == ("cancelling", None)
    assert statuses(id) == {"a": "failed", "b": "running", "c": "cancelled"}
    settle(done([second]))
    assert Execution.objects.get(pk=id).status == "failed"
    check_log(id)


def test_what_a_dead_process_left_of_a_fast_failure_is_cancelled_by_the_sweep():
    id = begun(fast())
    first, second = claim(seat(), 2)
    report = settle(fails([first]))
    assert report.unfinished == [id]  # and now it dies
    assert statuses(id)["c"] == "ready"
    assert leases.overdue() == [id]
    sweep()
    assert statuses(id) == {"a": "failed", "b": "running", "c": "cancelled"}
    assert leases.overdue() == []
    settle(done([second]))
    assert Execution.objects.get(pk=id).status == "failed"
    check_log(id)


def test_a_worker_takes_the_fallback_along_like_any_child():
    begun(cascade())
    mine = seat()
    report = settle(fails(claim(mine, 1)), mine, take=1, keep=True)
    assert [(one.key.node, one.key.for_node) for one in report.claimed] == [("second", "primary")]
    report = settle(done(report.claimed, result="2"), mine, take=1, keep=True)
    assert [one.key.node for one in report.claimed] == ["after"]
