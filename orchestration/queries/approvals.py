"""What waits for an approval, of whom, and what was decided. Who may decide is said here alone, and in the query."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.db.models.lookups import Exact

from orchestration.engine.states import NodeStatus
from orchestration.guards import decidable
from orchestration.models import JournalEntry, Wait
from orchestration.models.messaging import ASKING
from security.principals import Principal

from .lists import executions
from .lookups import ListLength, Lists

RECENT = 2_000


def approvals(principal: Principal) -> QuerySet[Any]:
    """Return what asks, of what the principal is asked or may see: what is due first stands first, then the oldest.

    Each is told `asked` (named, or of a named role; where none is named, whoever may control it), `own` (started by
    the principal, who therefore cannot decide) and `seen` (the principal may view its execution). Whoever is asked sees
    it, though they may not view the execution.
    """
    return _told(principal).filter(Q(asked=True) | Q(seen=True))


def inbox(principal: Principal) -> QuerySet[Any]:
    """Return of `approvals` what the principal is asked."""
    return _told(principal).filter(_asked(principal))


def to_decide(principal: Principal) -> QuerySet[Wait]:
    """Return what the principal may decide about, in no order."""
    return _asking().filter(_asked(principal)).exclude(_own(principal))


def is_release(wait: Wait) -> bool:
    """Say whether it is a node that waits to be released, not a body that asks."""
    return wait.kind == "release"


def _told(principal: Principal) -> QuerySet[Any]:
    seen = Q(execution__in=executions(principal).order_by().values("pk"))
    told = {"asked": _asked(principal), "own": _own(principal), "seen": seen}
    rows = _asking().annotate(**{name: _flag(condition) for name, condition in told.items()})
    return rows.order_by(F("wake_at").asc(nulls_last=True), "pk")


def _own(principal: Principal) -> Q:
    if principal.user_id is None:
        return Q(pk__in=[])
    # Whoever a node is to run for may release it: what it asks for is a role, or a second factor, not another person.
    return Q(execution__started_by=principal.user_id, kind="approval")


def _asking() -> QuerySet[Wait]:
    parked = {"node_run__status": NodeStatus.WAITING, "node_run__superseded": False}
    rows = Wait.objects.filter(kind__in=ASKING, **parked).select_related("execution__workflow", "node_run")
    return rows.defer("execution__output", "execution__error", "node_run__result", "node_run__error")


def _asked(principal: Principal) -> Q:
    nobody_named = Q(*(Exact(ListLength(F("about"), key), 0) for key in ("users", "roles")))
    found = nobody_named & Q(execution__workflow__in=decidable(principal).values("pk"))
    if principal.user_id is not None:
        found |= nobody_named & Q(kind="release", execution__started_by=principal.user_id)
    person = principal.person()
    if person is None or not person.is_active:
        return found
    roles = Group.objects.filter(Lists(OuterRef("about"), "roles", F("name")), user=person.pk)
    return found | Q(Lists(F("about"), "users", Value(person.get_username()))) | Q(Exists(roles))


def _flag(condition: Q) -> Case:
    return Case(When(condition, then=Value(True)), default=Value(False))


# --- what was decided ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of an approval; `by` is empty where nobody decided in time."""

    entry: JournalEntry
    seen: bool

    @property
    def name(self) -> str:
        return self.entry.key.rpartition("#")[0] or self.entry.node_run.node

    @property
    def came(self) -> str:
        return {"value": "approved", "refused": "rejected"}.get(self.entry.came, "overdue")

    @property
    def said(self) -> dict[str, Any]:
        """Return its "by", "comment" and "form"."""
        return self.entry.value or {}


def decided(principal: Principal, limit: int = 20) -> list[Decision]:
    """Return the last decisions in executions that the principal may view, and those that they took themselves.

    Of all people's decisions the last RECENT are looked at: an inbox asks every few seconds.
    """
    seen = Q(node_run__execution__in=executions(principal).order_by().values("pk"))
    recent = JournalEntry.objects.filter(kind__in=ASKING).order_by("-id").values("pk")[:RECENT]
    rows = JournalEntry.objects.filter(pk__in=recent)
    rows = rows.annotate(by=Cast(KeyTextTransform("by", "value"), TextField()), seen=_flag(seen))
    rows = rows.filter(Q(seen=True) | Q(by=principal.name)).select_related("node_run__execution__workflow")
    light = ("input", "output", "error")
    rows = rows.defer(
        *(f"node_run__execution__{name}" for name in light), "node_run__result", "node_run__input"
    )
    # A retry copies what is kept of an approval to its new row: it was decided once.
    found = {_which(row): row for row in reversed(rows.order_by("-id")[: 2 * limit])}
    return [Decision(row, row.seen) for row in reversed(found.values())][:limit]


def _which(row: JournalEntry) -> tuple[Any, ...]:
    return row.node_run.execution_id, row.node_run.node, row.node_run.index, row.key, row.at


def decision_of(wait: Wait) -> Decision | None:
    """Return what came of a wait."""
    return _last(JournalEntry.objects.filter(node_run=wait.node_run_id, key=wait.key))


def last_decision(execution_id: uuid.UUID, node: str) -> Decision | None:
    """Return what came of the last approval that a node asked for."""
    return _last(JournalEntry.objects.filter(node_run__execution=execution_id, node_run__node=node))


def _last(rows: QuerySet[JournalEntry]) -> Decision | None:
    row = rows.filter(kind__in=ASKING).order_by("-id").first()
    return Decision(row, True) if row else None
