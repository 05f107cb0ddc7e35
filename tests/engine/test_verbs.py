"""What people do to an execution, told by example."""

from __future__ import annotations

import pytest

from orchestration.engine.decide import finish
from orchestration.engine.errors import IllegalMove
from orchestration.engine.graph import NodeSpec, make_graph
from orchestration.engine.policies import RetryPolicy
from orchestration.engine.states import ExecutionStatus as E
from orchestration.engine.states import NodeStatus as N
from orchestration.engine.states import Outcome
from orchestration.engine.verbs import LEGAL, cancel, check
from orchestration.engine.view import Emit, Key, View, apply
from tests.engine.simulation import ABOUT, Simulation
from tests.engine.test_decide import DIAMOND, graph, run


def test_a_verb_is_legal_in_its_statuses_and_says_elsewhere_why_not():
    for verb, legal in LEGAL.items():
        for status in E:
            if status in legal:
                check(verb, status, "0190")
            else:
                with pytest.raises(IllegalMove) as caught:
                    check(verb, status, "0190")
                assert str(caught.value).startswith(f"Execution 0190 is {status}, so it cannot be ")
                assert verb[:3] in str(caught.value)
    with pytest.raises(IllegalMove, match=r"cannot be cancelled\. It is being cancelled already\."):
        check("cancel", E.CANCELLING, "0190")
    with pytest.raises(
        IllegalMove, match=r"so it cannot be paused\. Only a running execution can be paused\."
    ):
        check("pause", E.SUCCEEDED, "0190")


def test_a_cancel_ends_what_has_not_begun_and_lets_what_runs_end_by_itself():
    simulation = Simulation(graph({"a": [], "b": [], "c": ["a", "b"]}))
    run(simulation, "a")
    simulation.claim(Key("b"))
    simulation.act("cancel")
    assert (simulation.status(), simulation.statuses()["c"]) == (E.CANCELLING, "cancelled")
    simulation.settle(Key("b"), Outcome.SUCCEEDED, result="1")
    assert simulation.status() is E.CANCELLED
    assert simulation.statuses() == {"a": "succeeded", "b": "succeeded", "c": "cancelled"}


def test_what_fails_while_it_is_cancelled_is_not_tried_again():
    simulation = Simulation(graph({"a": [], "b": []}, a=RetryPolicy(), b=RetryPolicy()))
    simulation.claim(Key("a"))
    simulation.claim(Key("b"))
    simulation.act("cancel")
    simulation.settle(Key("a"), Outcome.FAILED)
    simulation.settle(Key("b"), Outcome.LOST)
    assert simulation.statuses() == {"a": "failed", "b": "cancelled"}
    assert simulation.status() is E.CANCELLED


def test_an_execution_that_nothing_of_runs_is_cancelled_at_once():
    simulation = Simulation(graph(DIAMOND))
    simulation.act("cancel")
    assert simulation.status() is E.CANCELLED
    assert simulation.types() == [
        "execution.started", "node.ready", "execution.cancelling", "node.cancelled", "execution.cancelled",
    ]  # fmt: skip
    assert simulation.events[2]["data"] == ABOUT


def test_a_queued_execution_can_be_cancelled():
    view = View(E.QUEUED)
    for command in cancel(view, ABOUT):
        apply(view, command)
    for command in finish(view, None):
        apply(view, command)
    assert view.status is E.CANCELLED


def test_a_cancel_between_two_waves_ends_what_was_judged_and_the_wave_passes_over_it():
    simulation = Simulation(graph({"a": [], "b": ["a"], "c": ["b"]}))
    run(simulation, "a", Outcome.FAILED, waves=0)
    assert simulation.due == [Key("b")]
    simulation.act("cancel")
    assert simulation.status() is E.CANCELLED
    assert simulation.statuses() == {"a": "failed", "b": "cancelled"}


