from .bulk import BulkAct, BulkItem
from .caching import CacheCount, CachedValue, CacheEntry, CacheFlight, CacheGeneration, CacheWait
from .definition import Workflow, WorkflowVersion
from .execution import Artifact, Execution, ExecutionEvent, LogLine, NodeRun
from .messaging import JournalEntry, Signal, Wait
from .placement import WorkerNode
from .state import StateEntry

__all__ = [
    "Artifact",
    "BulkAct",
    "BulkItem",
    "CacheCount",
    "CacheEntry",
    "CacheFlight",
    "CacheGeneration",
    "CacheWait",
    "CachedValue",
    "Execution",
    "ExecutionEvent",
    "JournalEntry",
    "LogLine",
    "NodeRun",
    "Signal",
    "StateEntry",
    "Wait",
    "WorkerNode",
    "Workflow",
    "WorkflowVersion",
]
