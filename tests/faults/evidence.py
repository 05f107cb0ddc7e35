"""What a drill leaves behind, to be judged: the ledger, which the bodies wrote, and what igon7 did: log and rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestration.models import ExecutionEvent, NodeRun
from security.models import AuditRecord
from tests.cluster import events
from tests.ledger import Entry

from .workflows import ENDS, Ends

Name = tuple[
    uuid.UUID, str, str, int, int
]  # of a node run: execution, node, whom it rescues, generation, item
Act = tuple[str, int | None]  # an action, and the transaction in which it was written down (PostgreSQL)


@dataclass(frozen=True, slots=True)
class Runnable:
    """A node run that could run when a fault ended, with its fence then; times are ticks of the monotonic clock."""

    run: int
    fence: int
    name: str
    fault: int
    seen: float
    due: float
    until: float


@dataclass(slots=True)
class Evidence:
    """`runs` are node runs by their id, one for each node and generation."""

    expected: dict[uuid.UUID, str]  # accepted starts, and how each must end
    entries: list[Entry]
    runnable: list[Runnable] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)  # when each began
    workers: list[tuple[int, int]] = field(default_factory=list)  # of each cluster: there, wanted
    # Processes that slept, and when they were woken.
    woken: list[tuple[int, float]] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[uuid.UUID, list[dict[str, Any]]] = field(default_factory=dict)
    runs: dict[int, NodeRun] = field(default_factory=dict)
    told: dict[uuid.UUID, list[Act]] = field(default_factory=dict)  # acts, as the log has them
    audited: dict[uuid.UUID, list[Act]] = field(default_factory=dict)

    def collect(self) -> Evidence:
        """Read the logs and rows of all that was started, and what the audit has about it."""
        ids = list(self.expected)
        self.logs = {id: events(id) for id in ids}
        rows = NodeRun.objects.filter(execution__in=ids).select_related("execution__workflow")
        self.runs = {run.pk: run for run in rows}
        self.told, self.audited = {id: [] for id in ids}, {id: [] for id in ids}
        reopened: dict[uuid.UUID, Any] = {}
        for event in ExecutionEvent.objects.filter(execution__in=ids).order_by("execution", "seq"):
            told = self.told[event.execution_id]
            if event.type == "execution.reopened":
                reopened[event.execution_id] = event.at
            if (action := _action(event)) is not None:
                if action == "execution.attend" and reopened.get(event.execution_id) == event.at:
                    told.pop()  # one act: the decision has reopened it
                told.append((action, event.txid))
        about = AuditRecord.objects.filter(
            resource_type="orchestration.execution",
            resource_id__in=[str(id) for id in ids],
            outcome="allowed",
        )
        for record in about.order_by("pk"):
            self.audited[uuid.UUID(record.resource_id)].append((record.action, record.txid))
        return self

    def starts(self, *what: str) -> dict[int, list[Entry]]:
        """Return the bodies' begins by node run (or their other words)."""
        found: dict[int, list[Entry]] = {run: [] for run in self.runs}
        for entry in self.entries:
            if entry.what in (what or ("start",)) and entry.about["run"] in found:
                found[entry.about["run"]].append(entry)
        return found

    def in_runs(self) -> Iterator[tuple[Name, dict[str, Any]]]:
        """Yield each line of the logs about a node, with the node run's name."""
        for id, log in self.logs.items():
            generation = 1
            for event in log:
                if event["type"] == "execution.reopened":
                    generation = event["data"]["generation"]
                if event["node"] is not None:
                    item = -1 if event.get("index") is None else event["index"]
                    yield (id, event["node"], event["data"].get("for", ""), generation, item), event


def name_of(run: NodeRun) -> Name:
    return run.execution_id, run.node, run.for_node, run.generation, run.index


def must(run: NodeRun) -> Ends:
    """Return how the run's workflow must end."""
    return ENDS.get(run.execution.workflow.name, Ends())


_ACTIONS = {
    "execution.started": "workflow.run",
    "execution.reopened": "execution.retry",
    "execution.cancelling": "execution.cancel",
    "execution.terminated": "execution.terminate",
    "execution.paused": "execution.pause",
    "execution.resumed": "execution.resume",
    "signal.received": "execution.signal",
}


def _action(event: ExecutionEvent) -> str | None:
    """Return which act by a person the line tells of."""
    if "decision" in event.data:
        return "execution.attend"
    if event.type == "execution.started" and "from" in event.data:
        return "execution.fork"
    if event.type != "execution.started" and "by" not in event.data:
        return None  # igon7's own, as at a deadline
    return _ACTIONS.get(event.type)