def test_terminate_ends_everything_at_once():
    simulation = Simulation(graph(DIAMOND))
    run(simulation, "a")
    simulation.claim(Key("b"))
    simulation.act("terminate")
    assert simulation.status() is E.TERMINATED
    assert simulation.statuses() == {"a": "succeeded", "b": "cancelled", "c": "cancelled"}
    assert [event["data"]["was"] for event in simulation.events if event["type"] == "node.cancelled"] == [
        "running",
        "ready",
    ]


def test_a_pause_holds_what_is_ready_and_what_becomes_ready():
    simulation = Simulation(graph({"a": [], "b": [], "c": ["a"], "d": [], "e": []}, d=RetryPolicy()))
    for node in "ade":
        simulation.claim(Key(node))
    simulation.act("pause")
    simulation.settle(Key("a"), Outcome.SUCCEEDED)
    simulation.settle(Key("d"), Outcome.FAILED)
    simulation.settle(Key("e"), Outcome.LOST)
    assert simulation.claimable() == []
    assert {row.key.node for row in simulation.having(N.READY)} == {"b", "c", "d", "e"}
    simulation.act("resume")
    assert len(simulation.claimable()) == 4
    simulation.finish_fairly()
    assert simulation.status() is E.SUCCEEDED


def test_a_paused_execution_whose_last_node_ends_is_over():
    simulation = Simulation(graph({"a": []}))
    simulation.claim(Key("a"))
    simulation.act("pause")
    simulation.settle(Key("a"), Outcome.SUCCEEDED)
    assert simulation.status() is E.SUCCEEDED


def test_a_pause_may_come_before_and_after_missing_code():
    simulation = Simulation(graph({"a": [], "b": []}))
    run(simulation, "a", Outcome.BLOCKED)
    simulation.act("pause")
    simulation.act("resume")
    assert simulation.status() is E.BLOCKED
    simulation.act("pause")
    simulation.unblock([Key("a")])
    assert (simulation.status(), simulation.view.rows[Key("a")].held) == (E.PAUSED, True)
    simulation.act("resume")
    assert simulation.status() is E.RUNNING


def test_an_execution_whose_time_is_over_fails_and_says_so():
    simulation = Simulation(graph({"a": [], "b": []}))
    simulation.claim(Key("a"))
    simulation.expire()
    assert simulation.status() is E.CANCELLING
    simulation.settle(Key("a"), Outcome.CANCELLED)
    assert simulation.status() is E.FAILED
    assert simulation.view.error is not None
    assert simulation.view.error["message"] == "The execution ran longer than its timeout of 1m."
    assert simulation.events[-1]["data"]["error"]["code"] == "execution_timeout"


def test_an_execution_whose_time_is_over_while_it_is_cancelled_fails():
    simulation = Simulation(graph({"a": []}))
    simulation.claim(Key("a"))
    simulation.act("cancel")
    simulation.expire()
    simulation.settle(Key("a"), Outcome.CANCELLED)
    assert simulation.status() is E.FAILED
    assert simulation.types().count("execution.cancelling") == 1


def test_an_execution_whose_time_is_over_while_it_is_rolled_back_undoes_all_the_same_and_fails():
    nodes = [NodeSpec("a", "m:f", compensate="undo:a"), NodeSpec("b", "m:f"), NodeSpec("undo:a", "m:f")]
    simulation = Simulation(make_graph("w", nodes))
    run(simulation, "a")
    simulation.claim(Key("b"))
    simulation.act("cancel", rollback=True)
    simulation.expire()
    simulation.settle(Key("b"), Outcome.CANCELLED)
    undo = simulation.claimable()[0].key
    simulation.claim(undo)
    simulation.settle(undo, Outcome.FAILED, asked=False)
    simulation.act("retry", node="undo:a")
    simulation.finish_fairly()
    assert simulation.status() is E.FAILED


# --- retry -----------------------------------------------------------------------------------------


