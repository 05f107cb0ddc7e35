"""Nodes that wait, as the builder and a graph kept as data know them."""

from __future__ import annotations

import pytest

from orchestration.engine.builder import WorkflowBuilder
from orchestration.engine.codec import checksum, decode_graph, encode_graph
from orchestration.engine.errors import GraphError, InvalidOption
from orchestration.engine.policies import RetryPolicy
from orchestration.engine.shipped import child_body
from orchestration.engine.signals import RESERVED


def builder() -> WorkflowBuilder:
    return WorkflowBuilder("doors")


def test_nodes_that_wait_are_tasks_by_name_and_survive_being_data():
    built = (
        builder()
        .wait_for_signal("pay", "paid", timeout="1h")
        .sleep("rest", "2m", depends_on=["pay"])
        .approval("ok", roles={"b", "a"}, users="uma", due=60, form={"type": "object"}, depends_on=["rest"])
        .build()
    )
    nodes = built.graph.nodes
    assert [(node.body, dict(node.params)) for node in nodes.values()] == [
        ("task:igon7.wait_for_signal", {"name": "paid", "timeout": 3600.0}),
        ("task:igon7.sleep", {"duration": 120.0}),
        (
            "task:igon7.approval",
            {"roles": ["a", "b"], "users": ["uma"], "form": {"type": "object"}, "due": 60.0},
        ),
    ]
    assert decode_graph(encode_graph(built.graph)) == built.graph
    assert checksum(encode_graph(decode_graph(encode_graph(built.graph)))) == checksum(
        encode_graph(built.graph)
    )


def test_the_same_graph_with_tasks_named_by_hand_is_the_same_version():
    by_hand = builder().add_node("pay", "igon7.wait_for_signal", params={"name": "paid"}).build()
    assert by_hand.checksum() == builder().wait_for_signal("pay", "paid").build().checksum()


async def _coming(ctx):
    return {}


def test_a_node_that_runs_another_workflow_is_a_task_by_name_or_keeps_the_place_of_its_function():
    def given(ctx):
        return ctx.results["first"]

    built = (
        builder()
        .child("first", "etl", input={"day": 3}, retry=RetryPolicy(max_attempts=2))
        .child("second", "report", input=given, on_parent_close="abandon", depends_on=["first"])
        .add_node("third", child_body("etl"))
        .build()
    )
    first, second, third = built.graph.nodes.values()
    assert (first.body, dict(first.params)) == ("task:igon7.child", {"workflow": "etl", "input": {"day": 3}})
    assert second.body.endswith("<locals>.given")
    assert dict(second.params) == {"workflow": "report", "on_parent_close": "abandon"}
    assert (third.body, dict(third.params)) == ("task:igon7.child", {"workflow": "etl"})
    assert built.children == {"etl", "report"}
    assert decode_graph(encode_graph(built.graph)) == built.graph


@pytest.mark.parametrize(
    ("add", "says"),
    [
        (lambda b: b.wait_for_signal("pay", ""), "name of node \"pay\" is ''; it must be a text"),
        (lambda b: b.wait_for_signal("pay", RESERVED[0]), "none of cancel, terminate, pause, resume"),
        (lambda b: b.wait_for_signal("pay", "paid", timeout="soon"), "timeout of node \"pay\" is 'soon'"),
        (lambda b: b.sleep("rest", -1), 'duration of node "rest" is -1'),
        (lambda b: b.approval("ok", roles=[""]), "roles of node \"ok\" is ['']; it must be a list of names"),
        (lambda b: b.approval("ok", users=7), 'users of node "ok" is 7; it must be a list of names'),
        (lambda b: b.approval("ok", form={"type": "array"}), "it must be a JSON Schema of an object"),
        (lambda b: b.approval("ok", due="never"), "due of node \"ok\" is 'never'"),
        (lambda b: b.child("kid", ""), "the child's workflow is ''; it must be a text"),
        (
            lambda b: b.child("kid", "etl", on_parent_close="kill"),
            "on_parent_close of node \"kid\" is 'kill'",
        ),
        (lambda b: b.child("kid", "etl", input=_coming), 'input of node "kid" is'),
        (lambda b: b.child("kid", "etl", cache=None), 'Node "kid" only waits; it takes no option `cache`'),
        (lambda b: b.add_node("kid", "igon7.child"), 'without its parameter "workflow"'),
        (lambda b: b.sleep("rest", 1, retry=None), 'Node "rest" only waits; it takes no option `retry`'),
        (lambda b: b.add_node("rest", "igon7.sleep"), 'without its parameter "duration"'),
        (
            lambda b: b.add_node("rest", "igon7.sleep", params={"duration": "soon"}),
            "duration of node \"rest\" is 'soon'",
        ),
        (
            lambda b: b.add_node("rest", "igon7.sleep", params={"duration": 1, "minutes": 2}),
            'the parameter "minutes"; it knows duration',
        ),
        (
            lambda b: b.add_node("rest", "igon7.sleep", params={"duration": 1}, timeout=5),
            'Node "rest" of workflow "doors" only waits, and has a `timeout`',
        ),
    ],
)
def test_what_cannot_wait_is_refused_at_build_by_name(add, says):
    with pytest.raises((GraphError, InvalidOption)) as caught:
        add(builder()).build()
    assert says in str(caught.value)
