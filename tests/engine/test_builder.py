"""Writing a workflow, and what is refused on the way, by name."""

from __future__ import annotations

import functools
import time
from itertools import pairwise

import pytest

from orchestration.engine.builder import Workflow, WorkflowBuilder
from orchestration.engine.errors import (
    CycleError,
    DuplicateNode,
    GraphError,
    Igon7Error,
    InvalidOption,
    NotSerialisable,
    PayloadTooLarge,
    UnknownDependency,
)
from orchestration.engine.options import PARAMS_LIMIT
from orchestration.engine.policies import AtLeast, RetryPolicy


def body(ctx):
    return 1


async def async_body(ctx):
    return 1


class Callable:
    def __call__(self, ctx):
        return 1


class AsyncCallable:
    async def __call__(self, ctx):
        return 1


def build(edges: dict[str, list[str]], **options) -> Workflow:
    builder = WorkflowBuilder("etl", **options)
    for node, parents in edges.items():
        builder.add_node(node, body, depends_on=parents)
    return builder.build()


# --- graphs ----------------------------------------------------------------------------------------


def test_a_cycle_is_refused_and_printed_the_way_data_flows():
    edges = {"a": [], "b": ["a", "d"], "c": ["b"], "d": ["c"], "e": ["d"]}
    with pytest.raises(CycleError) as caught:
        build(edges)
    path = str(caught.value.fields["path"]).split(" → ")
    assert path[0] == path[-1]
    assert set(path) == {"b", "c", "d"}
    assert all(before in edges[after] for before, after in pairwise(path))
    assert f'Workflow "etl" has a cycle: {" → ".join(path)}.' in str(caught.value)


def test_a_node_that_depends_on_itself_is_a_cycle_of_one():
    with pytest.raises(CycleError, match="a → a"):
        build({"a": ["a"]})


def test_an_unknown_dependency_is_refused_with_a_hint():
    with pytest.raises(UnknownDependency) as caught:
        build({"read-flights": [], "report": ["read-flihgts"]})
    assert str(caught.value) == (
        'Node "report" of workflow "etl" depends on "read-flihgts", which does not exist.'
        ' Did you mean "read-flights"?'
    )


def test_where_nothing_is_alike_the_hint_says_what_there_is():
    with pytest.raises(UnknownDependency, match=r'Known: "a", "b"\.$'):
        build({"a": [], "b": ["zzzzzz"]})
    with pytest.raises(UnknownDependency, match=r'"n7" and 4 more\.$'):
        build({**{f"n{n}": [] for n in range(11)}, "b": ["zzzzzz"]})


def test_two_nodes_of_one_name_are_refused():
    with pytest.raises(DuplicateNode, match='"etl" has two nodes called "a"'):
        WorkflowBuilder("etl").add_node("a", body).add_node("a", body)


def test_a_dependency_named_twice_is_refused():
    with pytest.raises(GraphError, match='Node "b" of workflow "etl" names a dependency twice'):
        build({"a": [], "b": ["a", "a"]})


def test_an_unknown_output_and_an_empty_workflow_are_refused():
    with pytest.raises(GraphError, match='"etl" names "z" as its output, which is not one of its nodes'):
        build({"a": []}, output="z")
    with pytest.raises(GraphError, match='"etl" has no nodes'):
        build({})


