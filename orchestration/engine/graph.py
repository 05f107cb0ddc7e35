"""The immutable graph of one workflow version, and the checks that name what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError as _Cycle
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import Any

from . import shipped
from .errors import CycleError, DuplicateNode, GraphError, UnknownDependency
from .expressions import nodes_of
from .permissions import Permissions
from .policies import (
    AtLeast,
    Bound,
    CachePolicy,
    Handles,
    Items,
    Join,
    Repeat,
    RetryPolicy,
    check_on_failure,
    expression_of,
)

DEFAULT_QUEUE = "default"
NODE_ID_LIMIT = 200
LANES = ("sync", "async")  # bodies of either kind are claimed by lanes of their own


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node as data. `body` is "module:qualname" of a callable, or "task:name" of a registered task."""

    id: str
    body: str
    lane: str = "sync"
    depends_on: tuple[str, ...] = ()
    join: Join = "all_success"
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    retry: RetryPolicy | None = None
    timeout: float | None = None
    queue: str = DEFAULT_QUEUE
    priority: int | None = None
    fallback: str | None = None  # the node that runs when this one has failed for good
    handles: Handles | None = None  # what it catches; such a node is an error boundary
    on_exhausted: str = "fail"  # or "pause": a person decides
    when: str | None = None  # "module:qualname" of a callable that says whether the node runs
    compensate: str | None = None  # the node that undoes what this one did
    queue_timeout: float | None = None  # seconds from ready to started
    deadline: float | None = None  # seconds for all attempts, from the first time it was ready
    heartbeat_timeout: float | None = None  # seconds between two words of its body
    cache: CachePolicy | None = None  # for how long, and for whom, its result stands
    transactional: bool = False  # its body's own writes commit with its end
    repeat: Repeat | None = None  # its body runs until a callable says that it is done
    items: Items | None = None  # what it goes over, if it is a map
    bound: Bound | None = None  # who it shares a bound with
    permissions: Permissions | None = None  # who it runs for


