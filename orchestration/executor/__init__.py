"""The verbs. Each asks `security`, acts through the store, and writes its audit row in the same commit.

The console, the API and the command line call these and nothing below them. Call them outside a transaction: a
denial is recorded in one of its own.
"""

from .acting import SAME, Joint, check_reason, together_with
from .anew import PREVIEWED, fork, preview, rerun
from .approvals import approve, reject
from .caching import invalidate_cache
from .children import start_children
from .control import (
    RESERVED,
    attend,
    cancel,
    pause,
    resume,
    retry,
    terminate,
)
from .delivering import PURGE_EVERY, deliver_events, deliver_soon, principal_of, purge
from .events import BY_WORKFLOWS, Message, check_event_id, emit_event, emit_events
from .granting import grant, refuse_gain, revoke
from .signals import send_signal, send_signals, signal_with_start
from .starting import BATCH, KEY_LIMIT, start, start_many, start_or_get
from .state import StateOf, delete_state, may_set_state, set_state, state_of
from .triggers import disable_trigger, enable_trigger
from .verbs import STARTING, VERBS, can, may

__all__ = [
    "BATCH",
    "BY_WORKFLOWS",
    "KEY_LIMIT",
    "PREVIEWED",
    "PURGE_EVERY",
    "RESERVED",
    "SAME",
    "STARTING",
    "VERBS",
    "Joint",
    "Message",
    "StateOf",
    "approve",
    "attend",
    "can",
    "cancel",
    "check_event_id",
    "check_reason",
    "delete_state",
    "deliver_events",
    "deliver_soon",
    "disable_trigger",
    "emit_event",
    "emit_events",
    "enable_trigger",
    "fork",
    "grant",
    "invalidate_cache",
    "may",
    "may_set_state",
    "pause",
    "preview",
    "principal_of",
    "purge",
    "refuse_gain",
    "reject",
    "rerun",
    "resume",
    "retry",
    "revoke",
    "send_signal",
    "send_signals",
    "set_state",
    "signal_with_start",
    "start",
    "start_children",
    "start_many",
    "start_or_get",
    "state_of",
    "terminate",
    "together_with",
]
