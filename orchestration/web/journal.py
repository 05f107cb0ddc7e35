"""What the inspector shows of a body's journal: what its durable calls gave, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from orchestration import queries
from orchestration.engine.graph import NodeSpec
from orchestration.engine.state import EXECUTION, STORAGE, STORAGE_KINDS
from orchestration.models import NodeRun

SHOWN = 20  # the last ones
_AROUND = re.compile(r'^\{"result":(.*),"done":(?:true|false)\}$', re.DOTALL)  # what is kept of an iteration
SHORT = 60  # characters of a value that stands beside its call


@dataclass(frozen=True, slots=True)
class Line:
    """One call: what it was, what it gave (a JSON text), how large that is; `cut` says that more of it is kept."""

    what: str
    came: str
    value: str | None
    short: bool
    cut: int
    at: datetime


def journal_context(run: NodeRun | None, spec: NodeSpec) -> dict[str, object]:
    """Return the journal's part of the inspector's context."""
    if run is None or not (run.parked or run.attempt):
        return {}
    found = queries.journal(run, repeats=spec.repeat is not None, limit=SHOWN + 1, last=True)
    waits = queries.waits_of([run]).get(run.pk, [])
    return {
        "remembered": [_line(each) for each in found[-SHOWN:]],
        "more_remembered": len(found) > SHOWN,
        "waits": [(queries.spell_wait(wait.kind, wait.name, wait.about), wait) for wait in waits],
    }


def _line(entry: queries.Remembered) -> Line:
    value, cut = entry.value, max(0, entry.size - len(entry.value or ""))
    if entry.kind == "child":  # what it gave is on its own page
        value = None
    if entry.kind == "iteration" and value is not None and not cut:
        value = _AROUND.sub(r"\1", value)
    value = None if value == "null" else value
    short = value is not None and not cut and len(value) <= SHORT
    return Line(_what(entry), _came(entry), value, short, cut, entry.at)


def _what(entry: queries.Remembered) -> str:
    if entry.kind == "iteration":
        return _("iteration %(number)d") % {"number": entry.number}
    said = {
        "kind": _kind(entry.kind),
        "name": _name(entry),
        "number": entry.number,
        "iteration": entry.iteration,
    }
    if entry.kind == "sleep" and entry.name == "sleep":
        text = _("sleep %(number)d") % said
    elif entry.number > 1:
        text = _("%(kind)s “%(name)s” (%(number)d)") % said
    else:
        text = _("%(kind)s “%(name)s”") % said
    return _("[%(iteration)d] %(text)s") % {**said, "text": text} if entry.iteration else text


def _name(entry: queries.Remembered) -> str:
    """Return the name; of a call of `ctx.storage` its key, with its scope where that is not the execution."""
    if entry.kind not in STORAGE_KINDS:
        return entry.name
    return entry.name.removeprefix(STORAGE).removeprefix(f"{EXECUTION}/")


def _kind(kind: str) -> str:
    words = {
        "step": _("step"),
        "signal": _("signal"),
        "event": _("event"),
        "approval": _("approval"),
        "child": _("child"),
        "start_child": _("start of child"),
    }
    return words.get(kind, kind)


def _came(entry: queries.Remembered) -> str:
    if entry.came == "timeout":
        return _("did not come in time")
    if entry.kind == "child" and entry.came == "refused":
        return _("did not succeed")
    return _("was refused") if entry.came == "refused" else ""
