"""Events of a run in a test: sent by the test, or by bodies, and what they start."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from orchestration import executor
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import InvalidOption
from orchestration.engine.graph import suggest
from orchestration.models import Event, Execution, Receipt, Trigger
from orchestration.store import versions
from security.principals import Principal

SENDER = Principal.system("test")


def let_events_start(workflows: Sequence[Workflow], principal: Principal) -> None:
    """Enable the triggers about which nobody has decided, to act for whom the run acts."""
    for workflow in workflows:
        row = versions.version_of(workflow).workflow
        for trigger in Trigger.objects.filter(workflow=row, declared=True, changed_at=None):
            owner = principal.name if principal.user_id is not None else None
            executor.enable_trigger(workflow.name, trigger.event, principal=SENDER, owner=owner)


def send(event: Any) -> Event:
    """Send one event, (name, data) or a name, and deliver it, as a worker's sweep does."""
    name, data = (event, None) if isinstance(event, str) else event
    accepted = executor.emit_event(name, data, principal=SENDER)
    executor.deliver_events()
    return Event.objects.get(pk=accepted.id)


def send_all(events: Iterable[Any]) -> None:
    for event in events:
        send(event)


def start_by(workflow: Workflow, event: Any) -> uuid.UUID:
    """Let an event start the workflow; return the execution's id. Raises AssertionError, which says why not."""
    name = event if isinstance(event, str) else event[0]
    if name not in workflow.triggers:
        expected = f"one that starts {workflow.name}. {suggest(str(name), workflow.triggers)}"
        raise InvalidOption(option="event", value=name, expected=expected)
    receipt = Receipt.objects.get(event=send(event), workflow__name=workflow.name)
    if receipt.execution_id is None:
        raise AssertionError(f'The event "{name}" does not start {workflow.name}: {receipt.why}')
    return receipt.execution_id


def may_still_start() -> bool:
    """Say whether something that an event has started goes on, and could, or an event is still to be delivered."""
    if Event.objects.filter(delivered_at=None).exists():
        return True
    started = Receipt.objects.filter(outcome=Receipt.Outcome.STARTED).values("execution")
    return Execution.objects.filter(pk__in=started, finished_at=None).exists()
