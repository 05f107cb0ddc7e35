"""The dry run: for how many executions of a selection a verb is possible now, and why not for the others."""

from __future__ import annotations

import inspect
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from orchestration import executor, inputs, queries
from orchestration.engine import verbs
from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import IllegalMove, InvalidOption
from orchestration.engine.graph import Graph, suggest
from orchestration.engine.signals import RESERVED, check_name
from orchestration.engine.states import ExecutionStatus
from orchestration.models import Execution, Workflow
from orchestration.store.versions import graph_of
from security.principals import Principal

from .said import impossible
from .selection import AT_ONCE, Chosen, Selection, in_parts

_GIVEN = ("execution_id", "principal", "reason")
_JSON = ("input", "payload")
_NODES = 200  # that are offered to choose from
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


def preview(
    principal: Principal, verb: str, selection: Selection, options: Mapping[str, Any] | None = None
) -> Preview:
    """Do nothing but look. Raises InvalidOption, NotSerialisable, PayloadTooLarge and TooMany."""
    node = check_options(verb, options or {}).get("node")
    rows = selection.rows(principal)
    missing = len(selection.ids) - len(rows) if selection.filter is None else 0
    why_not: dict[uuid.UUID, str] = {}
    may = _may(principal, verb, rows)
    for row in rows:
        if sentence := _why_not(verb, row, may, node):
            why_not[row.id] = sentence
    groups = Counter(why_not.values())
    if missing:
        groups[_("There is no such execution that you may see.")] = missing
    ids = tuple(row.id for row in rows if row.id not in why_not)
    refused = tuple(Group(count, why) for why, count in groups.most_common())
    return Preview(verb, len(rows) + missing, ids, refused, selection.freeze(ids, verb, principal))


def nodes(principal: Principal, selection: Selection) -> list[str]:
    """Return nodes from which executions of a selection can be forked, those of most of them first. Raises TooMany."""
    versions = Counter(row.version_id for row in selection.rows(principal))
    found: Counter[str] = Counter()
    for version, count in versions.most_common():
        graph = graph_of(version)
        found.update({name: count for name in graph.nodes if not graph.is_companion(name)})
    return [name for name, _count in found.most_common(_NODES)]


def signal_names(principal: Principal, selection: Selection) -> list[str]:
    """Return the signals that executions of a selection wait for, or that their versions declare. Raises TooMany."""
    rows = selection.rows(principal)
    awaited = queries.awaited_signals(row.id for row in rows)
    declared = [name for id in {row.version_id for row in rows} for name in graph_of(id).signals]
    return list(dict.fromkeys([*awaited, *sorted(declared)]))[:_NODES]


def declared(ids: Sequence[uuid.UUID], name: str) -> Mapping[str, Any] | None:
    """Return the schema that the versions of all these executions declare for the signal; None where they differ."""
    found = [graph.signals.get(name) for graph in _graphs(ids)]
    return found[0] if found and all(each == found[0] for each in found) else None


def check_payload(ids: Sequence[uuid.UUID], options: Mapping[str, Any]) -> None:
    """Raise InvalidSignal where a version of these executions declares the signal, and its payload does not fit."""
    for graph in _graphs(ids):
        name = options["name"]
        inputs.check_signal(graph.name, name, graph.signals.get(name), options.get("payload"))


def _graphs(ids: Sequence[uuid.UUID]) -> list[Graph]:
    versions: set[int] = set()
    for some in in_parts(ids, AT_ONCE):
        rows = Execution.objects.filter(pk__in=some).order_by()
        versions.update(rows.values_list("version_id", flat=True).distinct())
    return [graph_of(version) for version in sorted(versions)]


def check_verb(verb: str) -> None:
    """Raise InvalidOption unless there is such a verb."""
    if verb not in executor.VERBS:
        raise InvalidOption(option="verb", value=verb, expected="one of " + ", ".join(executor.VERBS))


def check_options(verb: str, options: Any) -> dict[str, Any]:
    """Return the verb's options, checked against what its function takes.

    Raises InvalidOption, NotSerialisable and PayloadTooLarge.
    """
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
    for name in needed(verb):
        if not options.get(name):
            raise InvalidOption(option=name, value=options.get(name), expected=f"given, to {verb}")
    if verb == "signal" and options["name"] not in RESERVED:
        check_name(options["name"])
    if "input" in options and not options.get("node") and verb == "retry":
        raise InvalidOption(option="input", value="…", expected="left out, unless a node is named")
    return dict(options)


def needed(verb: str) -> list[str]:
    """Return the options without which the verb cannot be done."""
    return [name for name, each in options_of(verb).items() if each.default is each.empty]


def without_input(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they are told: an input is only said to be another, and a payload left out."""
    told = {name: value for name, value in options.items() if name not in _JSON}
    return told | {"edited": True} if "input" in options else told


def options_of(verb: str) -> dict[str, inspect.Parameter]:
    """Return what a verb's function takes besides the execution, the principal and the reason."""
    function: Callable[..., None] = executor.VERBS[verb]
    taken = inspect.signature(function).parameters
    return {name: parameter for name, parameter in taken.items() if name not in _GIVEN}


def _check_value(name: str, value: Any, default: Any) -> None:
    if name in _JSON:
        dump_payload(value, f"The {name}", settings.IGON7_PAYLOAD_LIMIT)
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise InvalidOption(option=name, value=value, expected="true or false")
    elif value is not None and (not isinstance(value, str) or len(value) > _TEXT_LIMIT or "\0" in value):
        expected = f"a text of up to {_TEXT_LIMIT} characters"
        raise InvalidOption(option=name, value=str(value)[:80], expected=expected)


def _may(principal: Principal, verb: str, rows: list[Chosen]) -> dict[int, bool]:
    """Return for each workflow whether the principal may do the verb to its executions."""
    found = Workflow.objects.in_bulk({row.workflow_id for row in rows})
    return {id: executor.may(principal, verb, Execution(workflow=workflow)) for id, workflow in found.items()}


def _why_not(verb: str, row: Chosen, may: dict[int, bool], node: str | None) -> str | None:
    if not may.get(row.workflow_id):
        if verb in executor.STARTING:
            return _("You may not run “%(workflow)s”.") % {"workflow": row.workflow}
        return _("You may not control the executions of “%(workflow)s”.") % {"workflow": row.workflow}
    try:
        verbs.check(verb, ExecutionStatus(row.status), row.id, node)
    except IllegalMove as no:
        return impossible(no)
    return _no_such_step(row, node) if verb == "fork" and node else None


def _no_such_step(row: Chosen, node: str) -> str | None:
    """Return one sentence for all versions that lack the node, whatever else each of them has."""
    graph = graph_of(row.version_id)
    if node in graph.nodes and not graph.is_companion(node):
        return None
    return _("Its version has no node “%(node)s” from which it could be forked.") % {"node": node}
