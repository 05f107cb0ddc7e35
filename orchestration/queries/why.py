"""The "why" line: one sentence wherever something is not moving. `node_why` says it of single nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestration.engine.states import NODE_LIVE, ExecutionStatus, NodeStatus
from orchestration.models import Execution, NodeRun, Wait, WorkerNode
from orchestration.store.versions import graph_of

from .items import is_spread, with_running_items
from .lists import held_by, live_worker_nodes
from .nodes import RETRYING, display_status
from .sentences import LEFT, Why
from .waits import is_parked, some_parked, waits_of, why_some_parked

NAMED = 3
LISTED_NODES = (
    200  # of a version: past that, a list looks at what is cheap to find: what asks, is blocked, or waits
)


class Workers:
    """Why nothing claims what is ready in some queues; the worker nodes are looked at once, and only if asked."""

    @cached_property
    def _live(self) -> list[WorkerNode]:
        return list(live_worker_nodes().filter(draining=False))

    @cached_property
    def _held(self) -> dict[uuid.UUID, int]:
        return held_by(self._live)

    def why(self, queues: Iterable[str]) -> str | None:
        """Return why what is ready in these queues is not claimed; None when it is about to be."""
        asked = set(queues)
        if not self._live:
            return _("No worker is running. Start one with: manage.py worker")
        serving = [worker for worker in self._live if asked & set(worker.queues)]
        if not serving:
            return _("Queued: no running worker serves the queue “%(queue)s”.") % {"queue": min(asked)}
        slots = sum(worker.slots for worker in serving)
        if sum(self._held.get(worker.pk, 0) for worker in serving) < slots:
            return None
        said = ngettext("Queued: the only worker is busy.", "Queued: all %(slots)d workers are busy.", slots)
        return said % {"slots": slots}


def why(execution: Execution, runs: Sequence[NodeRun]) -> str | None:
    """Return why the execution does not move, or ended badly; None when it moves or has ended well."""
    found = explain(execution, runs)
    return str(found) if found else None


def explain(
    execution: Execution,
    runs: Sequence[NodeRun],
    workers: Workers | None = None,
    waits: dict[int, list[Wait]] | None = None,
) -> Why | None:
    """Return the sentence of `why` with what it is about; `waits` are those of the runs, where they are known."""
    status = ExecutionStatus(execution.status)
    if status in _SENTENCES:
        return _SENTENCES[status](execution, runs)
    if status is not ExecutionStatus.RUNNING:
        return None
    known = with_running_items(runs) if waits is None else runs
    return _why_nothing_runs(execution, known, workers or Workers(), waits)


def whys(executions: Sequence[Execution]) -> dict[uuid.UUID, Why]:
    """Return why those of a list do not move, in a fixed number of queries; who moves or ended well is not in it.

    A node that needs a person comes before all else, also while others run.
    """
    moving = [each for each in executions if each.status in _NEED_ROWS]
    runs = _telling(moving)
    waits = waits_of(run for own in runs.values() for run in own)
    workers, found = Workers(), {}
    for each in executions:
        own = runs.get(each.pk, [])
        asking = [run for run in own if run.status == NodeStatus.ATTENTION]
        asks = asking and each.status == ExecutionStatus.RUNNING
        said = _attention(each, asking) if asks else explain(each, own, workers, waits)
        if said is not None:
            found[each.pk] = said
    return found


def _telling(executions: Sequence[Execution]) -> dict[uuid.UUID, list[NodeRun]]:
    """Return the rows that say why executions do not move; of large ones those that have an index of their own."""
    if not executions:
        return {}
    small = [each.pk for each in executions if each.version.node_count <= LISTED_NODES]
    asked = Q(status=NodeStatus.ATTENTION) | Q(status=NodeStatus.BLOCKED)
    rows = NodeRun.objects.filter(superseded=False).defer("result", "progress").order_by("pk")
    found: dict[uuid.UUID, list[NodeRun]] = {}
    large = [each.pk for each in executions if each.pk not in small]
    if large and (parked := some_parked(large)):
        asked |= Q(pk__in=parked) | Q(status=NodeStatus.RUNNING, lease_until__isnull=False)
    for run in rows.filter(asked, execution__in=large) if large else ():
        found.setdefault(run.execution_id, []).append(run)
    own = list(rows.filter(execution__in=small, status__in=NODE_LIVE, index=-1))
    for run in with_running_items(own):
        found.setdefault(run.execution_id, []).append(run)
    return found


def culprit(execution: Execution, runs: Sequence[NodeRun]) -> str | None:
    """Return the node that the sentence of `why` is about, the first failing one before all."""
    if execution.error and execution.error.get("node"):
        return str(execution.error["node"])
    for sought in (NodeStatus.FAILED, NodeStatus.BLOCKED, NodeStatus.ATTENTION):
        if found := next((run.node for run in runs if run.status == sought), None):
            return found
    return None


def _why_nothing_runs(
    execution: Execution,
    runs: Sequence[NodeRun],
    workers: Workers,
    waits: dict[int, list[Wait]] | None,
) -> Why | None:
    now = timezone.now()
    called = {run.for_node for run in runs if run.status in NODE_LIVE}
    # A node that waits for its fallback or boundary is not what holds things up.
    shown = [(display_status(run, now), run) for run in runs if run.node not in called]
    if any(run.status == NodeStatus.RUNNING for run in runs):
        return None
    for sought, sentence in _HELD_UP:
        if found := [run for status, run in shown if status == sought]:
            return sentence(execution, found)
    if found := [run for run in runs if is_parked(run)]:
        return why_some_parked(found, waits_of(found) if waits is None else waits)
    if found := [run for run in runs if is_spread(run)]:
        return Why(workers.why({run.queue for run in found}) or str(how_far(found[0])), found[0].node)
    if found := [run for status, run in shown if status == NodeStatus.WAITING]:
        return Why(_("Waiting at “%(node)s”.") % {"node": found[0].node}, found[0].node)
    ready = [run for status, run in shown if status == NodeStatus.READY]
    said = workers.why({run.queue for run in ready}) if ready else None
    return Why(said) if said else None


def how_far(run: NodeRun) -> Why:
    """Return how many of a map's items have ended."""
    said = {"node": run.node, "done": run.ok, "failed": run.failed, "items": run.items}
    if run.failed:
        return Why(_("“%(node)s”: %(done)d of %(items)d items done, %(failed)d failed.") % said, run.node)
    return Why(_("“%(node)s”: %(done)d of %(items)d items done.") % said, run.node)


