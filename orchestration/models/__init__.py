from .bulk import BulkAct, BulkItem
from .caching import CacheCount, CachedValue, CacheEntry, CacheFlight, CacheGeneration, CacheWait
from .children import Child
from .definition import Workflow, WorkflowVersion
from .events import Event, Receipt, Trigger
from .execution import Artifact, Execution, ExecutionEvent, LogLine, NodeRun
from .grants import TagGrant, WorkflowGroupPermission, WorkflowUserPermission
from .messaging import Delivery, JournalEntry, Signal, Wait
from .placement import WorkerNode
from .state import StateEntry
from .wide import MapItem

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
    "Child",
    "Delivery",
    "Event",
    "Execution",
    "ExecutionEvent",
    "JournalEntry",
    "LogLine",
    "MapItem",
    "NodeRun",
    "Receipt",
    "Signal",
    "StateEntry",
    "TagGrant",
    "Trigger",
    "Wait",
    "WorkerNode",
    "Workflow",
    "WorkflowGroupPermission",
    "WorkflowUserPermission",
    "WorkflowVersion",
]
