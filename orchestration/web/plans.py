"""Which acts on one node its inspector offers: those that are possible now, to whom may do them."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from orchestration.engine.graph import Graph
from orchestration.engine.items import is_item
from orchestration.engine.states import EXECUTION_TERMINAL, NodeStatus
from orchestration.engine.view import Key
from orchestration.models import Execution, NodeRun
from security.actions import EXECUTION_CONTROL, WORKFLOW_RUN
from security.policies import allowed
from security.principals import Principal

Plan = tuple[str, str, str]  # verb, word, icon
_NOT_BEGUN = (NodeStatus.READY, NodeStatus.BLOCKED, NodeStatus.PENDING)
_LACKING = (NodeStatus.FAILED, NodeStatus.UPSTREAM_FAILED, NodeStatus.CANCELLED)


def plans(
    execution: Execution, graph: Graph, key: Key, run: NodeRun | None, principal: Principal
) -> list[Plan]:
    """Return the acts, the most usual first."""
    found: list[Plan] = []
    node = key.node
    ended, plain = execution.status in EXECUTION_TERMINAL, not graph.is_companion(node)
    if is_item(graph, key):
        again = ("retry", _("Run this item again…"), "rotate-ccw")
        return [again] if ended and run and allowed(principal, EXECUTION_CONTROL, execution) else []
    if run is not None and allowed(principal, EXECUTION_CONTROL, execution):
        found = [*_in_place(graph, node, run, ended, plain)]
    if plain and allowed(principal, WORKFLOW_RUN, execution.workflow):
        found.append(("fork", _("Fork from here…"), "waypoints"))
    return found


def _in_place(graph: Graph, node: str, run: NodeRun, ended: bool, plain: bool) -> list[Plan]:
    found: list[Any] = []
    if node in graph.undos and ended and run.status == NodeStatus.FAILED:
        found.append(("retry", _("Try the undo again…"), "rotate-ccw"))
    if plain and ended:
        found.append(("retry", _("Run again from here…"), "rotate-ccw"))
    if plain and run.status in (_LACKING if ended else _NOT_BEGUN):
        found += [("supply", _("Supply the result…"), "check"), ("skip", _("Skip…"), "status-skipped")]
    return found