def _retrying(execution: Execution, found: Sequence[NodeRun]) -> Why:
    run = min(found, key=lambda run: run.available_at)
    said = {"node": run.node, "delay": LEFT, "attempt": run.attempt + 1, "error": type_of(run.error)}
    spec = graph_of(execution.version_id).nodes.get(run.node)
    if spec is None or spec.retry is None:
        text = _("Retrying “%(node)s” in %(delay)s (attempt %(attempt)d) after %(error)s")
    else:
        said["of"] = spec.retry.max_attempts
        text = _("Retrying “%(node)s” in %(delay)s (attempt %(attempt)d of %(of)d) after %(error)s")
    return Why(text % said, run.node, run.available_at)


def _attention(_execution: Execution, found: Sequence[NodeRun]) -> Why:
    said = {"node": found[0].node, "reason": message_of(found[0].error)}
    return Why(_("“%(node)s” needs attention: %(reason)s") % said, found[0].node)


_HELD_UP = ((NodeStatus.ATTENTION, _attention), (RETRYING, _retrying))


def _queued(_execution: Execution, _runs: Sequence[NodeRun]) -> Why:
    return Why(_("Queued: waiting to be admitted."))


def _paused(execution: Execution, _runs: Sequence[NodeRun]) -> Why:
    return Why(caused(_("Paused"), execution.cause))


