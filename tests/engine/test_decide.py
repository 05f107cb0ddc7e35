"""What follows from an outcome, told by example."""

from __future__ import annotations

import pytest

from orchestration.engine.decide import (
    MAX_LOST,
    Result,
    begin,
    counts_of,
    decide,
    finish,
    wave,
)
from orchestration.engine.errors import IllegalTransition
from orchestration.engine.fold import BrokenLog, fold
from orchestration.engine.follow import TRACEBACK_KEPT, brief, others_with_rows, told
from orchestration.engine.graph import Graph, NodeSpec, make_graph
from orchestration.engine.policies import AtLeast, RetryPolicy
from orchestration.engine.states import ExecutionStatus as E
from orchestration.engine.states import NodeStatus as N
from orchestration.engine.states import Outcome, check_execution_move, check_node_move
from orchestration.engine.view import Key, View, apply
from tests.engine.simulation import ERROR, Simulation


def graph(edges: dict[str, list[str]], **options) -> Graph:
    """Options by node: a join, or a RetryPolicy for it."""
    nodes = []
    for node, parents in edges.items():
        option = options.get(node)
        retry = option if isinstance(option, RetryPolicy) else None
        join = option if option is not None and retry is None else "all_success"
        nodes.append(NodeSpec(node, "m:f", depends_on=tuple(parents), join=join, retry=retry))
    return make_graph("w", nodes)


def run(simulation: Simulation, node: str, outcome: Outcome = Outcome.SUCCEEDED, **about) -> None:
    simulation.claim(Key(node))
    simulation.settle(Key(node), outcome, **about)


DIAMOND: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_a_diamond_runs_from_top_to_bottom_and_tells_it_in_order():
    simulation = Simulation(graph(DIAMOND))
    for node in "abcd":
        run(simulation, node, result='"x"')
    assert simulation.status() is E.SUCCEEDED
    assert [(event["type"], event["node"]) for event in simulation.events] == [
        ("execution.started", None), ("node.ready", "a"),
        ("node.started", "a"), ("node.completed", "a"), ("node.ready", "b"), ("node.ready", "c"),
        ("node.started", "b"), ("node.completed", "b"),
        ("node.started", "c"), ("node.completed", "c"), ("node.ready", "d"),
        ("node.started", "d"), ("node.completed", "d"), ("execution.completed", None),
    ]  # fmt: skip
    assert simulation.events[0]["data"] == {"workflow": "w", "version": 1, "by": "alice", "nodes": 4}
    assert simulation.events[3]["data"] == {"duration": 1.5, "queued": 0.5}
    assert simulation.events[-1]["data"] == {"duration": 12.5}


def test_a_row_is_born_when_its_first_predecessor_ends():
    simulation = Simulation(graph(DIAMOND))
    assert set(simulation.statuses()) == {"a"}
    run(simulation, "a")
    assert set(simulation.statuses()) == {"a", "b", "c"}
    run(simulation, "c")
    assert simulation.statuses()["d"] == "pending"


def test_a_failure_travels_down_and_the_other_branch_ends_first():
    simulation = Simulation(graph({"a": [], "b": ["a"], "c": ["b"], "other": [], "after": ["other"]}))
    run(simulation, "a", Outcome.FAILED)
    assert simulation.status() is E.RUNNING
    run(simulation, "other")
    run(simulation, "after")
    assert simulation.status() is E.FAILED
    assert simulation.statuses() == {
        "a": "failed", "b": "upstream_failed", "c": "upstream_failed", "other": "succeeded", "after": "succeeded",
    }  # fmt: skip
    assert simulation.view.failures == 1, "upstream failures are not the execution's error"
    error = simulation.events[-1]["data"]["error"]
    assert error == {"node": "a", "type": "ValueError", "message": "no"}, "the row keeps the traceback"
    assert simulation.view.error == {"node": "a", **ERROR}


def test_the_first_failure_is_the_execution_error():
    simulation = Simulation(graph({"a": [], "b": []}))
    run(simulation, "b", Outcome.FAILED)
    run(simulation, "a", Outcome.TIMED_OUT)
    assert simulation.view.error is not None
    assert simulation.view.error["node"] == "b"
    assert simulation.view.failures == 2


@pytest.mark.parametrize("waves", [1, 7, 500])
def test_skips_travel_in_waves_of_any_size(waves):
    names = [f"n{number}" for number in range(40)]
    edges = {"a": [], "never": ["a"]} | {n: [names[i - 1]] if i else ["never"] for i, n in enumerate(names)}
    simulation = Simulation(graph(edges, never="one_failed"))
    run(simulation, "a", waves=waves)
    while simulation.due:
        before = simulation.types().count("node.skipped")
        simulation.close(waves)
        assert simulation.types().count("node.skipped") - before <= waves
    assert simulation.status() is E.SUCCEEDED
    assert simulation.types().count("node.skipped") == 41


