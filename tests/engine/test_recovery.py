"""Who comes to the rescue of a node that has failed for good: fallbacks, then error boundaries. Told by example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.engine.builder import Workflow
from orchestration.engine.codec import decode_graph, encode_graph
from orchestration.engine.errors import CycleError, GraphError, IllegalMove
from orchestration.engine.graph import Graph
from orchestration.engine.states import ExecutionStatus as E
from orchestration.engine.states import Outcome
from orchestration.engine.view import Key
from tests.engine.simulation import ERROR, Simulation

NETWORK = {**ERROR, "type": "Refused", "types": ["net.Refused", "ConnectionError", "OSError", "Exception"]}


def body(ctx):
    """Do nothing."""


def built(**nodes) -> Graph:
    """Build a workflow of empty bodies from {node: options}, and read it back from what a version keeps."""
    builder = WorkflowBuilder("w")
    for node, options in nodes.items():
        builder.add_node(node, body, **options)
    workflow: Workflow = builder.build()
    graph = decode_graph(encode_graph(workflow.graph))
    assert graph == workflow.graph
    return graph


def run(simulation: Simulation, node: str, outcome=Outcome.SUCCEEDED, served: str = "", **about) -> None:
    key = Key(node, for_node=served)
    simulation.claim(key)
    simulation.settle(key, outcome, **about)


def fail(simulation: Simulation, node: str, served: str = "", error=ERROR) -> None:
    run(simulation, node, Outcome.FAILED, served, error=error)


def rows(simulation: Simulation) -> dict[str, str]:
    return {
        key.node + (f" for {key.for_node}" if key.for_node else ""): row.status.value
        for key, row in simulation.view.rows.items()
    }


CASCADE = {
    "primary": {"fallback": "fallback-1"},
    "fallback-1": {"fallback": "fallback-2"},
    "fallback-2": {},
    "after": {"depends_on": ["primary"]},
}


def test_a_fallback_takes_over_when_its_primary_has_failed_for_good():
    simulation = Simulation(built(primary={"fallback": "second", "retry": RetryPolicy(max_attempts=2)}, second={},
                                  after={"depends_on": ["primary"]}))  # fmt: skip
    fail(simulation, "primary")
    assert rows(simulation) == {"primary": "ready"}
    fail(simulation, "primary")
    assert rows(simulation) == {"primary": "waiting", "second for primary": "ready"}
    run(simulation, "second", served="primary", result='"instead"')
    assert rows(simulation) == {
        "primary": "recovered",
        "second for primary": "succeeded",
        "after": "ready",
    }
    assert simulation.view.rows[Key("primary")].result == '"instead"'
    run(simulation, "after")
    assert (simulation.status(), simulation.view.failures) == (E.SUCCEEDED, 0)
    assert simulation.types("primary")[-2:] == ["node.waiting", "node.recovered"]


def test_a_fallback_that_is_not_needed_shows_as_skipped():
    simulation = Simulation(built(**CASCADE))
    run(simulation, "primary")
    run(simulation, "after")
    assert rows(simulation) == {
        "primary": "succeeded",
        "fallback-1 for primary": "skipped",
        "fallback-2 for fallback-1": "skipped",
        "after": "succeeded",
    }
    assert simulation.status() is E.SUCCEEDED


def test_a_cascade_goes_on_until_one_succeeds():
    simulation = Simulation(built(**CASCADE))
    fail(simulation, "primary")
    fail(simulation, "fallback-1", "primary")
    run(simulation, "fallback-2", served="fallback-1", result="2")
    run(simulation, "after")
    assert rows(simulation) == {
        "primary": "recovered",
        "fallback-1 for primary": "recovered",
        "fallback-2 for fallback-1": "succeeded",
        "after": "succeeded",
    }
    assert simulation.view.rows[Key("primary")].result == "2"


def test_when_a_whole_cascade_fails_the_primary_has_failed():
    simulation = Simulation(built(**CASCADE))
    fail(simulation, "primary", error=NETWORK)
    fail(simulation, "fallback-1", "primary")
    fail(simulation, "fallback-2", "fallback-1")
    assert rows(simulation)["primary"] == "failed"
    assert rows(simulation)["after"] == "upstream_failed"
    assert simulation.status() is E.FAILED
    assert simulation.view.failures == 1
    assert simulation.view.error is not None
    assert (simulation.view.error["node"], simulation.view.error["type"]) == ("primary", "Refused")


BOUNDARY = {
    "risky": {},
    "other": {},
    "after": {"depends_on": ["risky"]},
    "network": {"on_error": True, "for_nodes": ["risky"], "error_types": [ConnectionError]},
    "any": {"on_error": True},
}


def test_the_first_boundary_that_names_the_node_and_the_type_catches_it_subclasses_too():
    simulation = Simulation(built(**BOUNDARY))
    fail(simulation, "risky", error=NETWORK)
    assert rows(simulation)["network for risky"] == "ready"
    run(simulation, "network", served="risky", result='{"recovered": true}')
    assert rows(simulation)["risky"] == "recovered"
    assert rows(simulation)["after"] == "ready"


def test_a_boundary_without_nodes_or_types_catches_the_rest_once_for_each_failing_node():
    simulation = Simulation(built(**BOUNDARY))
    fail(simulation, "risky")
    fail(simulation, "other", error=NETWORK)
    run(simulation, "any", served="risky")
    run(simulation, "any", served="other")
    run(simulation, "after")
    assert simulation.status() is E.SUCCEEDED
    assert rows(simulation)["risky"] == rows(simulation)["other"] == "recovered"


def test_upstream_failures_are_not_caught():
    simulation = Simulation(
        built(a={}, b={"depends_on": ["a"]}, catch={"on_error": True, "for_nodes": ["b"]})
    )
    fail(simulation, "a")
    assert rows(simulation) == {"a": "failed", "b": "upstream_failed"}
    assert simulation.status() is E.FAILED


def test_fallbacks_come_before_boundaries():
    simulation = Simulation(built(p={"fallback": "f"}, f={}, catch={"on_error": True, "for_nodes": ["p"]}))
    fail(simulation, "p", error=NETWORK)
    fail(simulation, "f", "p")
    assert rows(simulation) == {"p": "waiting", "f for p": "failed", "catch for p": "ready"}
    run(simulation, "catch", served="p")
    assert rows(simulation)["p"] == "recovered"


def test_a_boundary_that_raises_passes_its_error_to_one_that_names_it():
    simulation = Simulation(
        built(
            a={},
            first={"on_error": True, "for_nodes": ["a"]},
            second={"on_error": True, "for_nodes": ["first"]},
        )
    )
    fail(simulation, "a")
    fail(simulation, "first", "a")
    assert rows(simulation) == {"a": "waiting", "first for a": "waiting", "second for a": "ready"}
    run(simulation, "second", served="a", result="1")
    assert rows(simulation) == {"a": "recovered", "first for a": "recovered", "second for a": "succeeded"}


def test_a_boundary_that_nobody_catches_fails_the_node():
    simulation = Simulation(
        built(a={}, first={"on_error": True, "for_nodes": ["a"]}, rest={"on_error": True})
    )
    fail(simulation, "a")
    fail(simulation, "first", "a")
    assert rows(simulation) == {"a": "failed", "first for a": "failed"}
    assert simulation.status() is E.FAILED


def test_a_workflow_that_fails_fast_cancels_what_is_left_once_nobody_has_rescued_the_node():
    graph = replace(
        built(a={"fallback": "f"}, f={}, b={}, c={}, after={"depends_on": ["b"]}), on_failure="fail_fast"
    )
    simulation = Simulation(graph)
    simulation.claim(Key("b"))
    fail(simulation, "a")
    assert simulation.status() is E.RUNNING
    fail(simulation, "f", "a")
    assert simulation.status() is E.CANCELLING
    assert rows(simulation) == {"a": "failed", "b": "running", "c": "cancelled", "f for a": "failed"}
    simulation.settle(Key("b"), Outcome.SUCCEEDED)
    assert simulation.status() is E.FAILED
    assert rows(simulation)["b"] == "succeeded"
    simulation.act("retry")
    assert rows(simulation) == {"a": "ready", "b": "succeeded", "c": "ready", "after": "ready"}


def test_a_cancelled_execution_rescues_nobody():
    simulation = Simulation(built(**CASCADE))
    simulation.claim(Key("primary"))
    simulation.act("cancel")
    simulation.settle(Key("primary"), Outcome.FAILED)
    assert rows(simulation) == {"primary": "failed"}
    assert simulation.status() is E.CANCELLED


def test_a_cancel_while_a_fallback_runs_ends_both():
    simulation = Simulation(built(**CASCADE))
    fail(simulation, "primary")
    simulation.claim(Key("fallback-1", for_node="primary"))
    simulation.act("cancel")
    simulation.settle(Key("fallback-1", for_node="primary"), Outcome.SUCCEEDED, result="1")
    assert rows(simulation) == {
        "primary": "cancelled",
        "fallback-1 for primary": "succeeded",
        "fallback-2 for fallback-1": "skipped",
    }
    assert simulation.status() is E.CANCELLED


def test_a_retry_sets_aside_what_ran_for_the_node_too():
    simulation = Simulation(built(**CASCADE))
    fail(simulation, "primary")
    fail(simulation, "fallback-1", "primary")
    fail(simulation, "fallback-2", "fallback-1")
    with pytest.raises(IllegalMove, match="retry that one"):
        simulation.act("retry", node="fallback-1")
    simulation.act("retry", node="primary")
    assert rows(simulation) == {"primary": "ready"}
    run(simulation, "primary")
    run(simulation, "after")
    assert simulation.status() is E.SUCCEEDED


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ({"a": {"fallback": "b"}}, 'has the fallback "b", which does not exist'),
        ({"a": {"fallback": "c"}, "b": {"fallback": "c"}, "c": {}}, 'shares the fallback "c"'),
        ({"a": {"fallback": "b"}, "b": {"depends_on": ["x"]}, "x": {}}, "which has dependencies"),
        ({"a": {"fallback": "b"}, "b": {}, "c": {"depends_on": ["b"]}}, 'Depend on "a", whose result it gives'),
        ({"a": {"fallback": "b"}, "b": {"on_error": True}}, "which is an error boundary"),
        ({"a": {}, "h": {"on_error": True, "fallback": "f"}, "f": {}}, "is an error boundary and has a fallback"),
        ({"a": {}, "h": {"on_error": True, "depends_on": ["a"]}}, "has dependencies"),
        ({"a": {}, "h": {"on_error": True}, "b": {"depends_on": ["h"]}}, "Depend on what it handles"),
        ({"a": {}, "h": {"on_error": True, "for_nodes": ["aa"]}}, 'Did you mean "a"?'),
        ({"a": {}, "h": {"on_error": True, "for_nodes": []}}, "handles no node"),
        ({"a": {"fallback": "b"}, "b": {"when": body}}, "has a `when`"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(nodes, said):
    with pytest.raises(GraphError) as refused:
        built(**nodes)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("nodes", "path"),
    [
        ({"a": {"fallback": "b"}, "b": {"fallback": "a"}}, "a → b → a"),
        ({"a": {"fallback": "a"}}, "a → a"),
        (
            {
                "x": {},
                "a": {"on_error": True, "for_nodes": ["b"]},
                "b": {"on_error": True, "for_nodes": ["a"]},
            },
            "→",
        ),
    ],
)
def test_rescuers_that_wait_for_each_other_are_a_cycle(nodes, path):
    with pytest.raises(CycleError) as refused:
        built(**nodes)
    assert path in str(refused.value)


def test_options_of_a_boundary_need_one():
    with pytest.raises(GraphError, match="Add on_error=True"):
        WorkflowBuilder("w").add_node("a", body, for_nodes=["b"])
