"""WfFormat traces: what is read from them, what is refused in which words, the workflow they become."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import igon7site.demo
from igon7site.demo.trace import Trace, TraceInvalid, critical_path, parse, trace_workflow

pytestmark = pytest.mark.once

SAMPLE = Path(igon7site.demo.__file__).parent / "data" / "trace-sample.json"
Change = Callable[[dict[str, Any]], Any]


def document() -> dict[str, Any]:
    """Three tasks: a, then b and c."""
    specified = [
        {"name": "A", "id": "a", "parents": [], "children": ["b", "c"]},
        {"name": "B", "id": "b", "parents": ["a"], "children": []},
        {"name": "C", "id": "c", "parents": ["a"], "children": []},
    ]
    executed = [
        {"id": "c", "runtimeInSeconds": 3},
        {"id": "a", "runtimeInSeconds": 1.5, "command": {"program": "prepare"}},
        {"id": "b", "runtimeInSeconds": 0},
    ]
    workflow = {"specification": {"tasks": specified}, "execution": {"tasks": executed}}
    return {"name": "small", "schemaVersion": "1.5", "workflow": workflow}


def specified(data: dict[str, Any]) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = data["workflow"]["specification"]["tasks"]
    return tasks


def executed(data: dict[str, Any]) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = data["workflow"]["execution"]["tasks"]
    return tasks


def refusal(source: Any) -> str:
    with pytest.raises(TraceInvalid) as caught:
        parse(source)
    assert caught.value.code == "trace_invalid"
    return str(caught.value)


def shape(trace: Trace) -> dict[str, tuple[str, float, tuple[str, ...]]]:
    return {task.id: (task.name, task.runtime, task.parents) for task in trace.tasks}


SMALL = {"a": ("prepare", 1.5, ()), "b": ("B", 0.0, ("a",)), "c": ("C", 3.0, ("a",))}


@pytest.mark.parametrize("version", ["1.5", "1.6"])
@pytest.mark.parametrize(
    "encode", [lambda data: data, json.dumps, lambda data: b"\xef\xbb\xbf" + json.dumps(data).encode()]
)
def test_a_trace_is_read_from_data_text_and_bytes(version: str, encode: Callable[[Any], Any]) -> None:
    trace = parse(encode(document() | {"schemaVersion": version}))
    assert trace.name == "small"
    assert shape(trace) == SMALL
    assert trace.tasks[0].children == ("b", "c")


def test_an_older_trace_tells_everything_in_one_list_by_name_or_id_and_at_either_end() -> None:
    tasks = [
        {
            "name": "a",
            "id": "ID1",
            "runtimeInSeconds": 1.5,
            "command": {"program": "prepare"},
            "children": ["b"],
        },
        {"name": "b", "id": "ID2", "runtimeInSeconds": 0, "command": {"program": "B"}, "parents": ["a"]},
        {"name": "c", "id": "ID3", "runtimeInSeconds": 3, "command": {"program": "C"}, "parents": ["ID1"]},
    ]
    assert shape(parse({"name": "small", "schemaVersion": "1.4", "workflow": {"tasks": tasks}})) == SMALL


REFUSED: list[tuple[Change, str]] = [
    (lambda d: d.pop("name"), "name: is missing"),
    (
        lambda d: d.update(name=" small"),
        'name: must not have control characters or outer spaces, as " small" has',
    ),
    (lambda d: d.update(name="n" * 201), "name: must have at most 200 characters, not 201"),
    (lambda d: d.update(schemaVersion="1.3"), 'schemaVersion: must be one of 1.4, 1.5, 1.6, not "1.3"'),
    (lambda d: d.update(schemaVersion=["1.5"]), "schemaVersion: must be one of 1.4, 1.5, 1.6, not an array"),
    (lambda d: d.update(workflow=7), "workflow: must be an object, not 7"),
    (lambda d: d["workflow"].pop("execution"), "workflow.execution: is missing"),
    (
        lambda d: d["workflow"]["specification"].update(tasks={}),
        "workflow.specification.tasks: must be an array, not an object",
    ),
    (lambda d: specified(d).clear(), "workflow.specification.tasks: must have at least one task"),
    (lambda d: specified(d)[1].pop("children"), "workflow.specification.tasks[1].children: is missing"),
    (lambda d: specified(d)[1].update(id=5), "workflow.specification.tasks[1].id: must be a text, not 5"),
    (
        lambda d: specified(d)[2].update(id="b"),
        'workflow.specification.tasks[2].id: "b" is taken by workflow.specification.tasks[1]',
    ),
    (
        lambda d: specified(d)[0].update(children=["b", None]),
        "workflow.specification.tasks[0].children[1]: must be a text, not null",
    ),
    (
        lambda d: specified(d)[1].update(parents=["ghost"]),
        'workflow.specification.tasks[1].parents[0]: names "ghost", which is not a task',
    ),
    (
        lambda d: specified(d)[0].update(children=["b"]),
        (
            'workflow.specification.tasks[2].parents[0]: "c" has the parent "a", '
            'but is not among the children of "a"'
        ),
    ),
    (
        lambda d: specified(d)[2].update(parents=[]),
        (
            'workflow.specification.tasks[0].children[1]: "a" has the child "c", '
            'but is not among the parents of "c"'
        ),
    ),
    (
        lambda d: executed(d)[0].pop("runtimeInSeconds"),
        "workflow.execution.tasks[0].runtimeInSeconds: is missing",
    ),
    *[
        (
            (lambda d, v=value: executed(d)[1].update(runtimeInSeconds=v)),
            f"workflow.execution.tasks[1].runtimeInSeconds: must be {told}",
        )
        for value, told in [
            ("abc", 'a number ≥ 0, not "abc"'),
            (-1, "a number ≥ 0, not -1"),
            (True, "a number ≥ 0, not true"),
            (None, "a number ≥ 0, not null"),
            (float("nan"), "a number ≥ 0, not NaN"),
            (float("inf"), "at most 31622400, not Infinity"),
            (10**400, "at most 31622400, not 1000"),
        ]
    ],
    (
        lambda d: executed(d)[1].update(command={"program": ""}),
        'workflow.execution.tasks[1].command.program: must be a text, not ""',
    ),
    (
        lambda d: executed(d).pop(),
        'workflow.specification.tasks[1].id: "b" has no runtime: workflow.execution.tasks does not have it',
    ),
    (
        lambda d: executed(d)[0].update(id="z"),
        'workflow.execution.tasks[0].id: names "z", which workflow.specification.tasks does not have',
    ),
]


@pytest.mark.parametrize(("change", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_a_malformed_trace_is_refused_by_naming_the_field(change: Change, told: str) -> None:
    data = document()
    change(data)
    assert f"replayed. {told}" in refusal(data)
    assert f"replayed. {told}" in refusal(json.dumps(data))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('{"name": "x",\n  oops}', "It is not JSON: line 2, column 3: "),
        ("", "It is not JSON: line 1, column 1: "),
        (b'{"name": "\xff"}', "It is not UTF-8 text: byte 10 cannot be read."),
        ("[" * 200_000, "It is nested too deeply."),
        ('{"name": ' + "9" * 5_000 + "}", "It is not JSON that can be read: "),
        ("[1, 2]", "The file must be an object, not an array"),
        ('"trace"', 'The file must be an object, not "trace"'),
    ],
)
def test_what_is_not_a_json_object_is_refused_with_its_place(source: Any, told: str) -> None:
    assert told in refusal(source)


def test_a_cycle_is_refused_and_printed() -> None:
    data = document()
    specified(data)[0].update(parents=["b"])
    specified(data)[1].update(children=["a"])
    said = refusal(data)
    assert "form a cycle: a → b → a." in said or "form a cycle: b → a → b." in said


def test_too_many_tasks_are_refused() -> None:
    data = document()
    specified(data).extend({"id": f"t{i}", "name": "t", "parents": [], "children": []} for i in range(20_000))
    assert "workflow.specification.tasks: must have at most 20000 tasks" in refusal(data)


def test_reading_changes_nothing_it_was_given() -> None:
    data = document()
    before = copy.deepcopy(data)
    parse(data)
    assert data == before


def test_the_critical_path_is_the_longest_chain() -> None:
    assert critical_path(parse(document())) == 4.5
    assert critical_path(parse(document()), 0.1) == pytest.approx(0.45)


def test_the_shipped_trace_becomes_a_workflow_of_the_same_graph() -> None:
    trace = parse(SAMPLE.read_bytes())
    workflow = trace_workflow(trace, 0.1)
    assert workflow.name == "trace-orchard-panorama"
    assert workflow.bodies == {}
    assert {
        node.id: (tuple(node.depends_on), node.body, node.lane) for node in workflow.graph.nodes.values()
    } == {task.id: (task.parents, "task:trace.sleep", "async") for task in trace.tasks}
    assert {task.id: workflow.graph.nodes[task.id].params for task in trace.tasks} == {
        task.id: {"task": task.name, "seconds": pytest.approx(task.runtime / 10)} for task in trace.tasks
    }
    assert len(trace.tasks) == 14
    assert critical_path(trace, 0.1) == pytest.approx(3.54)


def test_any_name_gives_a_workflow_name() -> None:
    assert trace_workflow(parse(document() | {"name": "Übung №7 / 2013"})).name == "trace-bung-7-2013"
    assert trace_workflow(parse(document() | {"name": "地震"})).name == "trace-unnamed"
