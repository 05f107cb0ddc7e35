"""Replaying traces of real scientific workflows: WfCommons WfFormat in, a Workflow of sleeping nodes out."""

from .wfformat import Trace, TraceInvalid, TraceTask, critical_path, parse
from .workflow import trace_workflow

__all__ = ["Trace", "TraceInvalid", "TraceTask", "critical_path", "parse", "trace_workflow"]
