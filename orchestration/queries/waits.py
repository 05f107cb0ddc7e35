"""What parked nodes wait for, in words."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Count, F, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from orchestration.engine.conditions import equal_to
from orchestration.engine.states import NodeStatus
from orchestration.models import Child, NodeRun, Wait
from orchestration.models.messaging import ASKING

from .events import instant
from .sentences import COUNTED, LEFT, SINCE, Why, spell_at

FEW = 500  # node runs that are looked up by their keys
MATCH_LIMIT = 60  # characters
NAMED = 2  # waits of one body that a sentence names
OF_EACH = (
    2  # parked nodes of a large execution that a list looks at: one to name, and whether there are others
)


def is_parked(run: NodeRun) -> bool:
    """Say whether its body waits; a node that waits to be rescued has an error, a map's own row its items."""
    return run.status == NodeStatus.WAITING and run.error is None and run.items is None


def waits_of(runs: Iterable[NodeRun]) -> dict[int, list[Wait]]:
    """Return what each of these node runs waits for, the oldest wait first; one query, none where none is parked."""
    parked = {run.pk: run.execution_id for run in runs if is_parked(run)}
    if not parked:
        return {}
    found: dict[int, list[Wait]] = {}
    few = {"node_run__in": list(parked)} if len(parked) <= FEW else {"execution__in": set(parked.values())}
    for wait in Wait.objects.filter(**few).order_by("pk"):
        if wait.node_run_id in parked:
            found.setdefault(wait.node_run_id, []).append(wait)
    count_children([wait for waits in found.values() for wait in waits if wait.kind == "child"])
    return found


def count_children(waits: Sequence[Wait]) -> None:
    """Put into the waits for children how many of how many are still to end: {"left", "of"}; one query."""
    if not waits:
        return
    rows = Child.objects.filter(
        node_run__in={wait.node_run_id for wait in waits}, awaited=True, replaced=False
    )
    counted = rows.values_list("node_run", "key").annotate(
        of=Count("pk"), left=Count("pk", filter=Q(open=True))
    )
    known = {(run, key): {"left": left, "of": of} for run, key, of, left in counted}
    for wait in waits:
        wait.about = known.get((wait.node_run_id, wait.key))


def some_parked(executions: Collection[uuid.UUID]) -> list[int]:
    """Return a few parked node runs of each of these executions, those that have waited for the longest."""
    live = {"node_run__status": NodeStatus.WAITING, "node_run__superseded": False}
    place = Window(RowNumber(), partition_by=F("execution_id"), order_by="id")
    rows = Wait.objects.filter(execution__in=executions, **live).annotate(place=place)
    return list(rows.filter(place__lte=OF_EACH).values_list("node_run", flat=True))


def why_parked(waits: Sequence[Wait]) -> Why:
    """Return what a parked node waits for, since when and for how much longer."""
    return _why(waits, "")


def why_some_parked(runs: Sequence[NodeRun], waits: Mapping[int, Sequence[Wait]]) -> Why:
    """Return what parked nodes wait for: of the one that a person can help, else of that which goes on first."""
    run = min(runs, key=lambda run: _first(waits.get(run.pk, ())))
    why = _why(waits.get(run.pk, ()), run.node)
    if len(runs) == 1:
        return why
    others = _("Others wait as well.")
    return Why(f"{why.sentence} {others}", why.node, why.until, why.since)


def _first(waits: Sequence[Wait]) -> tuple[Any, ...]:
    until = _until(waits)
    return not any(wait.kind in ASKING for wait in waits), until is None, until or 0


def _why(waits: Sequence[Wait], node: str) -> Why:
    if not waits:
        return Why(_("Waiting at “%(node)s”.") % {"node": node} if node else _("Waiting."), node)
    until = _until(waits)
    counted = until is not None and until - timezone.now() < COUNTED
    said = {"node": node, "what": _several(waits), "since": SINCE, "left": LEFT}
    said["until"] = spell_at(until) if until else ""
    sleeps = all(wait.kind == "sleep" for wait in waits)
    text = _sentence(bool(node), sleeps, counted, until is not None)
    return Why(text % said, node, until if counted else None, min(wait.since for wait in waits))


