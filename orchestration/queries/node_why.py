"""Why single nodes are not moving, or ended as they did: one sentence each, with the node that is to blame."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestration.engine.graph import Graph
from orchestration.engine.states import (
    EXECUTION_TERMINAL,
    NODE_LIVE,
    NODE_TERMINAL,
    ExecutionStatus,
    NodeStatus,
)
from orchestration.engine.view import Key
from orchestration.models import Execution, NodeRun, Wait

from .caching import Source, awaited, sources
from .companions import Companion, called_for, chain, companions, giver
from .items import is_spread
from .nodes import RETRYING, display_status, of_nodes
from .sentences import LEFT, Why
from .waits import is_parked, waits_of, why_parked
from .why import Workers, caused, how_far, mentioned, message_of, type_of

N, E = NodeStatus, ExecutionStatus
FAILED_LOOKED_AT = 500


def runs_around(execution: Execution, graph: Graph, node: str) -> list[NodeRun]:
    """Return the present rows that explain a node: its own, those beside it, and what failed before it."""
    spec = graph.nodes[node]
    served = NodeRun.objects.filter(execution=execution, superseded=False, node=node).values("for_node")
    near = Q(node__in=[*chain(graph, node), *spec.depends_on]) | Q(for_node__in=chain(graph, node))
    if node in graph.undos:
        near |= Q(node__in=[*graph.undos, graph.undos[node]])
    elif spec.compensate:
        near |= Q(node=spec.compensate)
    present = NodeRun.objects.filter(of_nodes(execution), execution=execution, superseded=False)
    rows = present.defer("result").order_by("pk")
    found = {
        run.pk: run
        for run in rows.filter(near | Q(node__in=served) | Q(for_node__in=served, for_node__gt=""))
    }
    if spec.depends_on:
        found |= {run.pk: run for run in rows.filter(status=N.FAILED)[:FAILED_LOOKED_AT]}
    return list(found.values())


class NodeReasons:
    """Says of the nodes of one execution why they are as they are; `runs` are the present rows to go by."""

    def __init__(self, execution: Execution, graph: Graph, runs: Iterable[NodeRun]) -> None:
        self.execution, self.graph, self.runs = execution, graph, list(runs)
        self.companions, self.now, self.workers = companions(graph), timezone.now(), Workers()
        self.own = {run.node: run for run in self.runs if not run.for_node and run.index < 0}
        self.served: dict[str, list[NodeRun]] = {}
        for run in self.runs:
            self.served.setdefault(run.for_node, []).append(run)

    def why(self, node: str, run: NodeRun | None) -> Why | None:
        """Return why a node (its row, if it has one) does not move, or ended other than well; else None."""
        if run is None:
            return self._unborn(node)
        status = display_status(run, self.now)
        if status == N.RUNNING:
            return (
                Why(_("Asked to stop; its body still runs."))
                if self.execution.status == E.CANCELLING
                else None
            )
        says = self._SAYS.get(status)
        return says(self, run) if says else None

    # --- not yet ended ---

    @cached_property
    def sources(self) -> dict[Key, Source]:
        """Where results came from that were cached."""
        return sources(self.execution, self.graph)

    @cached_property
    def _awaited(self) -> dict[int, str]:
        return awaited(self.execution, self.graph)

    def _ready(self, run: NodeRun) -> Why | None:
        if run.held:
            return Why(_("Held back. %(why)s") % {"why": caused(_("Paused"), self.execution.cause)})
        if self.graph.nodes[run.node].cache is not None and (other := self._awaited.get(run.pk)):
            text = _("Waits for the same result, which execution %(other)s computes now.")
            return Why(text % {"other": other})
        said = self.workers.why([run.queue])
        return Why(said) if said else None

    def _retrying(self, run: NodeRun) -> Why:
        if run.held:
            return Why(_("Held back. %(why)s") % {"why": caused(_("Paused"), self.execution.cause)})
        spec = self.graph.nodes[run.node]
        said = {"delay": LEFT, "attempt": run.attempt + 1, "error": _error(run.error)}
        if spec.retry is None:
            return Why(_("Retrying in %(delay)s after %(error)s") % said, "", run.available_at)
        said["of"] = spec.retry.max_attempts
        text = _("Retrying in %(delay)s (attempt %(attempt)d of %(of)d) after %(error)s")
        return Why(text % said, "", run.available_at)

    @cached_property
    def _waits(self) -> dict[int, list[Wait]]:
        return waits_of(self.runs)

    def _waiting(self, run: NodeRun) -> Why:
        if is_spread(run):
            return how_far(run)
        if is_parked(run):
            return why_parked(self._waits.get(run.pk, ()))
        beside = [*self._called(run), *self.served.get(run.for_node, ())]
        who = next((each for each in beside if each.status in NODE_LIVE and self._serves(each, run)), None)
        if who is None:
            return Why(_("Waiting."))
        said = {"error": _error(run.error), "node": who.node}
        if self.companions[who.node].kind == "fallback":
            return Why(_("Failed: %(error)s. Waits for its fallback “%(node)s”.") % said, who.node)
        return Why(_("Failed: %(error)s. Waits for the error boundary “%(node)s”.") % said, who.node)

    def _serves(self, companion: NodeRun, run: NodeRun) -> bool:
        known = self.companions.get(companion.node)
        return (
            known is not None
            and companion.pk != run.pk
            and (companion.for_node == run.node or run.node in (known.serves or ()))
        )

    def _attention(self, run: NodeRun) -> Why:
        return Why(_("Needs a person to decide: %(error)s") % {"error": _error(run.error)}, run.node)

    def _blocked(self, run: NodeRun) -> Why:
        return Why(_("Blocked: %(reason)s") % {"reason": message_of(run.error)})

    # --- ended ---

    def _succeeded(self, run: NodeRun) -> Why | None:
        if self.graph.nodes[run.node].cache is None:
            return None
        source = self.sources.get(Key(run.node, run.index, run.for_node))
        if source is None:
            return None
        return Why(_("From the cache: the result of execution %(other)s.") % {"other": source.execution})

    def _recovered(self, run: NodeRun) -> Why:
        if run.error is None:
            return Why(_("A person gave its result before it ran."))
        by = giver(self.graph, self.runs, run.node)
        said = {"error": _error(run.error), "node": by.node if by else ""}
        if by is None:
            return Why(_("Failed: %(error)s. A person gave its result.") % said)
        return Why(_("Failed: %(error)s. “%(node)s” gave its result.") % said, by.node)

    def _failed(self, run: NodeRun) -> Why:
        tried = [each.node for each in self._called(run) if each.status == N.FAILED]
        if not tried:
            return Why(_error(run.error))
        said = {"error": _error(run.error), "nodes": mentioned(tried)}
        return Why(_("%(error)s. Failed as well: %(nodes)s.") % said, tried[-1])

    def _upstream_failed(self, run: NodeRun) -> Why:
        failed = self._failed_before(run.node)
        if failed is None:
            return Why(_("Not run: what it depends on failed."))
        said = {"node": failed.node, "error": _error(failed.error)}
        return Why(_("Not run: “%(node)s” failed: %(error)s") % said, failed.node)

    def _failed_before(self, node: str) -> NodeRun | None:
        """Return the nearest failed node that this one depends on, directly or not."""
        seen, todo = {node}, list(self.graph.nodes[node].depends_on)
        for parent in todo:
            row = self.own.get(parent)
            if row is not None and row.status == N.FAILED:
                return row
            todo += [each for each in self.graph.nodes[parent].depends_on if each not in seen]
            seen.update(self.graph.nodes[parent].depends_on)
        return None

    def _skipped(self, run: NodeRun) -> Why:
        spec = self.graph.nodes[run.node]
        if run.node in self.companions:
            return self._not_needed(self.companions[run.node], run.for_node)
        if run.error is None and _by_hand(run, len(spec.depends_on)):
            return Why(_("A person skipped it before it ran."))
        if run.error is not None:
            return Why(_("A person skipped it after %(error)s") % {"error": _error(run.error)})
        parents = [self.own[parent] for parent in spec.depends_on if parent in self.own]
        before = next((row for row in parents if row.status == N.SKIPPED), None)
        if before is not None:
            return Why(_("Skipped, because “%(node)s” was.") % {"node": before.node}, before.node)
        if spec.when is not None:
            return Why(_("Skipped: its condition said no."))
        return Why(_("Skipped: its join (%(join)s) can not be met.") % {"join": spec.join})

    def _cancelled(self, run: NodeRun) -> Why:
        cause = self.execution.cause or {}
        if run.node in self.graph.undos:
            return Why(_("Not undone: an undo before it failed, or was cancelled."))
        if cause.get("verb") == "fail_fast":
            return Why(
                _("Cancelled: another node failed, and the workflow fails fast."), _culprit(self.execution)
            )
        if cause.get("verb") == "timeout":
            return Why(_("Cancelled: the execution ran out of its time."))
        return Why(caused(_("Cancelled"), cause))

    # --- never begun ---

    def _unborn(self, node: str) -> Why | None:
        companion = self.companions.get(node)
        if companion is not None:
            return self._not_needed(companion, "")
        if self.execution.status in EXECUTION_TERMINAL:
            return Why(_("The execution ended before its turn came."))
        parents = self.graph.nodes[node].depends_on
        open_ones = [parent for parent in parents if not self._ended(parent)]
        if not open_ones:
            return None
        return Why(_("Waits for %(nodes)s.") % {"nodes": mentioned(open_ones)}, open_ones[0])

    def _pending(self, run: NodeRun) -> Why | None:
        if run.held:
            return self._in_line(run)
        if run.node not in self.graph.undos:
            return self._unborn(run.node)
        undoing = [each for each in self.runs if each.node in self.graph.undos and each.status in NODE_LIVE]
        before = next((each for each in undoing if each.status != N.PENDING), None)
        if before is None:
            return Why(_("Waits for the undos before it."))
        said = {"node": self.graph.undos[before.node]}
        return Why(_("Waits for the undos before it; now “%(node)s” is undone.") % said, before.node)

    def _in_line(self, run: NodeRun) -> Why:
        """Return which place in the line for its turn the row has."""
        spec = self.graph.nodes[run.node]
        beside = self.graph.bounds[spec.bound.name] if spec.bound is not None else (run.node,)
        before = bisect_left([pk for node, pk in self._lines if node in beside], run.pk)
        limit = spec.bound.limit if spec.bound is not None else spec.items and spec.items.concurrency
        said = {"place": before + 1, "limit": limit}
        return Why(_("Stands in line, at place %(place)d: no more than %(limit)d run at once.") % said)

    @cached_property
    def _lines(self) -> list[tuple[str, int]]:
        rows = NodeRun.objects.filter(execution=self.execution, superseded=False, status=N.PENDING, held=True)
        return list(rows.order_by("pk").values_list("node", "pk"))

    def _ended(self, node: str) -> bool:
        row = self.own.get(node)
        return row is not None and row.status in NODE_TERMINAL

    def _not_needed(self, companion: Companion, served: str) -> Why:
        names = companion.serves or ()
        row = self.own.get(served or next(iter(names), ""))
        if companion.kind == "undo":
            return self._not_undone(names)
        if row is not None and row.status == N.SUCCEEDED and companion.kind == "fallback":
            return Why(_("Not needed: “%(node)s” succeeded.") % {"node": row.node}, row.node)
        ended = self.execution.status in EXECUTION_TERMINAL
        if companion.serves is None:
            said = (
                _("Not called: no node failed with an error that it catches.")
                if ended
                else _("Runs if a node fails.")
            )
            return Why(said)
        text = _("Not called for %(nodes)s.") if ended or served else _("Runs only if %(nodes)s fails.")
        return Why(text % {"nodes": mentioned(names)}, names[0])

    def _not_undone(self, names: tuple[str, ...]) -> Why:
        if self.execution.status in EXECUTION_TERMINAL:
            return Why(_("There was nothing to undo."))
        return Why(_("Undoes %(nodes)s, should the execution fail.") % {"nodes": mentioned(names)}, names[0])

    def _called(self, run: NodeRun) -> list[NodeRun]:
        return called_for(self.graph, self.runs, run.node)

    _SAYS = {
        N.READY.value: _ready,
        RETRYING: _retrying,
        N.WAITING.value: _waiting,
        N.ATTENTION.value: _attention,
        N.BLOCKED.value: _blocked,
        N.SUCCEEDED.value: _succeeded,
        N.RECOVERED.value: _recovered,
        N.FAILED.value: _failed,
        N.UPSTREAM_FAILED.value: _upstream_failed,
        N.SKIPPED.value: _skipped,
        N.CANCELLED.value: _cancelled,
        N.PENDING.value: _pending,
    }


def _by_hand(run: NodeRun, predecessors: int) -> bool:
    """Say whether a node was skipped that had been ready, or whose predecessors had not all ended."""
    return (run.ready_at is not None and not run.attempt) or run.ok + run.failed + run.skipped < predecessors


def _culprit(execution: Execution) -> str:
    return str((execution.error or {}).get("node") or "")


def _error(error: dict[str, Any] | None) -> str:
    return f"{type_of(error)}: {message_of(error)}"