def test_a_wave_goes_down_a_chain_of_ten_thousand_without_recursion():
    names = [f"n{number}" for number in range(10_000)]
    chain, view = graph({name: names[max(0, n - 1) : n] for n, name in enumerate(names)}), View()
    commands = begin(chain, view, {})
    for name in names:
        for command in commands:
            apply(view, command)
        key = Key(name)
        if name == "n0":
            view.row(key).status = N.RUNNING
            commands = decide(chain, view, Result(key, Outcome.FAILED, error=ERROR))
        else:
            commands = wave(chain, view, key)
    for command in commands + finish(view, None):
        apply(view, command)
    assert {row.status for row in view.rows.values()} == {N.FAILED, N.UPSTREAM_FAILED}
    assert (len(view.rows), view.open) == (10_000, 0)


def test_a_join_that_is_met_early_does_not_wait_and_runs_once():
    simulation = Simulation(graph({"a": [], "b": [], "c": [], "any": ["a", "b", "c"]}, any=AtLeast(2)))
    run(simulation, "b")
    assert simulation.statuses()["any"] == "pending"
    run(simulation, "c")
    run(simulation, "any")
    run(simulation, "a", Outcome.FAILED)
    assert simulation.types("any") == ["node.ready", "node.started", "node.completed"]
    assert simulation.status() is E.FAILED


def test_a_failed_attempt_is_tried_again_after_the_delay_of_its_policy():
    simulation = Simulation(
        graph({"a": []}, a=RetryPolicy(max_attempts=2, initial_interval=4, jitter="full"))
    )
    run(simulation, "a", Outcome.FAILED, jitter=0.5)
    row = simulation.view.rows[Key("a")]
    assert (row.status, row.attempt, row.delay, row.error, row.started) == (N.READY, 1, 2.0, ERROR, False)
    assert simulation.events[-1]["data"] == {
        "error": {"type": "ValueError", "message": "no", "traceback": "…"},
        "delay": 2000, "next": 2, "of": 2, "duration": 1.5, "outcome": "failed",
    }  # fmt: skip
    run(simulation, "a", Outcome.TIMED_OUT)
    assert (row.status, row.attempt, simulation.status()) == (N.FAILED, 2, E.FAILED)
    assert simulation.types("a").count("node.started") == 2
    failed = next(event for event in simulation.events if event["type"] == "node.failed")
    assert (failed["attempt"], failed["data"]["attempts"], failed["data"]["outcome"]) == (2, 2, "timed_out")


def test_a_lost_node_keeps_its_attempt_and_in_the_end_is_poison():
    simulation = Simulation(graph({"a": []}))
    row = simulation.view.rows[Key("a")]
    for losses in range(1, MAX_LOST + 1):
        run(simulation, "a", Outcome.LOST)
        assert (row.status, row.attempt, row.losses) == (N.READY, 0, losses)
    run(simulation, "a", Outcome.LOST)
    assert (row.status, simulation.status()) == (N.FAILED, E.FAILED)


def test_losses_in_company_do_not_condemn_a_node():
    simulation = Simulation(graph({"a": []}))
    for _ in range(10):
        run(simulation, "a", Outcome.LOST, alone=False)
    run(simulation, "a")
    assert simulation.status() is E.SUCCEEDED


def test_a_node_that_the_heartbeat_has_told_about_starts_once_in_the_log():
    simulation = Simulation(graph({"a": []}))
    simulation.claim(Key("a"))
    simulation.heartbeat(Key("a"))
    simulation.settle(Key("a"), Outcome.SUCCEEDED)
    assert simulation.types("a") == ["node.ready", "node.started", "node.completed"]


def test_a_claim_that_is_handed_back_costs_nothing():
    simulation = Simulation(graph({"a": []}))
    run(simulation, "a", Outcome.RELEASED)
    row = simulation.view.rows[Key("a")]
    assert (row.status, row.attempt) == (N.READY, 0)
    assert simulation.types("a") == ["node.ready", "node.released"]


def test_a_body_that_was_stopped_though_nobody_cancelled_is_handed_back():
    simulation = Simulation(graph({"a": [], "b": [], "c": ["a", "b"]}))
    run(simulation, "b")
    run(simulation, "a", Outcome.CANCELLED)
    assert simulation.statuses()["a"] == "ready"
    simulation.finish_fairly()
    assert simulation.status() is E.SUCCEEDED


