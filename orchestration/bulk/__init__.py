"""One verb for many executions, which are chosen once: a dry run, a typed confirmation, a throttled carrying out."""

from .acts import BulkConflict, Counts, UnknownBulkAct, counts, find, refused_items, start, stop
from .carry import carry_out
from .preview import Group, Preview, preview
from .selection import Selection, TooMany

__all__ = [
    "BulkConflict",
    "Counts",
    "Group",
    "Preview",
    "Selection",
    "TooMany",
    "UnknownBulkAct",
    "carry_out",
    "counts",
    "find",
    "preview",
    "refused_items",
    "start",
    "stop",
]
