"""What compensation did: who was undone, in which order, and what is left undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration import queries
from orchestration.engine.graph import Graph
from orchestration.models import Execution, ExecutionEvent, NodeRun

_TOLD = ("execution.compensating", "execution.failed", "execution.cancelled")


@dataclass(frozen=True, slots=True)
class Undo:
    """One node that is to be undone; `run` is that of its undo, once it has one."""

    node: str
    by: str
    run: NodeRun | None
    left: bool


def undoing(execution: Execution, graph: Graph, runs: Sequence[NodeRun]) -> list[Undo]:
    """Return the undos in the order in which they are done; empty where the graph has none."""
    undos = {each.node: each for each in queries.companions(graph).values() if each.kind == "undo"}
    if not undos:
        return []
    order, left = _told(execution)
    born = {run.node: run for run in runs if run.node in undos}
    found: dict[str, Undo] = {}
    for named in (*order, *born):
        by = named if named in undos else graph.nodes[named].compensate or ""
        if by in undos and by not in found:
            node = (undos[by].serves or ("",))[0]
            found[by] = Undo(node, by, born.get(by), bool({node, by} & left))
    return list(found.values())


def _told(execution: Execution) -> tuple[list[str], set[str]]:
    """Return the order of the last compensation, and what it left undone."""
    told = ExecutionEvent.objects.filter(execution=execution, type__in=_TOLD).order_by("seq")
    order: list[str] = []
    left: set[str] = set()
    for event in told:
        if event.type == "execution.compensating":
            order, left = [str(node) for node in event.data.get("undo") or ()], set()
        else:
            left = {str(node) for node in event.data.get("undone") or ()}
    return order, left
