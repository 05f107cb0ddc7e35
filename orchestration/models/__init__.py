from .bulk import BulkAct, BulkItem
from .definition import Workflow, WorkflowVersion
from .execution import Artifact, Execution, ExecutionEvent, LogLine, NodeRun
from .messaging import JournalEntry, Signal, Wait
from .placement import WorkerNode

__all__ = [
    "Artifact",
    "BulkAct",
    "BulkItem",
    "Execution",
    "ExecutionEvent",
    "JournalEntry",
    "LogLine",
    "NodeRun",
    "Signal",
    "Wait",
    "WorkerNode",
    "Workflow",
    "WorkflowVersion",
]
