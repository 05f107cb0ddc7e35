"""The dry run: for how many executions of a selection a verb is possible now, and why not for the others."""

from __future__ import annotations

import inspect
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from orchestration import executor
from orchestration.engine import verbs
from orchestration.engine.errors import IllegalMove, InvalidOption
from orchestration.engine.graph import suggest
from orchestration.engine.states import ExecutionStatus
from orchestration.models import Execution, Workflow
from security.actions import EXECUTION_CONTROL
from security.policies import allowed
from security.principals import Principal

from .selection import Chosen, Selection

_GIVEN = ("execution_id", "principal", "reason", "input")
_TEXT_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Group:
    """So many executions for which the verb is not possible, and the sentence that says why."""

    count: int
    why: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a dry run found. `ids` are those it is possible for: what `start` would freeze."""

    verb: str
    selected: int
    ids: tuple[uuid.UUID, ...]
    refused: tuple[Group, ...]
    selection: str  # `ids`, frozen: start it with this, and nothing that has come since is touched

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def confirm(self) -> str:
        """Return what has to be typed."""
        return f"{self.verb} {self.count}"


def preview(principal: Principal, verb: str, selection: Selection) -> Preview:
    """Do nothing but look. Raises InvalidOption and TooMany."""
    check_verb(verb)
    rows = selection.rows(principal)
    missing = len(selection.ids) - len(rows) if selection.filter is None else 0
    why_not: dict[uuid.UUID, str] = {}
    may = _may_control(principal, rows)
    for row in rows:
        if sentence := _why_not(verb, row, may):
            why_not[row.id] = sentence
    groups = Counter(why_not.values())
    if missing:
        groups[_("There is no such execution that you may see.")] = missing
    ids = tuple(row.id for row in rows if row.id not in why_not)
    refused = tuple(Group(count, why) for why, count in groups.most_common())
    return Preview(verb, len(rows) + missing, ids, refused, selection.freeze(ids, verb, principal))


def check_verb(verb: str) -> None:
    """Raise InvalidOption unless there is such a verb."""
    if verb not in executor.VERBS:
        raise InvalidOption(option="verb", value=verb, expected="one of " + ", ".join(executor.VERBS))


def check_options(verb: str, options: Any) -> dict[str, Any]:
    """Return the verb's options, checked against what its function takes. Raises InvalidOption."""
    check_verb(verb)
    if not isinstance(options, Mapping):
        raise InvalidOption(option="options", value=options, expected="an object")
    known = options_of(verb)
    for name, value in options.items():
        if name not in known:
            hint = suggest(name, known) if known else ""
            raise InvalidOption(
                option="options", value=name, expected=f'an option of "{verb}". {hint}'.strip()
            )
        _check_value(name, value, known[name].default)
    return dict(options)


def options_of(verb: str) -> dict[str, inspect.Parameter]:
    """Return what a verb's function takes besides the execution, the principal and the reason."""
    function: Callable[..., None] = executor.VERBS[verb]
    taken = inspect.signature(function).parameters
    return {name: parameter for name, parameter in taken.items() if name not in _GIVEN}


def _check_value(name: str, value: Any, default: Any) -> None:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InvalidOption(option=name, value=value, expected="true or false")
    elif value is not None and (not isinstance(value, str) or len(value) > _TEXT_LIMIT or "\0" in value):
        expected = f"a text of up to {_TEXT_LIMIT} characters"
        raise InvalidOption(option=name, value=str(value)[:80], expected=expected)


def _may_control(principal: Principal, rows: list[Chosen]) -> dict[int, bool]:
    """Return for each workflow whether the principal may control its executions."""
    found = Workflow.objects.in_bulk({row.workflow_id for row in rows})
    return {
        id: allowed(principal, EXECUTION_CONTROL, Execution(workflow=workflow))
        for id, workflow in found.items()
    }


def _why_not(verb: str, row: Chosen, may: dict[int, bool]) -> str | None:
    if not may.get(row.workflow_id):
        return _("You may not control the executions of “%(workflow)s”.") % {"workflow": row.workflow}
    try:
        verbs.check(verb, ExecutionStatus(row.status), row.id)
    except IllegalMove as no:
        return impossible(no)
    return None


def impossible(no: IllegalMove) -> str:
    """Return the sentence without the execution's id: it is shown beside it, and is the same for many."""
    return (_("It is %(state)s, so it cannot %(verb)s. %(hint)s") % no.fields).strip()
