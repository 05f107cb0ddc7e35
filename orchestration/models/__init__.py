from .bulk import BulkAct, BulkItem
from .caching import CacheCount, CachedValue, CacheEntry, CacheFlight, CacheGeneration, CacheWait
from .definition import Workflow, WorkflowVersion
from .execution import Artifact, Execution, ExecutionEvent, LogLine, NodeRun
from .messaging import JournalEntry, Signal, Wait
from .placement import WorkerNode

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
    "Wait",
    "WorkerNode",
    "Workflow",
    "WorkflowVersion",
]
