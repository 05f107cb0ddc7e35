"""The authoring API: everything a `workflows.py` needs. Importable without Django set up."""

from .engine.builder import Workflow, WorkflowBuilder
from .engine.errors import (
    ApprovalRejected,
    ApprovalTimeout,
    ChildFailed,
    DoNotRetry,
    EventTimeout,
    GraphError,
    Igon7Error,
    NodeCancelled,
    NodeDenied,
    NodeTimeout,
    RepeatExhausted,
    ReplayDiverged,
    RetryAfter,
    SignalTimeout,
)
from .engine.permissions import Permissions
from .engine.policies import AtLeast, CachePolicy, RetryPolicy
from .engine.shipped import child_body
from .engine.tasks import task
from .engine.wide import chunk

__all__ = [
    "ApprovalRejected",
    "ApprovalTimeout",
    "AtLeast",
    "CachePolicy",
    "ChildFailed",
    "DoNotRetry",
    "EventTimeout",
    "GraphError",
    "Igon7Error",
    "NodeCancelled",
    "NodeDenied",
    "NodeTimeout",
    "Permissions",
    "RepeatExhausted",
    "ReplayDiverged",
    "RetryAfter",
    "RetryPolicy",
    "SignalTimeout",
    "Workflow",
    "WorkflowBuilder",
    "child_body",
    "chunk",
    "task",
]
