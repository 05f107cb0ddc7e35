"""Retry from a node, fork, rerun, skip, supply, edited input and previews: through the executor, on the real store."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from orchestration import WorkflowBuilder, executor
from orchestration.engine.errors import IllegalMove, InvalidInput, InvalidOption
from orchestration.engine.states import Outcome
from orchestration.models import Execution, NodeRun
from orchestration.store import acts, again, versions
from orchestration.store.claim import claim
from orchestration.store.locked import read_rows
from orchestration.store.settle import settle
from orchestration.store.start import start
from security.models import AuditRecord
from security.principals import Principal
from tests.factories import make_workflow, person

from .store_helpers import ABOUT, check_log, done, order, run_to_end, seat

pytestmark = pytest.mark.django_db(transaction=True)
ME = Principal.system("tests")
LINE = {"a": [], "b": ["a"], "c": ["b"], "side": ["a"]}


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def begun(edges=None, **options) -> uuid.UUID:
    given = json.dumps(options.pop("input", {"day": 1}))
    version = versions.version_of(make_workflow("w", edges or LINE, **options))
    return start(version, [order(input=given)])[0].id


def execution(id) -> Any:
    return Execution.objects.get(pk=id)


def status(id) -> str:
    return str(execution(id).status)


def statuses(id) -> dict[str, str]:
    return dict(NodeRun.objects.filter(execution=id, superseded=False).values_list("node", "status"))


def run(fails: tuple[str, ...] = ()) -> list[str]:
    """Run whatever is ready until nothing is, these nodes failing; return the nodes in their order."""
    ran = []
    while claims := claim(seat(), 1):
        name = claims[0].key.node
        ran.append(name)
        settle(done(claims, Outcome.FAILED if name in fails else Outcome.SUCCEEDED))
    return ran


# --- from a node -----------------------------------------------------------------------------------


def test_a_node_that_succeeded_runs_again_with_what_follows_and_the_rest_is_kept():
    id = begun()
    run()
    with pytest.raises(IllegalMove, match="from a node"):
        executor.retry(id, principal=ME)
    executor.retry(id, principal=ME, node="b", reason="wrong data")
    assert statuses(id) == {"a": "succeeded", "side": "succeeded", "b": "ready"}
    assert run() == ["b", "c"]
    assert (status(id), execution(id).generation) == ("succeeded", 2)
    check_log(id)


def test_a_retry_from_a_node_reads_what_it_runs_again_and_not_the_rest(monkeypatch):
    wide = {"root": [], **{f"n{n}": ["root"] for n in range(300)}, "x": ["root"], "y": ["x"]}
    id = begun(wide)
    run_to_end()
    seen: list[Any] = []

    def reading(items, rows):
        seen.extend(rows)
        read_rows(items, rows)

    monkeypatch.setattr(again, "read_rows", reading)
    again.retry(id, ABOUT, "x")
    assert sorted(row[2] for row in seen) == ["root", "x", "y"]
    assert run() == ["x", "y"]
    check_log(id)


def test_a_node_may_be_given_an_input_of_its_own_and_others_keep_the_executions():
    id = begun()
    run(fails=("b",))
    executor.retry(id, principal=ME, node="b", input={"day": 2})
    (claimed,) = claim(seat(), 1)
    assert json.loads(claimed.input or "") == {"day": 2}
    settle(done([claimed]))
    (after,) = claim(seat(), 1)
    assert (after.key.node, after.input) == ("c", None)
    assert execution(id).input == {"day": 1}
    record = AuditRecord.objects.get(action="execution.retry", resource_id=str(id))
    assert (record.details["node"], record.details["edited"]) == ("b", True)


# --- a decision about one node ---------------------------------------------------------------------


def test_a_failed_node_is_skipped_or_given_a_result_and_the_execution_goes_on():
    id = begun(retries={})
    run(fails=("b",))
    assert status(id) == "failed"
    executor.attend(
        id, "b", "supply", principal=ME, result={"by": "hand"}, reason="looked it up", reopen=True
    )
    assert statuses(id)["b"] == "recovered"
    assert run() == ["c"]
    assert status(id) == "succeeded"
    check_log(id)
    other = begun()
    run(fails=("b",))
    with pytest.raises(IllegalMove):
        executor.attend(other, "b", "skip", principal=ME)  # too late for what waited
    executor.attend(other, "b", "skip", principal=ME, reopen=True)
    assert statuses(other) == {"a": "succeeded", "side": "succeeded", "b": "skipped", "c": "skipped"}
    assert status(other) == "succeeded"
    check_log(other)


def test_a_node_that_has_not_begun_is_skipped_and_one_that_runs_is_not():
    id = begun()
    (running,) = claim(seat(), 1)
    with pytest.raises(IllegalMove, match="is running"):
        executor.attend(id, "a", "skip", principal=ME)
    settle(done([running]))
    executor.attend(id, "b", "supply", principal=ME, result=7)
    assert run() == ["side", "c"]
    assert status(id) == "succeeded"
    check_log(id)


@pytest.mark.parametrize(("node", "decision"), [("a", "skip"), ("b", "fail"), ("nowhere", "supply")])
def test_in_an_ended_execution_only_what_has_no_result_can_be_decided(node, decision):
    id = begun()
    run(fails=("b",))
    before = (statuses(id), execution(id).seq)
    with pytest.raises(IllegalMove):
        executor.attend(id, node, decision, principal=ME, reopen=True)
    assert (statuses(id), execution(id).seq) == before


# --- executions of their own -----------------------------------------------------------------------


def test_a_fork_takes_over_the_results_before_the_node_and_runs_from_there_with_another_input():
    id = begun()
    run(fails=("b",))
    child = executor.fork(id, "b", principal=ME, input={"day": 2}, reason="with tomorrow")
    assert statuses(child) == {"a": "succeeded", "side": "succeeded", "b": "ready"}
    assert run() == ["b", "c"]
    assert (status(child), status(id)) == ("succeeded", "failed")
    forked = execution(child)
    assert (forked.forked_from_id, forked.input) == (id, {"day": 2})
    assert NodeRun.objects.get(execution=child, node="a").result == "ok"
    check_log(child)
    assert AuditRecord.objects.get(action="execution.fork").details["edited"] is True


def test_a_fork_of_a_running_execution_waits_for_nothing_of_it_and_does_not_touch_it():
    id = begun()
    settle(done(claim(seat(), 1)))
    (b,) = claim(seat(), 1)
    seq = execution(id).seq
    child = executor.fork(id, "c", principal=ME)
    assert execution(id).seq == seq
    assert statuses(child) == {"a": "succeeded", "b": "ready", "side": "ready"}
    settle(done([b]))
    run_to_end()
    assert (status(id), status(child)) == ("succeeded", "succeeded")
    check_log(child)


def test_a_fork_takes_over_nothing_that_has_been_undone():
    def body(ctx):
        """Be the body of nodes that nobody runs."""

    builder = WorkflowBuilder("w").add_node("a", body, compensate=body).add_node("b", body, depends_on=["a"])
    id = start(versions.version_of(builder.build()), [order()])[0].id
    assert run(fails=("b",)) == ["a", "b", "undo:a"]
    child = executor.fork(id, "b", principal=ME)
    assert run() == ["a", "b"]
    assert status(child) == "succeeded"


def test_a_rerun_is_a_new_execution_with_the_same_input_or_another(monkeypatch):
    workflow = make_workflow("w", LINE, input_schema={"properties": {"day": {"type": "integer"}}})
    monkeypatch.setattr("orchestration.registry.require", lambda name: workflow)
    id = begun(input_schema={"properties": {"day": {"type": "integer"}}})
    same = executor.rerun(id, principal=ME)
    edited = executor.rerun(id, principal=ME, input={"day": 3})
    assert [execution(each).input for each in (same, edited)] == [{"day": 1}, {"day": 3}]
    assert {execution(each).forked_from_id for each in (same, edited)} == {id}
    with pytest.raises(InvalidInput):
        executor.rerun(id, principal=ME, input={"day": "monday"})


def test_nobody_forks_or_reruns_what_they_may_not_run_nor_retries_what_they_may_not_control():
    id = begun()
    run(fails=("b",))
    bob = Principal.for_user(person("bob", staff=False))
    for act in (lambda: executor.fork(id, "b", principal=bob), lambda: executor.rerun(id, principal=bob)):
        with pytest.raises(Exception, match=r"(?i)no execution|may not"):
            act()
    assert Execution.objects.count() == 1


# --- previews --------------------------------------------------------------------------------------


def counts(preview: dict[str, Any]) -> dict[str, int]:
    return {name: told["count"] for name, told in preview.items() if told["count"]}


def test_a_preview_says_what_runs_again_and_what_is_kept_and_changes_nothing():
    id = begun()
    run(fails=("b",))
    before = (statuses(id), execution(id).seq, execution(id).generation)
    retried = executor.preview(id, "retry", principal=ME)
    assert retried["again"]["nodes"] == ["b"]
    assert retried["then"]["nodes"] == ["c"]
    assert retried["kept"]["count"] == 2
    assert counts(executor.preview(id, "fork", principal=ME, node="b")) == {"kept": 2, "again": 2}
    assert counts(executor.preview(id, "rerun", principal=ME)) == {"again": 4}
    assert executor.preview(id, "skip", principal=ME, node="b")["then"]["nodes"] == []
    assert (statuses(id), execution(id).seq, execution(id).generation) == before
    with pytest.raises(IllegalMove):
        executor.preview(id, "cancel", principal=ME)
    with pytest.raises(InvalidOption):
        executor.preview(id, "fork", principal=ME)


def test_a_preview_of_a_cancel_says_what_never_begins_what_is_asked_to_stop_and_what_is_undone():
    def body(ctx):
        """Be the body of nodes that nobody runs."""

    builder = WorkflowBuilder("w").add_node("a", body, compensate=body)
    builder.add_node("b", body, depends_on=["a"]).add_node("c", body, depends_on=["a"])
    id = start(versions.version_of(builder.build()), [order()])[0].id
    settle(done(claim(seat(), 1)))
    claim(seat(), 1)
    told = executor.preview(id, "cancel", principal=ME, rollback=True)
    assert counts(told) == {"cancelled": 1, "stopped": 1, "undone": 1, "kept": 1}
    assert told["undone"]["nodes"] == ["a"]
    acts.cancel(id, ABOUT, rollback=True)
    assert status(id) == "cancelling"
