"""Nodes that run for others, with no edge between them: fallbacks, error boundaries, and what undoes a node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from orchestration.engine.graph import Graph
from orchestration.models import NodeRun

Kind = Literal["fallback", "boundary", "undo"]


@dataclass(frozen=True, slots=True)
class Companion:
    """A node that runs for those it serves; None: for whichever ordinary node fails."""

    node: str
    kind: Kind
    serves: tuple[str, ...] | None


def companions(graph: Graph) -> dict[str, Companion]:
    """Return a graph's companions by their names."""
    found = {node: Companion(node, "fallback", (primary,)) for node, primary in graph.primaries.items()}
    for spec in graph.boundaries:
        found[spec.id] = Companion(spec.id, "boundary", spec.handles.for_nodes if spec.handles else None)
    found |= {undo: Companion(undo, "undo", (node,)) for undo, node in graph.undos.items()}
    return found


def chain(graph: Graph, node: str) -> list[str]:
    """Return a node and its fallbacks, each with the one that follows it: all that others may be called for."""
    found, at = [node], graph.nodes[node].fallback
    while at is not None:
        found.append(at)
        at = graph.nodes[at].fallback
    return found


def called_for(graph: Graph, rows: Iterable[NodeRun], node: str) -> list[NodeRun]:
    """Return what ran or runs in the node's place, in order; an unneeded fallback, skipped unbegun, did not."""
    names = set(chain(graph, node))
    own = (run for run in rows if run.for_node in names and run.node not in graph.undos)
    return sorted((run for run in own if run.status != "skipped" or run.attempt), key=lambda run: run.pk)


def giver(graph: Graph, rows: Iterable[NodeRun], node: str) -> NodeRun | None:
    """Return whose result stands as a recovered node's own: the last of those that were called and ended well."""
    called = called_for(graph, rows, node)
    return next((run for run in reversed(called) if run.status == "succeeded"), None)


def undo_of(graph: Graph, rows: Iterable[NodeRun], node: str, served: str = "") -> NodeRun | None:
    """Return the undo of what the node did (for the one that it served); None where nothing was to be undone."""
    undo, whose = graph.nodes[node].compensate, served or node
    return next((run for run in rows if undo and run.node == undo and run.for_node == whose), None)
