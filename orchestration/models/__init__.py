from .bulk import BulkAct, BulkItem
from .definition import Workflow, WorkflowVersion
from .execution import Artifact, Execution, ExecutionEvent, LogLine, NodeRun
from .placement import WorkerNode

__all__ = [
    "Artifact",
    "BulkAct",
    "BulkItem",
    "Execution",
    "ExecutionEvent",
    "LogLine",
    "NodeRun",
    "WorkerNode",
    "Workflow",
    "WorkflowVersion",
]
