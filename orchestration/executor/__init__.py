"""The verbs. Each asks `security`, acts through the store, and writes its audit row in the same commit.

The console, the API and the command line call these and nothing below them. Call them outside a transaction: a
denial is recorded in one of its own.
"""

from .acting import SAME, Joint, check_reason, together_with
from .anew import PREVIEWED, fork, preview, rerun
from .approvals import approve, may_decide, reject
from .caching import invalidate_cache
from .control import (
    RESERVED,
    STARTING,
    VERBS,
    attend,
    can,
    cancel,
    may,
    pause,
    resume,
    retry,
    terminate,
)
from .signals import send_signal, send_signals, signal_with_start
from .starting import BATCH, KEY_LIMIT, start, start_many, start_or_get

__all__ = [
    "BATCH",
    "KEY_LIMIT",
    "PREVIEWED",
    "RESERVED",
    "SAME",
    "STARTING",
    "VERBS",
    "Joint",
    "approve",
    "attend",
    "can",
    "cancel",
    "check_reason",
    "fork",
    "invalidate_cache",
    "may",
    "may_decide",
    "pause",
    "preview",
    "reject",
    "rerun",
    "resume",
    "retry",
    "send_signal",
    "send_signals",
    "signal_with_start",
    "start",
    "start_many",
    "start_or_get",
    "terminate",
    "together_with",
]
