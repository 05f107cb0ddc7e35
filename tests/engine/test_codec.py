"""Graph <-> canonical JSON, and its checksum."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.engine.builder import WorkflowBuilder
from orchestration.engine.codec import canonical, checksum, decode_graph, encode_graph
from orchestration.engine.errors import CodecError, CycleError, DuplicateNode, Igon7Error, UnknownDependency
from orchestration.engine.graph import Graph, NodeSpec, make_graph
from orchestration.engine.policies import RetryPolicy
from tests.engine.strategies import joins, policies

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé☃"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=6,
)
specs = st.builds(
    NodeSpec,
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8),
    st.sampled_from(["m:f", "task:count"]),
    lane=st.sampled_from(["sync", "async"]),
    join=joins(()),
    params=st.dictionaries(st.text("ab", max_size=3), plain, max_size=3),
    retry=policies,
    timeout=st.none() | st.floats(0, 1000),
    queue=st.sampled_from(["default", "gpu"]),
    priority=st.none() | st.integers(1, 5),
)


@st.composite
def whole_graphs(draw: st.DrawFn) -> Graph:
    nodes = draw(st.lists(specs, min_size=1, max_size=6, unique_by=lambda node: node.id))
    ids = [node.id for node in nodes]
    linked = [
        NodeSpec(
            node.id, node.body, node.lane, tuple(draw(st.lists(st.sampled_from(ids[:n]), unique=True)) if n else ()),
            node.join, node.params, node.retry, node.timeout, node.queue, node.priority,
        )
        for n, node in enumerate(nodes)
    ]  # fmt: skip
    output = draw(st.none() | st.sampled_from(ids))
    return make_graph("w", linked, output=output, timeout=draw(st.none() | st.floats(0, 1000)))


def shuffled(value):
    """Return the data with every mapping the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=50)
@given(whole_graphs())
def test_a_graph_survives_the_trip_through_json(graph: Graph):
    data = encode_graph(graph)
    again = decode_graph(json.loads(json.dumps(data)))
    assert again == graph
    assert list(again.nodes) == list(graph.nodes), "the order of declaration is kept"
    assert encode_graph(again) == data


@settings(max_examples=50)
@given(whole_graphs())
def test_the_checksum_is_of_the_content_not_of_its_order_in_memory(graph: Graph):
    data = encode_graph(graph)
    assert canonical(shuffled(data)) == canonical(data)
    assert checksum(shuffled(data)) == checksum(json.loads(canonical(data)))


def _one(**options):
    return WorkflowBuilder("w").add_node("a", print, **options).build()


def test_a_default_that_is_spelled_out_does_not_change_the_checksum():
    spelled = _one(
        depends_on=[], join="all_success", params={}, retry=None, timeout=None, queue="default", priority=None
    )
    assert spelled.checksum() == _one().checksum()
    policy = RetryPolicy(max_attempts=3, initial_interval="1s", strategy="exponential", retry_on=())
    assert _one(retry=policy).checksum() == _one(retry=RetryPolicy()).checksum() != _one().checksum()
    assert encode_graph(_one(retry=RetryPolicy(max_attempts=5)).graph)["nodes"][0]["retry"] == {
        "max_attempts": 5
    }


def test_the_checksum_of_a_workflow_is_the_same_for_ever():
    workflow = (
        WorkflowBuilder("w", input_schema={"type": "object"}, timeout=60, output="b")
        .add_node("a", "read", params={"é": 1}, retry=RetryPolicy(max_attempts=5, retry_on=["OSError"]))
        .add_node("b", "write", depends_on=["a"], join="all_done", timeout="1m", queue="io", priority=2)
        .build()
    )
    assert canonical(workflow.definition()) == (
        '{"format":1,"input_schema":{"type":"object"},"name":"w","nodes":['
        '{"body":"task:read","id":"a","params":{"é":1},"retry":{"max_attempts":5,"retry_on":["OSError"]}},'
        '{"body":"task:write","depends_on":["a"],"id":"b","join":"all_done","priority":2,"queue":"io","timeout":60.0}'
        '],"output":"b","timeout":60.0}'
    )


@pytest.mark.parametrize(
    "option",
    [
        {"join": "all_done"}, {"params": {"x": 1}}, {"retry": RetryPolicy()}, {"timeout": 5}, {"queue": "q"},
        {"priority": 3},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_checksum(option):
    assert _one(**option).checksum() != _one().checksum()


def test_an_input_schema_changes_the_checksum_and_a_description_does_not():
    plain, told, typed = (
        builder.add_node("a", print).build().checksum()
        for builder in (
            WorkflowBuilder("w"),
            WorkflowBuilder("w", description="x", tags=["y"]),
            WorkflowBuilder("w", input_schema={}),
        )
    )
    assert plain == told != typed


def _node(**options):
    return {"format": 1, "name": "w", "nodes": [{"id": "a", "body": "m:f", **options}]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "its format is not 1."),
        ([], "its format is not 1."),
        ({"format": 2, "name": "w", "nodes": []}, "its format is not 1."),
        ({"format": 1, "name": "w"}, "KeyError: 'nodes'."),
        ({"format": 1, "name": "w", "nodes": None}, "TypeError"),
        ({"format": 1, "name": "w", "nodes": ["a"]}, "TypeError"),
        ({"format": 1, "name": "w", "nodes": [{"id": "a"}]}, "KeyError: 'body'."),
        (_node(join="some"), "join is 'some'"),
        (_node(join={"at_least": 0}), "AtLeast is 0"),
        (_node(join={"at_most": 1}), "KeyError: 'at_least'"),
        (_node(retry={"max_attempts": 0}), "RetryPolicy.max_attempts is 0"),
        (_node(retry={"tries": 3}), "TypeError"),
        (_node(params=5), "TypeError"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_definition_that_cannot_be_read_is_refused(data, said):
    with pytest.raises(CodecError) as caught:
        decode_graph(data)
    assert str(caught.value).startswith("This is not a workflow definition igon7 can read: ")
    assert said in str(caught.value)


def test_a_definition_with_a_wrong_graph_is_refused_as_the_builder_refuses_it():
    with pytest.raises(CycleError):
        decode_graph(_node(depends_on=["a"]))
    with pytest.raises(UnknownDependency):
        decode_graph(_node(depends_on=["b"]))
    with pytest.raises(Igon7Error, match="has no nodes"):
        decode_graph({"format": 1, "name": "w", "nodes": []})


def test_a_definition_that_names_a_node_twice_is_refused():
    twice = _node() | {"nodes": _node()["nodes"] * 2}
    with pytest.raises(DuplicateNode):
        decode_graph(twice)
