"""Reads for pages, API and commands; nothing here writes."""

from .approvals import approvals
from .companions import Companion, called_for, chain, companions, giver, undo_of
from .events import event_json, events_after, last_log_lines, line_json, log_lines, node_events, settled_line
from .filters import ExecutionFilter
from .lists import (
    artifact,
    asking,
    asking_nodes,
    asking_workflows,
    execution,
    executions,
    held_by,
    live_worker_nodes,
    running_on,
    versions,
    worker_nodes,
    workflow,
    workflows,
)
from .node_why import NodeReasons, runs_around
from .nodes import RETRYING, calls, display_status, duration_ms, node_run, node_runs, node_view, run_json
from .paging import Page, page
from .why import LEFT, Why, culprit, explain, spell_left, why, whys

__all__ = [
    "LEFT",
    "RETRYING",
    "Companion",
    "ExecutionFilter",
    "NodeReasons",
    "Page",
    "Why",
    "approvals",
    "artifact",
    "asking",
    "asking_nodes",
    "asking_workflows",
    "called_for",
    "calls",
    "chain",
    "companions",
    "culprit",
    "display_status",
    "duration_ms",
    "event_json",
    "events_after",
    "execution",
    "executions",
    "explain",
    "giver",
    "held_by",
    "last_log_lines",
    "line_json",
    "live_worker_nodes",
    "log_lines",
    "node_events",
    "node_run",
    "node_runs",
    "node_view",
    "page",
    "run_json",
    "running_on",
    "runs_around",
    "settled_line",
    "spell_left",
    "undo_of",
    "versions",
    "why",
    "whys",
    "worker_nodes",
    "workflow",
    "workflows",
]
