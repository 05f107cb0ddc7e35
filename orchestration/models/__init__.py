from .definition import Workflow, WorkflowVersion
from .execution import Artifact, Execution, ExecutionEvent, LogLine, NodeRun
from .placement import WorkerNode

__all__ = [
    "Artifact",
    "Execution",
    "ExecutionEvent",
    "LogLine",
    "NodeRun",
    "WorkerNode",
    "Workflow",
    "WorkflowVersion",
]
