"""Reads for pages, API and commands; nothing here writes."""

from .events import event_json, events_after, last_log_lines, line_json, log_lines, node_events, settled_line
from .filters import ExecutionFilter
from .lists import (
    artifact,
    asking,
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
from .nodes import RETRYING, display_status, duration_ms, node_run, node_runs, node_view, run_json
from .paging import Page, page
from .why import culprit, retry_sentence, why

__all__ = [
    "RETRYING",
    "ExecutionFilter",
    "Page",
    "artifact",
    "asking",
    "culprit",
    "display_status",
    "duration_ms",
    "event_json",
    "events_after",
    "execution",
    "executions",
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
    "retry_sentence",
    "run_json",
    "running_on",
    "settled_line",
    "versions",
    "why",
    "worker_nodes",
    "workflow",
    "workflows",
]