def test_a_graph_knows_its_edges():
    graph = build({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": [], "e": []}, output="d").graph
    assert graph.children == {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": (), "e": ()}
    assert graph.roots == ("a", "e")
    assert graph.sinks == ("d", "e")
    assert graph.output == "d"
    assert graph.descendants(["a"]) == {"b", "c", "d"}
    assert graph.descendants(["b", "c"]) == {"d"}


@pytest.mark.parametrize("shape", ["chain", "fan", "funnel"])
def test_ten_thousand_nodes_build_quickly_and_without_recursion(shape):
    names = [f"n{number}" for number in range(10_000)]
    edges: dict[str, list[str]] = {
        "chain": {name: names[max(0, n - 1) : n] for n, name in enumerate(names)},
        "fan": {name: names[:1] if n else [] for n, name in enumerate(names)},
        "funnel": {name: [] for name in names} | {"end": names},
    }[shape]
    began = time.process_time()
    workflow = build(edges)
    assert len(workflow.graph.nodes) >= 10_000
    assert len(workflow.graph.descendants(workflow.graph.roots)) == len(edges) - len(workflow.graph.roots)
    assert len(workflow.checksum()) == 64
    assert time.process_time() - began < 5


def test_a_cycle_of_ten_thousand_nodes_is_found_without_recursion():
    names = [f"n{number}" for number in range(10_000)]
    with pytest.raises(CycleError, match="n9999"):
        build({name: [names[n - 1]] for n, name in enumerate(names)})


# --- options ---------------------------------------------------------------------------------------

BAD = [
    ({"queue": "gpu queue"}, "queue of node \"a\" is 'gpu queue'; it must be a name of up to 63 letters"),
    ({"queue": ""}, "queue of node"),
    ({"queue": None}, "queue of node"),
    ({"queue": "q\n"}, "queue of node"),
    ({"priority": 0}, "priority is 0; it must be a whole number from 1 (first) to 5 (last)."),
    ({"priority": 6}, "priority is 6"),
    ({"priority": 3.0}, "priority is 3.0"),
    ({"priority": True}, "priority is True"),
    ({"priority": "high"}, "priority is 'high'"),
    ({"timeout": "soon"}, "timeout of node \"a\" is 'soon'; it must be a duration"),
    ({"timeout": -1}, 'timeout of node "a" is -1'),
    ({"join": "some"}, "join is 'some'; it must be AtLeast(k), an outcome expression, or one of all_success"),
    ({"join": ["all_done"]}, "join is ['all_done']"),
    ({"params": [1]}, 'params of node "a" is [1]; it must be a mapping.'),
    ({"params": {"when": object()}}, 'params of node "a" cannot be kept as JSON: $.when is a object'),
    ({"params": {"x": {"y": [1, float("inf")]}}}, "$.x.y[1] is inf, which JSON cannot hold"),
    ({"retry": 3}, 'retry of node "a" is 3; it must be a RetryPolicy.'),
    ({"depends_on": "b"}, 'depends_on of node "a" is the text "b"; give a list: ["b"].'),
    ({"depends_on": 5}, 'depends_on of node "a" is 5; give a list of node ids.'),
    ({"depends_on": None}, 'depends_on of node "a" is None; give a list of node ids.'),
    ({"depends_on": [body]}, 'depends_on of node "a" holds <function body'),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=lambda value: str(value)[:30])
def test_a_wrong_option_is_refused_where_it_is_given(options, said):
    builder = WorkflowBuilder("etl")
    with pytest.raises(Igon7Error) as caught:
        builder.add_node("a", body, **options)
    assert said in str(caught.value)
    assert len(builder.add_node("a", body).build().graph.nodes) == 1, "what was refused has changed nothing"


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0", "\ud800", "x" * 201, 5, None])
def test_a_wrong_name_is_refused(name):
    for what, use in [
        ("workflow name", lambda: WorkflowBuilder(name)),
        ("node id", lambda: WorkflowBuilder("etl").add_node(name, body)),
        ("tag", lambda: WorkflowBuilder("etl", tags=[name])),
    ]:
        with pytest.raises(InvalidOption) as caught:
            use()
        assert str(caught.value).startswith(f"{what} is {name!r}; it must be a text of 1 to 200 characters")


def test_a_body_that_is_no_function_is_refused():
    with pytest.raises(
        GraphError, match='The body of node "a" is 5; it must be a function or the name of a @task'
    ):
        WorkflowBuilder("etl").add_node("a", 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="task name is ''"):
        WorkflowBuilder("etl").add_node("a", "")


def test_params_that_are_too_large_are_refused():
    with pytest.raises(PayloadTooLarge) as caught:
        WorkflowBuilder("etl").add_node("a", body, params={"x": "y" * PARAMS_LIMIT})
    assert f'params of node "a" is {PARAMS_LIMIT + 8} bytes; the limit is {PARAMS_LIMIT}.' in str(
        caught.value
    )


def test_a_wrong_workflow_option_is_refused():
    with pytest.raises(InvalidOption, match="timeout is 'x'"):
        WorkflowBuilder("etl", timeout="x")
    with pytest.raises(InvalidOption, match=r"input_schema is \[\]; it must be a mapping"):
        WorkflowBuilder("etl", input_schema=[])  # type: ignore[arg-type]
    with pytest.raises(NotSerialisable, match="input_schema cannot be kept as JSON"):
        WorkflowBuilder("etl", input_schema={"type": {1, 2}})


# --- what is built ---------------------------------------------------------------------------------


def test_everything_that_was_asked_for_is_in_the_graph():
    workflow = (
        WorkflowBuilder(
            "etl", description="  Reads.\n\n  Writes.", tags=["b", "a"], timeout="1h", output="join"
        )
        .add_node(
            "read", body, params={"n": (1, 2)}, retry=RetryPolicy(), timeout="5m", queue="io", priority=1
        )
        .add_node("join", async_body, depends_on=("read",), join=AtLeast(1))
        .build()
    )
    read, join = workflow.graph.nodes["read"], workflow.graph.nodes["join"]
    assert (workflow.name, workflow.description, workflow.tags) == ("etl", "Reads.\n\nWrites.", ("b", "a"))
    assert (workflow.graph.timeout, workflow.graph.output) == (3600, "join")
    assert workflow.module == __name__
    assert workflow.bodies == {"read": body, "join": async_body}
    assert (read.timeout, read.queue, read.priority, read.retry) == (300, "io", 1, RetryPolicy())
    assert (read.lane, join.lane, join.join, join.depends_on) == ("sync", "async", AtLeast(1), ("read",))
    assert read.params == {"n": [1, 2]}
    assert read.body == f"{__name__}:body"


def test_one_tag_may_be_given_as_a_text():
    assert build({"a": []}, tags="nightly").tags == ("nightly",)


def test_a_built_graph_does_not_change_with_what_its_author_keeps():
    params, schema = {"list": [1]}, {"type": "object"}
    builder = WorkflowBuilder("etl", input_schema=schema).add_node("a", body, params=params)
    workflow = builder.build()
    before = workflow.checksum()
    params["list"].append(2)
    schema["type"] = "array"
    builder.add_node("b", body)
    assert workflow.checksum() == before
    assert set(workflow.bodies) == {"a"}
    with pytest.raises(TypeError):
        workflow.graph.nodes["a"].params["new"] = 1  # type: ignore[index]


def test_names_given_as_a_set_are_kept_in_one_order():
    builder = WorkflowBuilder("etl", tags={"c", "a", "b"})
    for node in ("x", "y", "z"):
        builder.add_node(node, body)
    workflow = builder.add_node("end", body, depends_on={"z", "y", "x"}).build()
    assert workflow.graph.nodes["end"].depends_on == ("x", "y", "z")
    assert workflow.tags == ("a", "b", "c")


@pytest.mark.parametrize(
    ("callable", "lane", "ends"),
    [
        (body, "sync", ":body"),
        (async_body, "async", ":async_body"),
        (functools.partial(body), "sync", ":body"),
        (functools.partial(async_body), "async", ":async_body"),
        (Callable(), "sync", ":Callable"),
        (AsyncCallable(), "async", ":AsyncCallable"),
        (lambda ctx: 1, "sync", ":<lambda>"),
    ],
)
def test_every_kind_of_callable_finds_its_lane_and_its_name(callable, lane, ends):
    node = WorkflowBuilder("etl").add_node("a", callable).build().graph.nodes["a"]
    assert node.lane == lane
    assert node.body.startswith(f"{__name__}:")
    assert node.body.endswith(ends)


def test_a_join_that_asks_for_more_than_there_is_is_refused() -> None:
    builder = WorkflowBuilder("w").add_node("a", body).add_node("b", body, depends_on=["a"], join=AtLeast(2))
    with pytest.raises(
        GraphError, match=r'Node "b" of workflow "w" asks for AtLeast\(2\) but has 1 dependencies'
    ):
        builder.build()
