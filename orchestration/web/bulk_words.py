"""What a verb is called where it is done to many executions; one that has no words yet goes by its name."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import gettext_lazy as _

from orchestration import executor
from orchestration.engine.verbs import LEGAL


class Verb(NamedTuple):
    """A verb's words, its icon, and the statuses in which it is possible."""

    name: str
    word: str
    icon: str
    about: str
    statuses: str

    @property
    def hurts(self) -> bool:
        return self.name in ("cancel", "terminate")


_WORDS = {
    "cancel": (
        _("Cancel"),
        "ban",
        _("Nothing new starts. What runs now is asked to stop, and may finish what it is doing."),
    ),
    "terminate": (
        _("Terminate"),
        "octagon-x",
        _("Everything ends at once. No code of the workflow runs any more, and what runs now is lost."),
    ),
    "pause": (_("Pause"), "pause", _("Nothing new starts. What runs now runs to its end.")),
    "resume": (_("Resume"), "play", _("What is ready starts again.")),
    "retry": (
        _("Retry"),
        "rotate-ccw",
        _("What failed or was cancelled runs again, with what follows it. What succeeded keeps its results."),
    ),
    "rerun": (
        _("Rerun"),
        "play",
        _("A new execution of the workflow's present version starts with the input of each."),
    ),
    "signal": (
        _("Signal"),
        "send",
        _("Each is sent the signal once, and keeps it until a body asks for its name."),
    ),
    "fork": (
        _("Fork"),
        "waypoints",
        _(
            "A new execution of the same version takes over each one's results up to a node, and runs from there."
        ),
    ),
}


def verb(name: str) -> Verb:
    """Return the words of a verb."""
    word, icon, about = _WORDS.get(name, (name.replace("_", " ").capitalize(), "rows-3", ""))
    return Verb(name, str(word), icon, str(about), " ".join(sorted(LEGAL.get(name, ()))))


def all_verbs() -> list[Verb]:
    return [verb(name) for name in executor.VERBS]
