"""Giving events to everyone: starting executions by their triggers, and waking the bodies that wait."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import Exists, OuterRef

from orchestration import inputs, registry
from orchestration.engine.conditions import holds, why_not
from orchestration.engine.errors import InvalidInput
from orchestration.engine.grammar import parse
from orchestration.models import Event, Execution, Receipt, Trigger
from orchestration.store import clock, event_waits, versions
from orchestration.store import events as store
from orchestration.store import start as store_start
from orchestration.store.events import Kept
from orchestration.store.sql import Statement
from orchestration.store.start import Order
from security import actions, audit
from security.policies import allowed
from security.principals import Principal

from . import admission
from .acting import resource_of

log = logging.getLogger(__name__)
BUDGET = 0.5  # seconds of a sweep, and of a purge
BATCH, PURGED = 100, 500  # events that are looked at, and deleted, in one go
PURGE_EVERY = 5.0  # seconds between two purges
PATIENCE = 5.0  # seconds that a filter which is a function is given
ABSENT = dt.timedelta(minutes=1)  # after which an event does not wait any more for such a function's code
_running: set[tuple[str, str]] = set()  # filters that were asked and have not answered


def deliver_soon(ids: Iterable[uuid.UUID]) -> None:
    """Deliver these events now; inside of a transaction, once it has committed.

    Filters that are functions are left to the workers, and so is what goes wrong: the events are accepted.
    """
    wanted = list(ids)

    def deliver_now() -> None:
        _deliver(wanted)

    if wanted:
        transaction.on_commit(deliver_now, robust=True)


def _deliver(ids: list[uuid.UUID]) -> None:
    for event in _heard(store.still_open(ids, len(ids))):
        _give(event, functions=False)


def deliver_events() -> None:
    """Deliver what is left over, with the filters that are functions: for workers, which have authors' code."""
    end, seen = time.monotonic() + BUDGET, set[uuid.UUID]()
    while found := [each for each in store.still_open(limit=BATCH + len(seen)) if each.id not in seen]:
        seen.update(each.id for each in found)
        for event in _heard(found):
            _try(event)
            if time.monotonic() > end:
                return  # the next sweep goes on


def _try(event: Kept) -> None:
    try:
        _give(event, functions=True)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception('The event "%s" (%s) could not be delivered; it is tried again.', event.name, event.id)


def _heard(found: Sequence[Kept]) -> list[Kept]:
    """Return the events that somebody may listen to; those that nobody does are done with."""
    if not found:
        return []
    names = store.listened_to({each.name for each in found})
    store.settled([each.id for each in found if each.name not in names])
    return [each for each in found if each.name in names]


def _give(event: Kept, *, functions: bool) -> None:
    whole = _start(event, functions)
    woken = event_waits.bring(event)
    if whole and woken:
        store.settled([event.id])


# --- starting --------------------------------------------------------------------------------------


def _start(event: Kept, functions: bool) -> bool:
    """Start what the event's triggers start; False when some have to be asked elsewhere."""
    triggers = list(_triggers(event))
    if not triggers:
        return True
    verdicts = {trigger.pk: _why_not(trigger, event, functions) for trigger in triggers}
    with transaction.atomic():
        if not store.hold(connection, event.id):
            return False  # somebody else delivers it at this moment
        open_yet = set(_triggers(event).values_list("pk", flat=True))
        for trigger in triggers:
            if trigger.pk in open_yet and verdicts[trigger.pk] is not None:
                _begin(trigger, event, str(verdicts[trigger.pk]))
    return None not in verdicts.values()


def _triggers(event: Kept) -> Any:
    """Return the triggers of the event's name that have not been asked about it."""
    asked = Receipt.objects.filter(event=event.id).exclude(outcome=Receipt.Outcome.WOKE).values("workflow")
    rows = Trigger.objects.filter(event=event.name, declared=True).exclude(workflow__in=asked)
    return rows.select_related("workflow__current", "owner").order_by("workflow__name")


def _why_not(trigger: Trigger, event: Kept, functions: bool) -> str | None:
    """Return why the trigger starts nothing, "" when it does, None when that is to be asked elsewhere."""
    if not trigger.enabled:
        return "The trigger is not enabled."
    if event.hops >= settings.IGON7_EVENT_HOPS:
        return (
            f"{event.hops} executions, each started by an event of the one before, led to this event: the limit of"
            " IGON7_EVENT_HOPS."
        )
    if trigger.workflow.current is None:
        return "The workflow has no version yet."
    principal = principal_of(trigger)
    if principal is None or not allowed(principal, actions.WORKFLOW_RUN, trigger.workflow):
        who = principal.name if principal is not None else "The trigger's owner"
        return f"{who}, whom the trigger acts for, may not run the workflow."
    if why := admission.why_not_start(versions.graph_of(trigger.workflow.current.pk), principal):
        return why
    if trigger.function:
        return _ask(trigger, event) if functions else None
    if trigger.filter and not holds(parse(trigger.filter), event.value()):
        return f"filter: {why_not(parse(trigger.filter), event.value())}"
    return ""


