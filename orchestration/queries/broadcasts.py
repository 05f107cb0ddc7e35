"""Events to everyone: the list, one of them with what became of it, and what starts workflows."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import urlencode

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestration.engine.conditions import holds, why_not
from orchestration.engine.errors import InvalidOption, UnknownEvent
from orchestration.models import Event, Receipt, Trigger, Wait, Workflow
from orchestration.store.event_waits import sought
from security.policies import visible_to
from security.principals import Principal

from .events import instant
from .filters import first_id, last_id, moment
from .lists import executions, workflows

JSON = dict[str, Any]
FATES = ("started", "woke", "nobody", "open")
TEXT_LIMIT = 200
WAITING = 20  # bodies that wait for other events of the name, shown with one
_UNPRINTABLE = re.compile(r"[\x00-\x1f\ud800-\udfff]")
RAN = {Receipt.Outcome.STARTED.value, Receipt.Outcome.WOKE.value}


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; everything empty means all. `fate` is what became of one: started, woke, nobody or open."""

    name: str = ""
    source: str = ""
    fate: str = ""
    execution: str = ""  # which emitted it
    since: str = ""
    until: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> Self:
        """Read a query string's values. Raises InvalidOption, naming the filter."""
        found = cls(**{field.name: str(query.get(field.name) or "").strip() for field in fields(cls)})
        for key, value in found.pairs():
            if len(value) > TEXT_LIMIT or _UNPRINTABLE.search(value):
                expected = f"a text of at most {TEXT_LIMIT} characters without control characters"
                raise InvalidOption(option=key, value=value[:TEXT_LIMIT], expected=expected)
        if found.fate and found.fate not in FATES:
            raise InvalidOption(option="fate", value=found.fate, expected="one of " + ", ".join(FATES))
        for key, value in (("since", found.since), ("until", found.until)):
            if value:
                moment(value, key)
        if found.execution:
            _as_uuid("execution", found.execution)
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """Return every (key, value) of the query string."""
        return [(field.name, value) for field in fields(self) if (value := getattr(self, field.name))]

    def to_query(self) -> str:
        return urlencode(self.pairs())

    def apply(self, rows: QuerySet[Event]) -> QuerySet[Event]:
        """Narrow the queryset."""
        equal = {"name": self.name, "source": self.source}
        rows = rows.filter(**{key: value for key, value in equal.items() if value})
        if self.execution:
            rows = rows.filter(execution=_as_uuid("execution", self.execution))
        if self.since:
            at = moment(self.since, "since")
            rows = rows.filter(accepted_at__gte=at, id__gte=first_id(at))
        if self.until:
            at = moment(self.until, "until")
            rows = rows.filter(accepted_at__lt=at, id__lte=last_id(at))
        return rows.filter(_fate(self.fate)) if self.fate else rows


KEYS = tuple(field.name for field in fields(EventFilter))


def _fate(fate: str) -> Q:
    given = Receipt.objects.filter(event=OuterRef("pk"))
    if fate == "open":
        return Q(delivered_at=None)
    if fate == "nobody":
        return Q(delivered_at__isnull=False) & ~Q(Exists(given.filter(outcome__in=RAN)))
    return Q(Exists(given.filter(outcome=fate)))


