"""The engine's laws on random graphs, outcomes and verbs. `Simulation.check` holds them after every step."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.engine import items, redo
from orchestration.engine.fold import fold
from orchestration.engine.graph import Graph
from orchestration.engine.recovery import helpers, owner
from orchestration.engine.states import ExecutionStatus as E
from orchestration.engine.states import NodeStatus as N
from orchestration.engine.states import Outcome
from orchestration.engine.view import Key, snapshot
from tests.engine.simulation import Simulation
from tests.engine.strategies import Script, graphs, play, scripts

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True, scope="module")
def _small_waves():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items, "WAVE", 2)
        yield


often = settings(
    max_examples=max(400, settings().max_examples),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@often
@given(graphs(), scripts)
def test_every_law_holds_at_every_step_and_every_execution_ends(graph: Graph, script: Script):
    simulation = Simulation(graph)
    play(simulation, script)
    simulation.finish_fairly()
    folded = fold(simulation.events)
    said = {"status": folded.status, "generation": folded.generation, "nodes": folded.nodes}
    assert said == snapshot(simulation.view)


@often
@given(graphs(), st.lists(st.booleans(), min_size=12, max_size=12), st.randoms(use_true_random=False))
def test_how_it_ends_does_not_depend_on_the_order_in_which_outcomes_arrive(
    graph: Graph, good: list[bool], chance: random.Random
):
    graph = replace(graph, on_failure="finish")  # else the first to fail cancels the others
    fails = {name for name, well in zip(graph.nodes, good, strict=False) if not well} - set(graph.undos)
    ends = {
        _run(graph, fails, order) for order in (lambda rows: rows[0], lambda rows: rows[-1], chance.choice)
    }
    assert len(ends) == 1


def _run(graph: Graph, fails: set[str], choose) -> tuple:
    """Run with these nodes failing for good; claim all there is, and settle one that `choose` picks."""
    simulation = Simulation(graph)
    while not simulation.status().is_terminal:
        for row in simulation.claimable():
            simulation.claim(row.key)
        if asked := simulation.having(N.ATTENTION):
            simulation.attend(asked[0].key.node, "fail")
            continue
        key = choose(simulation.having(N.RUNNING)).key
        is_map = key.index < 0 and graph.nodes[key.node].items is not None
        if key.node in fails and not is_map:
            simulation.settle(key, Outcome.FAILED, asked=False)
        else:
            simulation.settle(key, Outcome.SUCCEEDED, result='"done"')
    return simulation.status(), frozenset((key, row.status) for key, row in simulation.view.rows.items())


@often
@given(graphs(), scripts, scripts)
def test_after_a_cancel_nothing_new_starts(graph: Graph, before: Script, after: Script):
    simulation = Simulation(graph)
    play(simulation, before)
    if simulation.status() in (E.RUNNING, E.PAUSED, E.BLOCKED):
        simulation.act("cancel")
        begun = {row.key for row in simulation.having(N.RUNNING)}
        while running := simulation.having(N.RUNNING):
            assert {row.key for row in running} <= begun
            assert not simulation.claimable()
            outcomes = list(Outcome)
            simulation.settle(running[0].key, outcomes[after.pick(len(outcomes))])
        assert simulation.status() is E.CANCELLED


@often
@given(graphs(), scripts, scripts)
def test_after_a_retry_what_was_kept_stays_and_the_execution_ends(
    graph: Graph, before: Script, after: Script
):
    simulation = Simulation(graph)
    play(simulation, before)
    if simulation.status() in (E.FAILED, E.CANCELLED, E.TERMINATED):
        generation = simulation.view.generation
        simulation.act("retry")
        kept = {key: repr(row) for key, row in simulation.view.rows.items() if row.status.is_terminal}
        assert simulation.view.generation == generation + 1
        rows = simulation.view.rows
        # A fallback that failed before another rescued the node stays, as part of how that came about.
        assert not any(
            row.status in (N.FAILED, N.CANCELLED) and rows[Key(owner(graph, key))].status is not N.RECOVERED
            for key, row in rows.items()
            if key.index < 0
            or graph.nodes[key.node].items is None  # a map may stand without some of its items
        )
        simulation.finish_fairly()
        assert simulation.status() is E.SUCCEEDED
        assert kept.items() <= {key: repr(row) for key, row in simulation.view.rows.items()}.items()


@often
@given(graphs(), scripts, st.data())
def test_a_retry_from_a_node_needs_to_see_no_more_than_what_follows_from_it(
    graph: Graph, script: Script, data
):
    simulation = Simulation(graph)
    play(simulation, script)
    simulation.finish_fairly()
    view = simulation.view
    node = data.draw(st.sampled_from([name for name in graph.nodes if not graph.is_companion(name)]))
    aside = {node} | graph.descendants([node])
    failed = [
        key.node
        for key, row in view.rows.items()
        if row.status is N.FAILED and key.index < 0 and not graph.is_companion(key.node)
    ]
    if view.doomed or graph.undos or view.status not in (E.SUCCEEDED, E.FAILED) or not set(failed) <= aside:
        return
    near = {name for each in aside for name in (*graph.nodes[each].depends_on, *helpers(graph, each))}
    part = replace(view, rows={key: row for key, row in view.rows.items() if key.node in aside | near})
    whole = redo.retry(graph, view, {}, "0190", node)
    assert sorted(map(repr, redo.retry(graph, part, {}, "0190", node, whole=False))) == sorted(
        map(repr, whole)
    )
