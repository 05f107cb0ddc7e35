"""One verb for many executions, which are chosen once: a dry run, a typed confirmation, a throttled carrying out."""

from .acts import (
    BulkConflict,
    Counts,
    UnknownBulkAct,
    acts,
    counts,
    counts_of,
    find,
    refused_items,
    start,
    stop,
)
from .carry import carry_out
from .preview import Group, Preview, declared, nodes, preview, signal_names, without_input
from .selection import Selection, TooMany

__all__ = [
    "BulkConflict",
    "Counts",
    "Group",
    "Preview",
    "Selection",
    "TooMany",
    "UnknownBulkAct",
    "acts",
    "carry_out",
    "counts",
    "counts_of",
    "declared",
    "find",
    "nodes",
    "preview",
    "refused_items",
    "signal_names",
    "start",
    "stop",
    "without_input",
]
