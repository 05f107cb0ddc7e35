"""The "why" line: one sentence wherever something is not moving."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestration.engine.states import NODE_LIVE, ExecutionStatus, NodeStatus
from orchestration.models import Execution, NodeRun
from orchestration.store.versions import graph_of

from .lists import held_by, live_worker_nodes
from .nodes import RETRYING, display_status


def why(execution: Execution, runs: Sequence[NodeRun]) -> str | None:
    """Return why the execution does not move, or ended badly; None when it moves or has ended well."""
    status = ExecutionStatus(execution.status)
    if status in _SENTENCES:
        return _SENTENCES[status](execution, runs)
    return _why_nothing_runs(execution, runs) if status is ExecutionStatus.RUNNING else None


def culprit(execution: Execution, runs: Sequence[NodeRun]) -> str | None:
    """Return the node that the sentence of `why` is about, the first failing one before all."""
    if execution.error and execution.error.get("node"):
        return str(execution.error["node"])
    for sought in (NodeStatus.FAILED, NodeStatus.BLOCKED, NodeStatus.ATTENTION):
        if found := next((run.node for run in runs if run.status == sought), None):
            return found
    return None


def retry_sentence(execution: Execution, run: NodeRun, now: datetime) -> str:
    """Return "Retrying in 12 s (attempt 3 of 5) after TimeoutError"."""
    said = {
        "node": run.node,
        "delay": _spell(max(0.0, (run.available_at - now).total_seconds())),
        "attempt": run.attempt + 1,
        "error": _type_of(run.error),
    }
    spec = graph_of(execution.version_id).nodes.get(run.node)
    if spec is None or spec.retry is None:
        return _("Retrying “%(node)s” in %(delay)s (attempt %(attempt)d) after %(error)s") % said
    said["of"] = spec.retry.max_attempts
    return _("Retrying “%(node)s” in %(delay)s (attempt %(attempt)d of %(of)d) after %(error)s") % said


def _why_nothing_runs(execution: Execution, runs: Sequence[NodeRun]) -> str | None:
    now = timezone.now()
    called = {run.for_node for run in runs if run.status in NODE_LIVE}
    # A node that waits for its fallback or boundary is not what holds things up.
    shown = [(display_status(run, now), run) for run in runs if run.node not in called]
    if any(run.status == NodeStatus.RUNNING for run in runs):
        return None
    for sought, sentence in _HELD_UP:
        if found := [run for status, run in shown if status == sought]:
            return sentence(execution, found, now)
    ready = [run for status, run in shown if status == NodeStatus.READY]
    return _why_ready(ready) if ready else None


def _why_ready(ready: Sequence[NodeRun]) -> str | None:
    workers = list(live_worker_nodes().filter(draining=False))
    if not workers:
        return _("No worker is running. Start one with: manage.py worker")
    queues = {run.queue for run in ready}
    serving = [worker for worker in workers if queues & set(worker.queues)]
    if not serving:
        return _("Queued: no running worker serves the queue “%(queue)s”.") % {"queue": min(queues)}
    slots = sum(worker.slots for worker in serving)
    if sum(held_by(serving).values()) < slots:
        return None  # about to be claimed
    return ngettext("Queued: the only worker is busy.", "Queued: all %(slots)d workers are busy.", slots) % {
        "slots": slots
    }


def _retrying(execution: Execution, found: Sequence[NodeRun], now: datetime) -> str:
    return retry_sentence(execution, min(found, key=lambda run: run.available_at), now)


def _waiting(_execution: Execution, found: Sequence[NodeRun], _now: datetime) -> str:
    return _("Waiting at “%(node)s”.") % {"node": found[0].node}


def _attention(_execution: Execution, found: Sequence[NodeRun], _now: datetime) -> str:
    return _("“%(node)s” needs attention: %(reason)s") % {
        "node": found[0].node,
        "reason": message_of(found[0].error),
    }


_HELD_UP = ((NodeStatus.ATTENTION, _attention), (RETRYING, _retrying), (NodeStatus.WAITING, _waiting))


def _queued(_execution: Execution, _runs: Sequence[NodeRun]) -> str:
    return _("Queued: waiting to be admitted.")


def _paused(execution: Execution, _runs: Sequence[NodeRun]) -> str:
    return _sentence(_("Paused"), execution.cause)


def _blocked(execution: Execution, runs: Sequence[NodeRun]) -> str:
    run = next((run for run in runs if run.status == NodeStatus.BLOCKED), None)
    if run is None:
        return _("Blocked.")
    return _("Blocked at “%(node)s”: %(reason)s") % {"node": run.node, "reason": message_of(run.error)}


def _cancelling(execution: Execution, runs: Sequence[NodeRun]) -> str:
    running = sum(run.status == NodeStatus.RUNNING for run in runs)
    waiting = ngettext("%(count)d node is still stopping.", "%(count)d nodes are still stopping.", running)
    return f"{_sentence(_('Cancelling'), execution.cause)} {waiting % {'count': running}}"


def _compensating(_execution: Execution, _runs: Sequence[NodeRun]) -> str:
    return _("Undoing what had succeeded.")


def _failed(execution: Execution, _runs: Sequence[NodeRun]) -> str:
    error = execution.error or {}
    said = {"node": error.get("node"), "type": error.get("type"), "message": message_of(error)}
    if not said["node"]:
        return str(said["message"])
    return _("“%(node)s” failed: %(type)s: %(message)s") % said


def _cancelled(execution: Execution, _runs: Sequence[NodeRun]) -> str:
    return _sentence(_("Cancelled"), execution.cause)


def _terminated(execution: Execution, _runs: Sequence[NodeRun]) -> str:
    return _sentence(_("Terminated"), execution.cause)


_SENTENCES = {
    ExecutionStatus.QUEUED: _queued,
    ExecutionStatus.PAUSED: _paused,
    ExecutionStatus.BLOCKED: _blocked,
    ExecutionStatus.CANCELLING: _cancelling,
    ExecutionStatus.COMPENSATING: _compensating,
    ExecutionStatus.FAILED: _failed,
    ExecutionStatus.CANCELLED: _cancelled,
    ExecutionStatus.TERMINATED: _terminated,
}


def _sentence(done: str, cause: dict[str, Any] | None) -> str:
    said = {"done": done, "by": (cause or {}).get("by"), "reason": (cause or {}).get("reason")}
    if said["by"] and said["reason"]:
        return _("%(done)s by %(by)s: %(reason)s") % said
    return _("%(done)s by %(by)s.") % said if said["by"] else f"{done}."


def message_of(error: dict[str, Any] | None) -> str:
    """Return the first line of an error's message."""
    lines = str((error or {}).get("message") or "").strip().splitlines()
    return lines[0] if lines else _("no message")


def _type_of(error: dict[str, Any] | None) -> str:
    return str((error or {}).get("type") or _("a failure")).rpartition(".")[2]


def _spell(delay: float) -> str:
    if delay < 90:
        return _("%(count)d s") % {"count": round(delay)}
    return _("%(count)d min") % {"count": round(delay / 60)}