def _as_uuid(option: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidOption(option=option, value=text, expected="a whole id") from None


# --- events ----------------------------------------------------------------------------------------


def events(principal: Principal, filters: EventFilter | None = None) -> QuerySet[Event]:
    """Return the events that the principal may view, the newest first."""
    seen = visible_to(principal, Event.objects.select_related("workflow"))
    return (filters.apply(seen) if filters else seen).order_by("-id")


def event(principal: Principal, id: uuid.UUID | str) -> Event:
    """Return one event. Raises UnknownEvent, also for one not to be seen."""
    try:
        key = id if isinstance(id, uuid.UUID) else uuid.UUID(str(id))
    except ValueError:
        raise UnknownEvent(id=id) from None
    found = events(principal).filter(pk=key).first()
    if found is None:
        raise UnknownEvent(id=key)
    return found


@dataclass(frozen=True, slots=True)
class Fate:
    """How many executions an event has started, how many bodies it woke, and how many triggers it did not pass."""

    started: int = 0
    woke: int = 0
    refused: int = 0
    is_open: bool = False

    @property
    def word(self) -> str:
        """Return "open", "started", "woke" or "nobody"."""
        if self.is_open:
            return "open"
        return "started" if self.started else "woke" if self.woke else "nobody"

    def __str__(self) -> str:
        said = []
        if self.started:
            count = self.started
            said.append(ngettext("started %d execution", "started %d executions", count) % count)
        if self.woke:
            said.append(ngettext("woke %d node", "woke %d nodes", self.woke) % self.woke)
        if self.is_open:
            said.append(_("still being delivered"))
        elif not said:
            said.append(_("no trigger let it through") if self.refused else _("nobody listened"))
        return ", ".join(said)


def fates(rows: Iterable[Event]) -> dict[uuid.UUID, Fate]:
    """Return what became of each of the events."""
    listed = list(rows)
    given = Receipt.objects.filter(event__in=[row.pk for row in listed]).values_list("event", "outcome")
    counts: dict[uuid.UUID, dict[str, int]] = {row.pk: {} for row in listed}
    for id, outcome, count in given.annotate(Count("id")):
        counts[id][outcome] = count
    return {row.pk: _fate_of(counts[row.pk], row.delivered_at is None) for row in listed}


def _fate_of(counts: Mapping[str, int], is_open: bool) -> Fate:
    return Fate(counts.get("started", 0), counts.get("woke", 0), counts.get("not", 0), is_open)


def receipts(principal: Principal, event: Event) -> QuerySet[Receipt]:
    """Return what became of the event, as far as the principal may view the workflows."""
    rows = Receipt.objects.filter(event=event).select_related("workflow").order_by("id")
    return rows.filter(workflow__in=workflows(principal).order_by().values("pk"))


def receipt_count(event: Event) -> int:
    """Return how much became of the event altogether."""
    return Receipt.objects.filter(event=event).count()


def received(execution: uuid.UUID, limit: int) -> list[Receipt]:
    """Return the events that have started an execution or woken its bodies, the first ones, without their data."""
    rows = Receipt.objects.filter(execution=execution).select_related("event").defer("event__data")
    return list(rows.order_by("id")[:limit])


def emitted(execution: uuid.UUID, limit: int) -> list[Event]:
    """Return the events that an execution's bodies have emitted, the first ones, without their data."""
    return list(Event.objects.filter(execution=execution).defer("data").order_by("id")[:limit])


def waiting_for(principal: Principal, row: Event) -> list[tuple[Wait, str]]:
    """Return bodies that wait for an event of this name now, each with why this was not the one."""
    parked = {"node_run__status": "waiting", "node_run__superseded": False}
    seen = executions(principal).order_by().values("pk")
    waits = Wait.objects.filter(kind="event", name=row.name, execution__in=seen, **parked)
    found = waits.select_related("execution__workflow", "node_run").order_by("id")[:WAITING]
    return [(wait, _not_for(wait, row)) for wait in found]


def _not_for(wait: Wait, row: Event) -> str:
    asked = sought(json.dumps(wait.about) if wait.about else None)
    if row.accepted_at < asked.least(wait.execution.started_at, wait.since):
        return _("it came before what the wait looks back for")
    if asked.condition is not None and not holds(asked.condition, row.data):
        return why_not(asked.condition, row.data)
    return _("its node was given this event before") if row.delivered_at else _("it is still being delivered")


def event_names(principal: Principal, limit: int = 100) -> list[str]:
    """Return names of events that workflows which the principal may view listen to."""
    rows = triggers(principal).order_by("event").values_list("event", flat=True)
    return list(rows.distinct()[:limit])


def broadcast_json(row: Event, fate: Fate, *, data: bool = True) -> JSON:
    """Return an event as the API and the commands tell it; its `data`, which may be long, where it is asked for."""
    shown = _broadcast(row, fate)
    return shown | {"data": row.data} if data else shown


def _broadcast(row: Event, fate: Fate) -> JSON:
    return {
        "id": str(row.pk),
        "name": row.name,
        "source": row.source,
        "event_id": row.sent_id,
        "subject": row.subject or None,
        "attributes": row.attributes,
        "sender": row.sender,
        "execution": str(row.execution_id) if row.execution_id else None,
        "node": row.node or None,
        "hops": row.hops,
        "accepted_at": instant(row.accepted_at),
        "delivered_at": instant(row.delivered_at),
        "started": fate.started,
        "woke": fate.woke,
        "not_started": fate.refused,
        "fate": fate.word,
    }


def receipt_json(row: Receipt) -> JSON:
    """Return what became of an event somewhere."""
    return {
        "outcome": row.outcome,
        "workflow": row.workflow.name,
        "execution": str(row.execution_id) if row.execution_id else None,
        "node": row.node or None,
        "index": row.index if row.index >= 0 else None,
        "why": row.why or None,
        "at": instant(row.at),
    }


# --- triggers --------------------------------------------------------------------------------------


def triggers(principal: Principal) -> QuerySet[Trigger]:
    """Return what starts workflows that the principal may view, as their code says today."""
    return _declared().filter(workflow__in=workflows(principal).order_by().values("pk"))


def triggers_of(workflow: Workflow) -> QuerySet[Trigger]:
    """Return what starts the workflow, as its code says today."""
    return _declared().filter(workflow=workflow)


def _declared() -> QuerySet[Trigger]:
    rows = Trigger.objects.filter(declared=True).select_related("workflow", "owner")
    return rows.order_by("workflow__name", "event")


def trigger_json(row: Trigger) -> JSON:
    """Return a trigger as the API and the commands tell it."""
    return {
        "workflow": row.workflow.name,
        "event": row.event,
        "filter": row.filter or None,
        "function": row.function or None,
        "enabled": row.enabled,
        "owner": row.owner.get_username() if row.owner else ("system" if row.as_system else None),
        "changed_by": row.changed_by or None,
        "changed_at": instant(row.changed_at),
    }
