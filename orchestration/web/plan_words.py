"""What the page before an act says: its title, what it does, its button, and what it asks for."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _


class PlanWords(NamedTuple):
    """The words for one act; `takes` is "input", "result" or nothing."""

    title: Any
    about: Any
    button: Any
    icon: str
    takes: str = ""


_WORDS = {
    "retry": PlanWords(
        _("Run “%(node)s” again?"),
        _(
            "This node runs again in this execution, and all that follows it. Everything else keeps its results."
        ),
        _("Run again from here"),
        "rotate-ccw",
        "input",
    ),
    "fork": PlanWords(
        _("Fork from “%(node)s”?"),
        _(
            "A new execution takes over the results before this node and runs from here. This one is not touched."
        ),
        _("Fork"),
        "waypoints",
        "input",
    ),
    "rerun": PlanWords(
        _("Rerun from the beginning?"),
        _("A new execution of the workflow's present version starts. This one is not touched."),
        _("Rerun"),
        "play",
        "input",
    ),
    "skip": PlanWords(
        _("Skip “%(node)s”?"),
        _("The node does not run. What needs its result is skipped with it; the rest goes on."),
        _("Skip"),
        "status-skipped",
    ),
    "supply": PlanWords(
        _("Supply the result of “%(node)s”?"),
        _("What you give stands as the node's result, and what follows it runs."),
        _("Supply the result"),
        "check",
        "result",
    ),
}
PREVIEW_WORDS = {
    "again": _("Run again"),
    "then": _("Run after those"),
    "kept": _("Stay as they are"),
    "cancelled": _("Never begin"),
    "stopped": _("Are asked to stop"),
    "undone": _("Are undone"),
    "held": _("Wait"),
    "children": _("Children that end with it"),
}


def words_of(verb: str) -> PlanWords | None:
    """Return the words of an act that has a page."""
    return _WORDS.get(verb)