def _failed_twice() -> Simulation:
    simulation = Simulation(
        graph({"a": [], "x": ["a"], "y": ["a"], "z": ["x", "y"], "w": ["x"], "ok": ["a"]})
    )
    run(simulation, "a", result='"kept"')
    run(simulation, "x", Outcome.FAILED)
    run(simulation, "y", Outcome.FAILED)
    run(simulation, "ok")
    assert simulation.status() is E.FAILED
    return simulation


def test_a_retry_runs_again_what_failed_and_what_follows_and_keeps_the_rest():
    simulation = _failed_twice()
    simulation.act("retry")
    assert simulation.statuses() == {"a": "succeeded", "ok": "succeeded", "x": "ready", "y": "ready"}
    assert (simulation.view.generation, simulation.view.failures, simulation.view.error) == (2, 0, None)
    reopened = next(event for event in simulation.events if event["type"] == "execution.reopened")
    assert reopened["data"] == {**ABOUT, "generation": 2}
    simulation.finish_fairly()
    assert simulation.status() is E.SUCCEEDED
    assert simulation.types("a").count("node.completed") == 1


def test_a_retry_of_one_node_leaves_the_other_failure_in_place():
    simulation = _failed_twice()
    simulation.act("retry", node="x")
    assert (simulation.view.failures, simulation.statuses()["y"]) == (1, "failed")
    assert simulation.view.error is not None
    assert simulation.view.error["node"] == "y"
    simulation.finish_fairly()
    assert simulation.status() is E.FAILED
    assert simulation.statuses() == {
        "a": "succeeded", "ok": "succeeded", "x": "succeeded", "w": "succeeded", "y": "failed", "z": "upstream_failed",
    }  # fmt: skip


def test_a_retry_of_a_node_that_the_version_has_not_is_refused():
    simulation = _failed_twice()
    with pytest.raises(IllegalMove, match=r'cannot retry node "okk".*Did you mean "ok"'):
        simulation.act("retry", node="okk")
    assert simulation.status() is E.FAILED


def test_after_a_cancel_a_retry_goes_on_where_it_stopped():
    simulation = Simulation(graph(DIAMOND))
    run(simulation, "a")
    run(simulation, "b")
    simulation.claim(Key("c"))
    simulation.act("cancel")
    simulation.settle(Key("c"), Outcome.SUCCEEDED)
    assert simulation.statuses() == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "cancelled"}
    simulation.act("retry")
    assert [row.key.node for row in simulation.claimable()] == ["d"]
    simulation.finish_fairly()
    assert simulation.status() is E.SUCCEEDED


def test_after_a_deadline_a_retry_bears_the_nodes_that_were_never_born():
    simulation = Simulation(graph({"a": [], "b": ["a"], "c": ["b"]}))
    simulation.claim(Key("a"))
    simulation.expire()
    simulation.settle(Key("a"), Outcome.SUCCEEDED)
    assert (simulation.status(), simulation.statuses()) == (E.FAILED, {"a": "succeeded"})
    simulation.act("retry")
    assert simulation.statuses() == {"a": "succeeded", "b": "ready"}
    simulation.finish_fairly()
    assert simulation.status() is E.SUCCEEDED


def test_what_a_retry_reopens_may_be_skipped_at_once():
    simulation = Simulation(graph({"a": [], "b": ["a"], "never": ["a"]}, never="all_failed"))
    simulation.claim(Key("a"))
    simulation.act("cancel")
    simulation.settle(Key("a"), Outcome.SUCCEEDED)
    simulation.act("retry")
    assert simulation.statuses() == {"a": "succeeded", "b": "ready", "never": "skipped"}


def test_a_second_retry_raises_the_generation_again():
    simulation = Simulation(graph({"a": []}))
    for generation in (1, 2, 3):
        assert simulation.view.generation == generation
        run(simulation, "a", Outcome.FAILED)
        simulation.act("retry")
    assert [e["data"]["generation"] for e in simulation.events if e["type"] == "node.reset"] == [2, 3, 4]


def test_an_emit_changes_nothing_in_the_view():
    view = View()
    apply(view, Emit("execution.started"))
    assert view == View()