@dataclass(frozen=True)
class Graph:
    """Nodes in declaration order with their edges; made once and shared by every execution of the version."""

    name: str
    nodes: Mapping[str, NodeSpec]
    output: str | None = None
    timeout: float | None = None
    on_failure: str = "finish"  # or "fail_fast"
    # The JSON Schema of each signal that is declared; others may be sent as well.
    signals: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Each node's dependents, in declaration order."""
        found: dict[str, list[str]] = {id: [] for id in self.nodes}
        for node in self.nodes.values():
            for parent in node.depends_on:
                found[parent].append(node.id)
        return {id: tuple(children) for id, children in found.items()}

    @cached_property
    def roots(self) -> tuple[str, ...]:
        return tuple(
            node.id for node in self.nodes.values() if not node.depends_on and not self.is_companion(node.id)
        )

    @cached_property
    def sinks(self) -> tuple[str, ...]:
        return tuple(id for id in self.nodes if not self.children[id] and not self.is_companion(id))

    @cached_property
    def primaries(self) -> Mapping[str, str]:
        """Each fallback's primary."""
        return {node.fallback: node.id for node in self.nodes.values() if node.fallback is not None}

    @cached_property
    def boundaries(self) -> tuple[NodeSpec, ...]:
        """The error boundaries, in declaration order."""
        return tuple(node for node in self.nodes.values() if node.handles is not None)

    @cached_property
    def guarded(self) -> tuple[NodeSpec, ...]:
        """The nodes that do not run for everybody, in declaration order."""
        return tuple(node for node in self.nodes.values() if node.permissions is not None)

    @cached_property
    def rescuers(self) -> frozenset[str]:
        """The fallbacks and error boundaries: they run for others, and no edge leads to them."""
        return frozenset([*self.primaries, *(node.id for node in self.boundaries)])

    @cached_property
    def undos(self) -> Mapping[str, str]:
        """Each undo's node."""
        return {node.compensate: node.id for node in self.nodes.values() if node.compensate is not None}

    @cached_property
    def bounds(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes of each bound, in declaration order, which is that of their turns."""
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            if node.bound is not None:
                found.setdefault(node.bound.name, []).append(node.id)
        return {name: tuple(ids) for name, ids in found.items()}

    @cached_property
    def has_lines(self) -> bool:
        """Say whether a bound may keep any row back: for most graphs every settle may leave lines out of account."""
        limits = (node.bound.limit if node.bound is not None else None for node in self.nodes.values())
        widths = (node.items.concurrency if node.items is not None else None for node in self.nodes.values())
        return any(limit is not None for limit in (*limits, *widths))

    @cached_property
    def companions(self) -> frozenset[str]:
        """The fallbacks, error boundaries and undos: they run for others, and no edge leads to them."""
        return self.rescuers | frozenset(self.undos)

    def is_rescuer(self, id: str) -> bool:
        """Say whether the node is a fallback or an error boundary."""
        return id in self.rescuers

    def is_companion(self, id: str) -> bool:
        """Say whether the node is a fallback, an error boundary or an undo."""
        return id in self.companions

    @cached_property
    def order(self) -> Mapping[str, int]:
        """Each node's place in the order of declaration."""
        return {id: place for place, id in enumerate(self.nodes)}

    def descendants(self, ids: Iterable[str]) -> set[str]:
        """Return every node downstream of `ids`, themselves not included unless reached."""
        found: set[str] = set()
        todo = [child for id in ids for child in self.children[id]]
        while todo:
            node = todo.pop()
            if node not in found:
                found.add(node)
                todo.extend(self.children[node])
        return found


def make_graph(
    name: str,
    nodes: Iterable[NodeSpec],
    *,
    output: str | None = None,
    timeout: float | None = None,
    on_failure: str = "finish",
    signals: Mapping[str, Mapping[str, Any]] | None = None,
) -> Graph:
    """Check the nodes and return their Graph.

    Raises GraphError (or DuplicateNode, UnknownDependency, CycleError), naming the nodes concerned.
    """
    byid: dict[str, NodeSpec] = {}
    for node in nodes:
        if node.id in byid:
            raise DuplicateNode(workflow=name, node=node.id)
        shipped.check(name, node)
        byid[node.id] = node
    declared = MappingProxyType(dict(signals or {}))
    graph = Graph(name, MappingProxyType(byid), output, timeout, check_on_failure(on_failure), declared)
    _check_dependencies(graph)
    check_companions(graph)
    _check_wide(graph)
    _check_joins(graph)
    check_transactional(graph)
    _check_cycles(graph)
    if output is not None and output not in byid:
        raise GraphError(f'Workflow "{name}" names "{output}" as its output, which is not one of its nodes.')
    if not byid:
        raise GraphError(f'Workflow "{name}" has no nodes. Add one with add_node().')
    return graph


def _check_dependencies(graph: Graph) -> None:
    for node in graph.nodes.values():
        if len(set(node.depends_on)) != len(node.depends_on):
            raise GraphError(f'Node "{node.id}" of workflow "{graph.name}" names a dependency twice.')
        for parent in node.depends_on:
            if parent == node.id:
                raise CycleError(workflow=graph.name, path=f"{parent} → {parent}")
            if parent not in graph.nodes:
                hint = suggest(parent, graph.nodes)
                raise UnknownDependency(workflow=graph.name, node=node.id, dependency=parent, hint=hint)


def check_companions(graph: Graph) -> None:
    """Raise GraphError, naming the nodes, where fallbacks, error boundaries or undos make no sense."""
    for node in graph.nodes.values():
        if node.when is not None and graph.is_rescuer(node.id):
            raise GraphError(f'Node "{node.id}" of workflow "{graph.name}" runs only when another has failed, and has a'
                             " `when`. Let its body decide, and raise the error again.")  # fmt: skip
        if node.on_exhausted != "fail" and graph.is_rescuer(node.id):
            raise GraphError(
                f'Node "{node.id}" of workflow "{graph.name}" runs for others and has an `on_exhausted`. Give it to the'
                " node that it serves."
            )
        if node.cache is not None and node.compensate is not None:
            raise GraphError(f'Node "{node.id}" of workflow "{graph.name}" has a `cache` and a `compensate`. A result'
                             " from the cache did nothing here that could be undone; choose one of them.")  # fmt: skip
        if node.cache is not None and node.repeat is not None:
            raise GraphError(f'Node "{node.id}" of workflow "{graph.name}" has a `cache` and is repeated. What is asked'
                             " for until it changes cannot be taken from a cache; choose one of them.")  # fmt: skip
        _check_fallback(graph, node)
        _check_boundary(graph, node)
        _check_undo(graph, node)
        for parent in node.depends_on:
            if parent in graph.undos:
                raise GraphError(f'Node "{node.id}" of workflow "{graph.name}" depends on "{parent}", which undoes'
                                 " another node after the execution has failed.")  # fmt: skip
            if graph.is_rescuer(parent):
                whom = graph.primaries.get(parent)
                hint = f'Depend on "{whom}", whose result it gives.' if whom else "Depend on what it handles."
                raise GraphError(f'Node "{node.id}" of workflow "{graph.name}" depends on "{parent}", which runs only'
                                 f" when another has failed. {hint}")  # fmt: skip
    if graph.output is not None and graph.output in graph.nodes and graph.is_companion(graph.output):
        raise GraphError(f'The output of workflow "{graph.name}" is "{graph.output}", which runs only when another'
                         " node has failed. Name that node.")  # fmt: skip


def _check_fallback(graph: Graph, node: NodeSpec) -> None:
    wrong = lambda text: GraphError(f'Node "{node.id}" of workflow "{graph.name}" {text}')  # noqa: E731
    if node.fallback is None:
        return
    if node.fallback not in graph.nodes:
        raise wrong(
            f'has the fallback "{node.fallback}", which does not exist. {suggest(node.fallback, graph.nodes)}'
        )
    if graph.primaries[node.fallback] != node.id:
        raise wrong(
            f'shares the fallback "{node.fallback}" with "{graph.primaries[node.fallback]}". Give each its own.'
        )
    if node.handles is not None:
        raise wrong(
            "is an error boundary and has a fallback. Catch its errors with another boundary that names it."
        )
    spec = graph.nodes[node.fallback]
    if spec.handles is not None:
        raise wrong(f'has the fallback "{node.fallback}", which is an error boundary. Use another node.')
    if spec.depends_on:
        raise wrong(
            f'has the fallback "{node.fallback}", which has dependencies. A fallback runs after its primary.'
        )
    path: list[str] = [node.id]
    after: str | None = node.fallback
    while after is not None and after not in path:
        path.append(after)
        after = graph.nodes[after].fallback if after in graph.nodes else None
    if after is not None:
        raise CycleError(workflow=graph.name, path=" → ".join([*path[path.index(after) :], after]))


def _check_boundary(graph: Graph, node: NodeSpec) -> None:
    if node.handles is None:
        return
    wrong = lambda text: GraphError(f'Error boundary "{node.id}" of workflow "{graph.name}" {text}')  # noqa: E731
    if node.depends_on:
        raise wrong("has dependencies. It runs when a node that it handles fails.")
    for name in node.handles.for_nodes or ():
        if name not in graph.nodes:
            raise wrong(f'handles "{name}", which does not exist. {suggest(name, graph.nodes)}')
    if node.handles.for_nodes == ():
        raise wrong("handles no node. Leave for_nodes out to handle the whole workflow.")
    named = {one.id: [name for name in one.handles.for_nodes or () if name in graph.nodes and graph.nodes[name].handles]
             for one in graph.boundaries if one.handles is not None}  # fmt: skip
    try:
        TopologicalSorter(named).prepare()
    except _Cycle as found:
        raise CycleError(workflow=graph.name, path=" → ".join(found.args[1])) from None


def _check_undo(graph: Graph, node: NodeSpec) -> None:
    if node.compensate is None:
        return
    wrong = lambda text: GraphError(f'Node "{node.id}" of workflow "{graph.name}" {text}')  # noqa: E731
    undo = graph.nodes.get(node.compensate)
    if undo is None:
        hint = suggest(node.compensate, graph.nodes)
        raise wrong(f'is undone by "{node.compensate}", which does not exist. {hint}')
    if graph.undos[undo.id] != node.id:
        raise wrong(f'shares the undo "{undo.id}" with "{graph.undos[undo.id]}". Give each its own.')
    if undo.depends_on or undo.when or graph.is_rescuer(undo.id) or undo.fallback or undo.compensate:
        raise wrong(f'is undone by "{undo.id}", which has edges, a condition, a fallback or an undo of its own, or'
                    " handles errors. An undo is a plain node that nothing leads to.")  # fmt: skip
    if undo.on_exhausted != "fail":
        raise wrong(
            f'is undone by "{undo.id}", which has an `on_exhausted`. A failed undo ends the execution.'
        )


def _check_wide(graph: Graph) -> None:
    """Refuse maps and bounds that make no sense."""
    for node in graph.nodes.values():
        wrong = f'Map "{node.id}" of workflow "{graph.name}"'
        if node.items is not None and (graph.is_companion(node.id) or node.bound is not None):
            raise GraphError(
                f"{wrong} runs for another node, or is one of parallel nodes. A map is a node of its own."
            )
        if node.items is not None and (node.items.over is None) == (node.items.call is None):
            raise GraphError(
                f"{wrong} goes over nothing, or over two things. Name a node or give a callable."
            )
        if node.items is not None and node.items.over is not None and node.items.over not in node.depends_on:
            raise GraphError(f'{wrong} goes over "{node.items.over}", which it does not depend on.')
    for name, ids in graph.bounds.items():
        first = graph.nodes[ids[0]]
        for node in (graph.nodes[id] for id in ids):
            if (node.depends_on, node.join, node.bound) != (first.depends_on, first.join, first.bound):
                raise GraphError(
                    f'Parallel nodes "{first.id}" and "{node.id}" of workflow "{graph.name}" share the bound "{name}"'
                    " and begin at different times. Give them the same dependencies."
                )
            if graph.is_companion(node.id):
                raise GraphError(f'Node "{node.id}" of workflow "{graph.name}" is one of parallel nodes and runs for'
                                 " another. Use a node of its own.")  # fmt: skip


def check_transactional(graph: Graph) -> None:
    """Raise GraphError, naming the node, where a transactional body cannot be what it is to be."""
    for node in graph.nodes.values():
        if not node.transactional:
            continue
        wrong = f'Node "{node.id}" of workflow "{graph.name}" is transactional and '
        if node.lane == "async":
            raise GraphError(f"{wrong}has an async body, which would share its connection. Give it a def.")
        if node.timeout is None:
            raise GraphError(f"{wrong}has no timeout. Say how long its transaction may be open: timeout=….")
        if node.cache is not None:
            raise GraphError(f"{wrong}has a cache: a result taken over writes nothing. Choose one of them.")
        if node.repeat is not None:
            raise GraphError(
                f"{wrong}is repeated: it would wait in its transaction. Loop inside of its body."
            )


def _check_joins(graph: Graph) -> None:
    for node in graph.nodes.values():
        expression = expression_of(node.join)
        for name in nodes_of(expression) if expression is not None else ():
            if name not in node.depends_on:
                raise GraphError(
                    f'The join of node "{node.id}" of workflow "{graph.name}" asks for "{name}", which it does not'
                    f" depend on. {suggest(name, node.depends_on)}"
                )
        if node.depends_on and isinstance(node.join, AtLeast) and node.join.count > len(node.depends_on):
            raise GraphError(
                f'Node "{node.id}" of workflow "{graph.name}" asks for AtLeast({node.join.count}) but has'
                f" {len(node.depends_on)} dependencies."
            )


def _check_cycles(graph: Graph) -> None:
    sorter = TopologicalSorter({node.id: node.depends_on for node in graph.nodes.values()})
    try:
        sorter.prepare()
    except _Cycle as found:
        # graphlib reports the nodes so that each is a predecessor of the next: the way data flows.
        raise CycleError(workflow=graph.name, path=" → ".join(found.args[1])) from None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as 'Did you mean "read"?', or what there is."""
    names = list(known)
    close = difflib.get_close_matches(name, names[:5000], n=1)
    if close:
        return f'Did you mean "{close[0]}"?'
    if not names:
        return "There is nothing to choose from."
    shown = ", ".join(f'"{item}"' for item in names[:8])
    return f"Known: {shown}" + (f" and {len(names) - 8} more." if len(names) > 8 else ".")