def _sentence(named: bool, sleeps: bool, counted: bool, ends: bool) -> str:
    # Whole sentences, so that each language may put them in its own order.
    if sleeps and named:
        return (
            _("“%(node)s” sleeps%(since)s, %(left)s left.")
            if counted
            else _("“%(node)s” sleeps%(since)s, until %(until)s.")
        )
    if sleeps:
        return _("Sleeps%(since)s, %(left)s left.") if counted else _("Sleeps%(since)s, until %(until)s.")
    if named and not ends:
        return _("“%(node)s” waits for %(what)s%(since)s.")
    if named:
        return (
            _("“%(node)s” waits for %(what)s%(since)s, %(left)s left.")
            if counted
            else _("“%(node)s” waits for %(what)s%(since)s, until %(until)s.")
        )
    if not ends:
        return _("Waits for %(what)s%(since)s.")
    return (
        _("Waits for %(what)s%(since)s, %(left)s left.")
        if counted
        else _("Waits for %(what)s%(since)s, until %(until)s.")
    )


def _until(waits: Sequence[Wait]) -> Any:
    return min((wait.wake_at for wait in waits if wait.wake_at is not None), default=None)


def _several(waits: Sequence[Wait]) -> str:
    names = [spell_wait(wait.kind, wait.name, wait.about) for wait in waits[:NAMED]]
    more = len(waits) - NAMED
    if more <= 0:
        return _(" and ").join(names)
    said = {"names": ", ".join(names), "count": more}
    return _("%(names)s and %(count)d more") % said


def wait_json(wait: Wait) -> dict[str, Any]:
    """Return a wait as the API shows it."""
    shown = {"kind": wait.kind, "name": wait.name, "about": wait.about}
    return shown | {"since": instant(wait.since), "until": instant(wait.wake_at)}


def spell_told(wait: Mapping[str, Any]) -> str:
    """Return what a line of the log says is waited for."""
    count = wait.get("count")
    about = {"left": count, "of": count} if count else None
    return spell_wait(str(wait.get("kind", "")), str(wait.get("name", "")), about)


def spell_wait(kind: str, name: str, about: Any = None) -> str:
    """Return what is waited for: "the signal “paid”", "approver to decide about “go live”"."""
    if kind == "signal":
        return _("the signal “%(name)s”") % {"name": name}
    if kind == "event":
        match = _match((about or {}).get("match"))
        return _("the event “%(name)s”") % {"name": name} + (f" ({match})" if match else "")
    if kind == "sleep":
        return _("the end of a sleep")
    if kind == "child":
        return _children(name, about or {"left": 1, "of": 1})
    if kind == "release":
        return _release(name, about or {})
    if kind != "approval":
        return _("%(kind)s “%(name)s”") % {"kind": kind, "name": name}
    if about is None:
        return _("a decision about “%(name)s”") % {"name": name}
    names = [*about.get("users", ()), *about.get("roles", ())]
    said = {"name": name, "who": ", ".join(names) or _("whoever may control it")}
    return _("%(who)s to decide about “%(name)s”") % said


def _release(name: str, about: Mapping[str, Any]) -> str:
    names = [*about.get("users", ()), *about.get("roles", ())]
    said = {"name": name, "who": ", ".join(names) or _("whoever may control it")}
    if about.get("mfa"):
        return _("%(who)s, with a second factor, to release “%(name)s”") % said
    return _("%(who)s to release “%(name)s”") % said


def _match(match: str | Mapping[str, Any] | None) -> str:
    """Return which events of the name are waited for, in short."""
    text = equal_to(match).text if isinstance(match, Mapping) else match or ""
    return text if len(text) <= MATCH_LIMIT else f"{text[:MATCH_LIMIT]}…"


def _children(name: str, about: dict[str, int]) -> str:
    numbers = {key: number_format(count, force_grouping=True) for key, count in about.items()}
    said = {"name": name, **numbers}
    if about["of"] == 1:
        return _("its child “%(name)s”") % said
    return (
        _("%(left)s of %(of)s children “%(name)s”") % said
        if name
        else _("%(left)s of %(of)s children") % said
    )