def principal_of(trigger: Trigger) -> Principal | None:
    """Return whom the trigger acts for: its owner as they are now, without MFA; or the system."""
    if trigger.owner is not None:
        return Principal.for_user(trigger.owner) if trigger.owner.is_active else None
    return Principal.system(f"trigger:{trigger.event}") if trigger.as_system else None


def _ask(trigger: Trigger, event: Kept) -> str | None:
    """Ask a filter that is a function, for a while."""
    workflow = registry.get(trigger.workflow.name)
    spec = workflow.triggers.get(event.name) if workflow is not None else None
    if spec is None or spec.function is None or spec.where != trigger.function:
        late = clock.now() - event.accepted_at > ABSENT
        return f"filter: the installed code has no {trigger.function}." if late else None
    about = (trigger.workflow.name, trigger.event)
    if about in _running:
        return f"filter: {trigger.function} still does not answer for an earlier event."
    return _answer(about, lambda: spec.function(_event(event)) if spec.function else None, trigger.function)


def _answer(about: tuple[str, str], function: Callable[[], Any], name: str) -> str:
    """Run an author's function beside us: one that never ends must not hold up what else a keeper does."""
    said: list[Any] = []

    def run() -> None:
        try:
            said.append(bool(function()))
        except BaseException as error:
            said.append(f"{type(error).__name__}: {error}")
        finally:
            connections.close_all()  # those of this thread, which ends
            _running.discard(about)

    _running.add(about)
    thread = threading.Thread(target=run, name=f"igon7-filter-{name}", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not said:
        return f"filter: {name} did not answer within {PATIENCE:g} s."
    if said[0] is True:
        return ""
    return f"filter: {name} said no." if said[0] is False else f"filter: {name} failed: {said[0]}"


def _event(event: Kept) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.envelope())
    return found


def _begin(trigger: Trigger, event: Kept, why: str) -> None:
    """Start the workflow's present version with the event's data, or note why not."""
    workflow, version = trigger.workflow, trigger.workflow.current
    id = None
    if not why and version is not None:
        try:
            text = inputs.check(workflow.name, version.definition.get("input_schema"), event.value())
            id = _start_one(trigger, event, text)
        except InvalidInput as error:
            why = str(error)
    outcome = Receipt.Outcome.STARTED if id else Receipt.Outcome.NOT
    about = {"event_id": event.id, "workflow": workflow, "execution_id": id, "why": why[:2000]}
    Receipt.objects.create(**about, outcome=outcome, at=clock.now())


def _start_one(trigger: Trigger, event: Kept, text: str) -> uuid.UUID:
    principal, version = principal_of(trigger), trigger.workflow.current
    assert principal is not None
    assert version is not None
    order = Order(
        text,
        principal.to_json(),
        principal.name,
        principal.user_id,
        tags=tuple(trigger.workflow.tags),
        event=event.told(),
    )

    def audited(ids: list[uuid.UUID]) -> list[Statement]:
        resources = [resource_of(id, trigger.workflow.name) for id in ids]
        about = {"version": version.number, "event": str(event.id), "name": event.name}
        return [audit.statement(connection, principal, actions.WORKFLOW_RUN, resources, about)]

    return store_start.start(version, [order], also=audited)[0].id


def purge() -> int:
    """Delete events older than IGON7_EVENT_RETENTION, for a while; return how many.

    What an execution that has not ended was started by stays.
    """
    old = clock.now() - dt.timedelta(seconds=settings.IGON7_EVENT_RETENTION)
    started = {"receipts__event": OuterRef("pk"), "receipts__outcome": Receipt.Outcome.STARTED}
    goes_on = Exists(Execution.objects.filter(finished_at=None, **started))
    rows = Event.objects.filter(~goes_on, accepted_at__lt=old, delivered_at__isnull=False).order_by(
        "accepted_at"
    )
    end, count = time.monotonic() + BUDGET, 0
    while time.monotonic() < end and (ids := list(rows.values_list("pk", flat=True)[:PURGED])):
        with transaction.atomic():
            Receipt.objects.filter(event__in=ids).delete()
            Event.objects.filter(pk__in=ids).delete()
        count += len(ids)
    return count