def _blocked(_execution: Execution, runs: Sequence[NodeRun]) -> Why:
    run = next((run for run in runs if run.status == NodeStatus.BLOCKED), None)
    if run is None:
        return Why(_("Blocked."))
    said = {"node": run.node, "reason": message_of(run.error)}
    return Why(_("Blocked at “%(node)s”: %(reason)s") % said, run.node)


def _cancelling(execution: Execution, runs: Sequence[NodeRun]) -> Why:
    running = [run.node for run in runs if run.status == NodeStatus.RUNNING]
    said = caused(_("Cancelling"), execution.cause)
    if not running:
        return Why(said)
    still = ngettext("%(nodes)s is still stopping.", "%(nodes)s are still stopping.", len(running))
    return Why(f"{said} {still % {'nodes': mentioned(running)}}", running[0])


def _compensating(execution: Execution, runs: Sequence[NodeRun]) -> Why:
    undos, now = graph_of(execution.version_id).undos, timezone.now()
    live = [run for run in runs if run.node in undos and run.status in NODE_LIVE]
    run = next((run for run in live if run.status != NodeStatus.PENDING), None)
    if run is None:
        return Why(_("Undoing what had succeeded."))
    said = {"node": undos[run.node], "count": len(live) - 1, "delay": LEFT, "error": type_of(run.error)}
    if display_status(run, now) == RETRYING:
        text = _("Undoing “%(node)s”, again in %(delay)s after %(error)s") % said
        return Why(text, run.node, run.available_at)
    if len(live) > 1:
        return Why(_("Undoing “%(node)s”; %(count)d more to come.") % said, run.node)
    return Why(_("Undoing “%(node)s”.") % said, run.node)


def _failed(execution: Execution, _runs: Sequence[NodeRun]) -> Why:
    error = execution.error or {}
    said = {"node": error.get("node"), "type": error.get("type"), "message": message_of(error)}
    text = _("“%(node)s” failed: %(type)s: %(message)s") % said if said["node"] else str(said["message"])
    if left := error.get("undone"):
        more = max(0, error.get("undone_count", 0) - len(left))
        undone = _("Not undone: %(nodes)s.") % {"nodes": mentioned([*left, *[""] * more])}
        text = f"{text if text.endswith('.') else f'{text}.'} {undone}"
    return Why(text, str(said["node"] or ""))


def _cancelled(execution: Execution, _runs: Sequence[NodeRun]) -> Why:
    return Why(caused(_("Cancelled"), execution.cause))


def _terminated(execution: Execution, _runs: Sequence[NodeRun]) -> Why:
    return Why(caused(_("Terminated"), execution.cause))


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
_NEED_ROWS = frozenset(
    {
        ExecutionStatus.RUNNING,
        ExecutionStatus.BLOCKED,
        ExecutionStatus.CANCELLING,
        ExecutionStatus.COMPENSATING,
    }
)


def caused(done: str, cause: dict[str, Any] | None) -> str:
    """Return what was done, by whom, and for which reason."""
    said = {"done": done, "by": (cause or {}).get("by"), "reason": (cause or {}).get("reason")}
    if said["by"] and said["reason"]:
        return _("%(done)s by %(by)s: %(reason)s") % said
    return _("%(done)s by %(by)s.") % said if said["by"] else f"{done}."


def mentioned(nodes: Sequence[str]) -> str:
    """Return some nodes by name, and the number of the others."""
    names = [_("“%(node)s”") % {"node": node} for node in nodes[:NAMED]]
    said = {"names": ", ".join(names), "count": len(nodes) - NAMED}
    return _("%(names)s and %(count)d more") % said if len(nodes) > NAMED else ", ".join(names)


def message_of(error: dict[str, Any] | None) -> str:
    """Return the first line of an error's message."""
    lines = str((error or {}).get("message") or "").strip().splitlines()
    return lines[0] if lines else _("no message")


def type_of(error: dict[str, Any] | None) -> str:
    """Return an error's type without its module."""
    return str((error or {}).get("type") or _("a failure")).rpartition(".")[2]
