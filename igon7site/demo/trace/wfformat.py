"""WfCommons WfFormat: the JSON of a scientific workflow's tasks, edges and measured runtimes.

From 1.5 on, `workflow.specification` has the graph and `workflow.execution` the runtimes, joined by
task id. Up to 1.4 one list `workflow.tasks` has both, its tasks know each other by name, and an edge may
be written at one end only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .fields import Field, TraceInvalid, load

__all__ = ["Trace", "TraceInvalid", "TraceTask", "critical_path", "parse"]

VERSIONS = ("1.4", "1.5", "1.6")
MAX_TASKS = 20_000
MAX_RUNTIME = 366 * 24 * 3600.0  # a year, in seconds
NAME_LIMIT = 200
_CYCLE_SHOWN = 12

Edges = dict[tuple[str, str], Field]  # (parent, child): where it is written


@dataclass(frozen=True, slots=True)
class TraceTask:
    """A task: its program's name, its measured runtime in seconds, and its neighbours' ids."""

    id: str
    name: str
    runtime: float
    parents: tuple[str, ...]
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A workflow that once ran: a graph without cycles, tasks in the order of the file."""

    name: str
    tasks: tuple[TraceTask, ...]


def parse(source: str | bytes | Mapping[str, Any]) -> Trace:
    """Read a trace from JSON text or data. Raises TraceInvalid, naming the first field that is wrong."""
    document = load(source)
    version = document["schemaVersion"]
    if version.value not in VERSIONS:
        version.refuse(f"must be one of {', '.join(VERSIONS)}, not {version.shown}")
    name = document["name"].text(NAME_LIMIT)
    tasks = _inline(document["workflow"]) if version.value == "1.4" else _joined(document["workflow"])
    _refuse_cycles(tasks)
    return Trace(name, tuple(tasks.values()))


def critical_path(trace: Trace, factor: float = 1.0) -> float:
    """Return the seconds of the longest chain: no replay can be faster."""
    runtime = {task.id: task.runtime * factor for task in trace.tasks}
    parents = {task.id: task.parents for task in trace.tasks}
    ends: dict[str, float] = {}
    for task in TopologicalSorter(parents).static_order():
        ends[task] = runtime[task] + max((ends[parent] for parent in parents[task]), default=0.0)
    return max(ends.values(), default=0.0)


def _joined(workflow: Field) -> dict[str, TraceTask]:
    """Read 1.5 and later."""
    specified = _by_key(workflow["specification"]["tasks"], "id")
    executed = _by_key(workflow["execution"]["tasks"], "id")
    for key, field in executed.items():
        if key not in specified:
            field["id"].refuse(f'names "{key}", which workflow.specification.tasks does not have')
    for key, field in specified.items():
        if key not in executed:
            field["id"].refuse(f'"{key}" has no runtime: workflow.execution.tasks does not have it')
    known = {key: key for key in specified}
    parents = _edges(specified, "parents", known)
    children = _edges(specified, "children", known)
    _refuse_disagreement(parents, children)
    return _tasks(specified, executed, parents)


def _inline(workflow: Field) -> dict[str, TraceTask]:
    """Read 1.4: a task's key is its name; references are names, or ids where a task has one."""
    tasks = _by_key(workflow["tasks"], "name")
    known = {field["id"].text(NAME_LIMIT): key for key, field in tasks.items() if "id" in field}
    known |= {key: key for key in tasks}
    edges = _edges(tasks, "parents", known, optional=True) | _edges(tasks, "children", known, optional=True)
    return _tasks(tasks, tasks, edges)


def _by_key(array: Field, name: str) -> dict[str, Field]:
    """Index an array of tasks; each has its own key."""
    found: dict[str, Field] = {}
    for field in array.items():
        key = field[name].text(NAME_LIMIT)
        if key in found:
            field[name].refuse(f'"{key}" is taken by {found[key].path}')
        found[key] = field
        if len(found) > MAX_TASKS:
            array.refuse(f"must have at most {MAX_TASKS} tasks")
    if not found:
        array.refuse("must have at least one task")
    return found


def _edges(
    tasks: Mapping[str, Field], side: str, known: Mapping[str, str], *, optional: bool = False
) -> Edges:
    """Return the (parent, child) pairs that one side tells, each with the field that tells it."""
    found: Edges = {}
    for key, field in tasks.items():
        if optional and side not in field:
            continue
        for reference in field[side].items():
            other = known.get(reference.text(NAME_LIMIT))
            if other is None:
                reference.refuse(f"names {reference.shown}, which is not a task")
            found[(other, key) if side == "parents" else (key, other)] = reference
    return found


def _refuse_disagreement(parents: Edges, children: Edges) -> None:
    for (parent, child), field in parents.items():
        if (parent, child) not in children:
            field.refuse(f'"{child}" has the parent "{parent}", but is not among the children of "{parent}"')
    for (parent, child), field in children.items():
        if (parent, child) not in parents:
            field.refuse(f'"{parent}" has the child "{child}", but is not among the parents of "{child}"')


def _tasks(
    specified: Mapping[str, Field], executed: Mapping[str, Field], edges: Edges
) -> dict[str, TraceTask]:
    parents: dict[str, list[str]] = {key: [] for key in specified}
    children: dict[str, list[str]] = {key: [] for key in specified}
    for parent, child in edges:
        parents[child].append(parent)
        children[parent].append(child)
    return {
        key: TraceTask(
            key,
            _program(field, executed[key]),
            executed[key]["runtimeInSeconds"].number(MAX_RUNTIME),
            tuple(parents[key]),
            tuple(children[key]),
        )
        for key, field in specified.items()
    }


def _program(specified: Field, executed: Field) -> str:
    """Return the program that ran, or else the task's name."""
    if "command" in executed and "program" in executed["command"]:
        return executed["command"]["program"].text(NAME_LIMIT)
    return specified["name"].text(NAME_LIMIT)


def _refuse_cycles(tasks: Mapping[str, TraceTask]) -> None:
    try:
        TopologicalSorter({key: task.parents for key, task in tasks.items()}).prepare()
    except CycleError as error:
        cycle: Sequence[str] = error.args[1]
        shown = [*cycle[:_CYCLE_SHOWN], "…"] if len(cycle) > _CYCLE_SHOWN else cycle
        raise TraceInvalid(f"Its tasks form a cycle: {' → '.join(shown)}.") from None
