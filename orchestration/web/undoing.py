"""What compensation did: what was undone, in which order, and what is left undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.engine.graph import Graph
from orchestration.engine.states import NODE_TERMINAL, NodeStatus
from orchestration.models import Execution, ExecutionEvent, NodeRun


@dataclass(frozen=True, slots=True)
class Undo:
    """One thing that is to be undone: by which row, and whether it was left undone."""

    node: str
    run: NodeRun

    @property
    def left(self) -> bool:
        return self.run.status in NODE_TERMINAL and self.run.status != NodeStatus.SUCCEEDED


def undoing(execution: Execution, graph: Graph, runs: Sequence[NodeRun]) -> list[Undo]:
    """Return the undos in the order in which they are done."""
    found = [Undo(graph.undos[run.node], run) for run in runs if graph.undos and run.node in graph.undos]
    if not found:
        return []
    told = ExecutionEvent.objects.filter(execution=execution, type="execution.compensating")
    last = told.order_by("-seq").first()
    named = last.data.get("undo") or () if last else ()  # the first hundred; rows of others stand after them
    place = {node: number for number, node in reversed([*enumerate(named)])}
    return sorted(found, key=lambda undo: (place.get(undo.node, len(place)), undo.run.pk))