def test_missing_code_parks_the_node_and_then_the_execution():
    about = {"type": "UnknownTask", "message": "no code for a"}
    simulation = Simulation(graph({"a": [], "b": []}))
    run(simulation, "a", Outcome.BLOCKED, error=about)
    assert simulation.status() is E.BLOCKED
    assert [event["data"] for event in simulation.events[-2:]] == [{"reason": "no code for a"}] * 2
    run(simulation, "b")
    assert simulation.status() is E.BLOCKED
    simulation.unblock([Key("a")])
    assert simulation.status() is E.RUNNING
    run(simulation, "a")
    assert simulation.status() is E.SUCCEEDED


def test_two_blocked_nodes_hold_the_execution_until_both_have_their_code():
    simulation = Simulation(graph({"a": [], "b": []}))
    run(simulation, "a", Outcome.BLOCKED)
    run(simulation, "b", Outcome.BLOCKED)
    assert simulation.types().count("execution.blocked") == 1
    simulation.unblock([Key("b")])
    assert simulation.status() is E.BLOCKED
    simulation.unblock([Key("a")])
    assert simulation.status() is E.RUNNING


def test_a_late_settle_cannot_leave_a_terminal_state():
    simulation = Simulation(graph({"a": []}))
    run(simulation, "a")
    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.LOST, Outcome.RELEASED, Outcome.BLOCKED):
        with pytest.raises(IllegalTransition):
            simulation.settle(Key("a"), outcome)


def test_the_tables_of_moves_have_no_way_out_of_an_end():
    for node in N:
        for after in N:
            if node.is_terminal:
                with pytest.raises(IllegalTransition, match=f"A node cannot move from {node} to {after}"):
                    check_node_move(node, after)
    for before in E:
        for to in E:
            if before.is_terminal:
                with pytest.raises(IllegalTransition):
                    check_execution_move(before, to)
    check_execution_move(E.FAILED, E.RUNNING, verb=True)
    with pytest.raises(IllegalTransition):
        check_execution_move(E.FAILED, E.CANCELLED, verb=True)


def test_only_dependents_with_other_predecessors_can_have_a_row_before():
    assert others_with_rows(graph({**DIAMOND, "e": ["a", "c"]}), Key("a")) == ["e"]


def test_ended_predecessors_are_counted_by_kind():
    statuses = [N.SUCCEEDED, N.RECOVERED, N.FAILED, N.UPSTREAM_FAILED, N.SKIPPED, N.CANCELLED]
    assert counts_of(statuses) == {"ok": 2, "failed": 2, "skipped": 1}


def test_an_error_in_an_event_is_short():
    error = {"node": "a", "type": "X", "types": ["X"], "message": "é" * 5000, "code": "c", "traceback": "…"}
    assert brief(error) == {"node": "a", "type": "X", "message": "é" * 2000 + "…", "code": "c"}


def test_the_event_of_an_attempt_that_does_not_end_the_row_keeps_the_end_of_its_traceback():
    error = {"type": "X", "types": ["X"], "message": "no", "traceback": "begin" + "x" * 9000 + "end"}
    kept = told(error)["traceback"]
    assert len(kept) == TRACEBACK_KEPT
    assert (kept[0], kept[-3:]) == ("…", "end")
    simulation = Simulation(graph({"a": []}, a=RetryPolicy(max_attempts=2)))
    for _attempt in range(2):
        run(simulation, "a", Outcome.FAILED, error=error)
    kept_by = {
        event["type"]: "traceback" in event["data"]["error"]
        for event in simulation.events
        if "error" in event["data"]
    }
    assert kept_by == {"node.retrying": True, "node.failed": False, "execution.failed": False}


def test_a_gap_in_the_log_is_noticed():
    simulation = Simulation(graph(DIAMOND))
    run(simulation, "a")
    with pytest.raises(BrokenLog, match="Event 4 of the log follows event 2: the log has a gap"):
        fold(simulation.events[:2] + simulation.events[3:])
    with pytest.raises(BrokenLog):
        fold([simulation.events[0], simulation.events[0]])


def test_folding_in_parts_is_folding_the_whole():
    simulation = Simulation(graph(DIAMOND))
    simulation.finish_fairly()
    for cut in range(len(simulation.events)):
        assert fold(simulation.events[cut:], fold(simulation.events[:cut])) == fold(simulation.events)


def test_events_that_say_nothing_of_a_status_change_nothing():
    simulation = Simulation(graph({"a": []}))
    seq = len(simulation.events)
    state = fold(simulation.events)
    state = fold([{"seq": seq + 1, "type": "signal.received", "at": "", "node": "a", "data": {}}], state)
    assert (state.status, state.nodes, state.seq) == (E.RUNNING, {Key("a"): N.READY}, seq + 1)
