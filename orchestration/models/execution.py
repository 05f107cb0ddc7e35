"""Executions and what belongs to them. `orchestration.store` is the only writer of these tables.

Node runs, events and log lines have no foreign key in the database: the store inserts them under the lock of their
execution, whose row it has read, and PostgreSQL would look for that row again, once for each.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orchestration.engine.states import (
    EXECUTION_LIVE,
    EXECUTION_TERMINAL,
    NODE_LIVE,
    NODE_TERMINAL,
    ExecutionStatus,
    NodeStatus,
)
from security.fields import Xid8Field

from .checks import choices, status_fits
from .definition import Workflow, WorkflowVersion
from .fields import WrittenJSONField


class Execution(models.Model):
    """One run of one WorkflowVersion. Its row lock is what every change of it happens under."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # the store gives UUIDv7s
    workflow = models.ForeignKey(
        Workflow, verbose_name=_("workflow"), db_index=False, on_delete=models.PROTECT, related_name="+"
    )
    version = models.ForeignKey(
        WorkflowVersion, verbose_name=_("version"), db_index=False, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(_("status"), max_length=16, choices=choices(ExecutionStatus))
    generation = models.IntegerField(_("generation"), default=1)
    seq = models.BigIntegerField(_("last event"), default=0)
    open_nodes = models.IntegerField(_("open nodes"), default=0)
    failures = models.IntegerField(_("failed nodes"), default=0)
    blocked_nodes = models.IntegerField(_("blocked nodes"), default=0)
    unread_signals = models.IntegerField(_("unread signals"), default=0, db_default=0)
    children = models.IntegerField(_("children started"), default=0, db_default=0)
    input = WrittenJSONField(_("input"), null=True)
    output = WrittenJSONField(_("output"), null=True)
    error = models.JSONField(_("error"), null=True)
    cause = models.JSONField(_("cause"), null=True)  # who cancelled or paused it, and why
    tags = models.JSONField(_("tags"), default=list)
    labels = models.JSONField(_("labels"), default=dict)
    priority = models.SmallIntegerField(_("priority"), default=3)
    queue = models.CharField(_("queue"), max_length=63, blank=True)
    principal = models.JSONField(_("acts for"))
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("started by"),
        null=True,
        db_index=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    idempotency_key = models.CharField(_("idempotency key"), max_length=200, null=True)
    input_hash = models.CharField(_("input hash"), max_length=64, blank=True)
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        null=True,
        db_index=False,
        on_delete=models.PROTECT,
        related_name="+",
    )
    forked_from = models.ForeignKey(
        "self",
        verbose_name=_("forked from"),
        null=True,
        db_index=False,
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="+",
    )  # another execution, whose results or input it has taken over
    created_at = models.DateTimeField(_("created"))
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    deadline_at = models.DateTimeField(_("deadline"), null=True)

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        constraints = [
            models.CheckConstraint(
                name="execution_status_fits",
                condition=status_fits(
                    (Q(finished_at__isnull=True), EXECUTION_LIVE),
                    (~Q(open_nodes=0), None),
                    otherwise=EXECUTION_TERMINAL,
                ),
            ),
        ]
        indexes = [
            # The lists: all, by workflow, by status; newest first by the time-ordered key.
            models.Index(fields=["workflow", "-id"], name="execution_by_workflow"),
            models.Index(fields=["status", "-id"], name="execution_by_status"),
            models.Index(fields=["started_by", "-id"], name="execution_by_person"),
            # start(): who has this key.
            models.Index(
                fields=["workflow", "idempotency_key"],
                name="execution_by_key",
                condition=Q(idempotency_key__isnull=False),
            ),
            # sweep: due deadlines of what still runs.
            models.Index(
                fields=["deadline_at"],
                name="execution_by_deadline",
                condition=Q(deadline_at__isnull=False, finished_at__isnull=True),
            ),
            models.Index(fields=["parent"], name="execution_by_parent", condition=Q(parent__isnull=False)),
            models.Index(
                fields=["forked_from"], name="execution_by_origin", condition=Q(forked_from__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id}:{str(self.id)[:13]}"


class NodeRun(models.Model):
    """One node inside one Execution: its present state; its history is in the log."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="nodes",
    )
    generation = models.IntegerField(_("generation"), default=1)
    node = models.CharField(_("node"), max_length=200)
    index = models.IntegerField(_("index"), default=-1)  # a map's item; -1 where there is none
    for_node = models.CharField(
        _("for node"), max_length=200, default="", blank=True
    )  # whom a fallback or handler serves
    superseded = models.BooleanField(_("superseded"), default=False)  # a later generation has taken its place
    status = models.CharField(_("status"), max_length=16, choices=choices(NodeStatus))
    verdict = models.CharField(
        _("verdict"), max_length=8, default="", blank=True
    )  # a skip or fail still to be settled
    held = models.BooleanField(_("held"), default=False)  # READY in a paused execution; PENDING and in line
    queue = models.CharField(_("queue"), max_length=63)
    lane = models.CharField(_("lane"), max_length=8, default="sync")
    labels = models.JSONField(_("labels"), default=dict)
    priority = models.SmallIntegerField(_("priority"), default=3)
    available_at = models.DateTimeField(_("available"))
    attempt = models.IntegerField(_("attempt"), default=0)
    losses = models.IntegerField(_("losses"), default=0)
    parked = models.IntegerField(_("times parked"), default=0, db_default=0)
    ok = models.IntegerField(_("predecessors ok"), default=0)
    failed = models.IntegerField(_("predecessors failed"), default=0)
    skipped = models.IntegerField(_("predecessors skipped"), default=0)
    # Of a map whose items have been found: how many, and how many of them have a row. `ok` and `failed` count theirs.
    items = models.IntegerField(_("items"), null=True)
    born = models.IntegerField(_("items born"), default=0, db_default=0)
    worker = models.UUIDField(_("worker"), null=True)
    pid = models.IntegerField(_("process"), null=True)
    alone = models.BooleanField(_("claimed alone"), default=False)
    fence = models.BigIntegerField(_("fence"), default=0)
    lease_until = models.DateTimeField(_("lease until"), null=True)
    ready_at = models.DateTimeField(_("ready"), null=True)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    expires_at = models.DateTimeField(
        _("expires"), null=True
    )  # when it fails unless it has begun or ended by then
    deadline_at = models.DateTimeField(_("deadline"), null=True)  # by when all its attempts must be over
    input = WrittenJSONField(_("input"), null=True)  # what a person has put in the place of the execution's
    progress = models.JSONField(_("progress"), null=True)
    result = WrittenJSONField(_("result"), null=True)
    error = models.JSONField(_("error"), null=True)

    class Meta:
        verbose_name = _("node run")
        verbose_name_plural = _("node runs")
        constraints = [
            models.CheckConstraint(
                name="node_status_fits",
                condition=status_fits(
                    (Q(lease_until__isnull=False, finished_at__isnull=True), {NodeStatus.RUNNING}),
                    (Q(lease_until__isnull=False), None),
                    (Q(finished_at__isnull=True), NODE_LIVE - {NodeStatus.RUNNING}),
                    otherwise=NODE_TERMINAL,
                ),
            ),
            # No two present rows of one node, whichever generation bore them.
            models.UniqueConstraint(
                fields=["execution", "node", "index", "for_node"],
                name="node_run_once",
                condition=Q(superseded=False),
            ),
        ]
        indexes = [
            # claim: the most urgent first; only what may be claimed.
            models.Index(
                fields=["queue", "lane", "priority", "available_at", "id"],
                name="node_claimable",
                condition=Q(status=NodeStatus.READY, held=False),
            ),
            # sweep: expired leases; verdicts a dead worker left unsettled; blocked nodes whose code is back. Home: what
            # asks for a person.
            models.Index(fields=["lease_until"], name="node_leased", condition=Q(status=NodeStatus.RUNNING)),
            models.Index(fields=["execution"], name="node_verdict_due", condition=~Q(verdict="")),
            models.Index(fields=["execution"], name="node_blocked", condition=Q(status=NodeStatus.BLOCKED)),
            models.Index(fields=["execution"], name="node_asking", condition=Q(status=NodeStatus.ATTENTION)),
            # compensation: the next undo. sweep: what has waited or tried for too long.
            models.Index(
                fields=["execution", "id"],
                name="node_undo_to_come",
                condition=Q(status=NodeStatus.PENDING) & ~Q(for_node=""),
            ),
            # A bound: who comes next.
            models.Index(
                fields=["execution", "id"],
                name="node_in_line",
                condition=Q(status=NodeStatus.PENDING, held=True),
            ),
            models.Index(
                fields=["expires_at"], name="node_expiring",
                condition=Q(expires_at__isnull=False, finished_at__isnull=True),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.node}[{self.index}]" if self.index >= 0 else self.node


class ExecutionEvent(models.Model):
    """One line of an Execution's append-only log, numbered 1, 2, 3 … without gaps."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="events",
    )
    seq = models.BigIntegerField(_("number"))
    type = models.CharField(_("type"), max_length=40)
    at = models.DateTimeField(_("at"))
    node = models.CharField(_("node"), max_length=200, null=True)
    index = models.IntegerField(_("index"), null=True)
    attempt = models.IntegerField(_("attempt"), null=True)
    data = WrittenJSONField(_("data"), default=dict)
    txid = Xid8Field()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            models.UniqueConstraint(fields=["execution", "seq"], name="event_seq_once"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class LogLine(models.Model):
    """A line that a body logged, numbered per NodeRun and fence by its only writer."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="+",
    )
    node_run = models.ForeignKey(
        NodeRun,
        verbose_name=_("node run"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="lines",
    )
    fence = models.BigIntegerField(_("fence"))
    number = models.IntegerField(_("number"))
    at = models.DateTimeField(_("at"))
    node = models.CharField(_("node"), max_length=200)
    index = models.IntegerField(_("index"), default=-1)
    attempt = models.IntegerField(_("attempt"))
    level = models.SmallIntegerField(_("level"))
    message = models.TextField(_("message"))
    txid = Xid8Field()

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        constraints = [models.UniqueConstraint(fields=["node_run", "fence", "number"], name="log_line_once")]
        indexes = [models.Index(fields=["execution", "id"], name="log_by_execution")]

    def __str__(self) -> str:
        return self.message[:80]


class Artifact(models.Model):
    """A file that a node kept; the bytes lie in Django's default storage."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        db_index=False,
        on_delete=models.CASCADE,
        related_name="artifacts",
    )
    node_run = models.ForeignKey(
        NodeRun, verbose_name=_("node run"), db_index=False, on_delete=models.CASCADE, related_name="+"
    )
    node = models.CharField(_("node"), max_length=200)
    index = models.IntegerField(_("index"), default=-1)
    attempt = models.PositiveIntegerField(_("attempt"))
    name = models.CharField(_("name"), max_length=200)
    content_type = models.CharField(_("content type"), max_length=100)
    size = models.PositiveBigIntegerField(_("bytes"))
    sha256 = models.CharField(max_length=64)
    path = models.CharField(max_length=500)
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("artifact")
        verbose_name_plural = _("artifacts")
        indexes = [models.Index(fields=["execution", "created_at"], name="artifact_by_execution")]

    def __str__(self) -> str:
        return self.name
