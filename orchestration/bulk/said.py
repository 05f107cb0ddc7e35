"""What the engine says of a verb that is not possible, for the catalog: the engine itself knows no languages."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from orchestration.engine.errors import IllegalMove

MARKED = (
    gettext_noop("queued"),
    gettext_noop("running"),
    gettext_noop("paused"),
    gettext_noop("blocked"),
    gettext_noop("cancelling"),
    gettext_noop("compensating"),
    gettext_noop("succeeded"),
    gettext_noop("failed"),
    gettext_noop("cancelled"),
    gettext_noop("terminated"),
    gettext_noop("be cancelled"),
    gettext_noop("be terminated"),
    gettext_noop("be paused"),
    gettext_noop("be resumed"),
    gettext_noop("be retried"),
    gettext_noop("be rerun"),
    gettext_noop("be forked"),
    gettext_noop("be sent a signal"),
    gettext_noop("There is nothing left to cancel."),
    gettext_noop("It is being cancelled already."),
    gettext_noop("There is nothing left to terminate."),
    gettext_noop("Nothing in it waits any more."),
    gettext_noop("Only a running execution can be paused."),
    gettext_noop("Only a paused execution can be resumed."),
    gettext_noop(
        "Only one that failed, was cancelled or was terminated can be retried; one that succeeded, from a node."
    ),
)


def impossible(no: IllegalMove) -> str:
    """Return the sentence without the execution's id: it is shown beside it, and is the same for many."""
    told = {name: _(str(no.fields[name])) if no.fields[name] else "" for name in ("state", "verb", "hint")}
    return (_("It is %(state)s, so it cannot %(verb)s. %(hint)s") % told).strip()
