"""Messages to everyone who listens: what was sent, whom it started or woke, and what starts a workflow."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .definition import Workflow
from .execution import Execution
from .fields import WrittenJSONField


class Event(models.Model):
    """A message to everyone who listens: accepted is persisted. Its sender's `source` and `sent_id` are accepted once.

    While `delivered_at` is empty, somebody may still have to be started or woken by it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # the store gives UUIDv7s
    name = models.CharField(_("name"), max_length=200)
    source = models.CharField(_("source"), max_length=500)
    sent_id = models.CharField(_("sender's id"), max_length=200)
    subject = models.CharField(_("subject"), max_length=500, blank=True)
    attributes = models.JSONField(_("further attributes"), default=dict)
    data = WrittenJSONField(_("data"), null=True)
    sender = models.CharField(_("sender"), max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("sent by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    workflow = models.ForeignKey(
        Workflow,
        verbose_name=_("emitted by"),
        null=True,
        db_index=False,
        on_delete=models.PROTECT,
        related_name="+",
    )
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        null=True,
        db_constraint=False,
        db_index=False,
        on_delete=models.DO_NOTHING,
        related_name="+",
    )
    node = models.CharField(_("node"), max_length=200, blank=True)
    hops = models.IntegerField(_("hops"), default=0)  # executions started by events that led to it
    accepted_at = models.DateTimeField(_("accepted"))
    delivered_at = models.DateTimeField(_("delivered"), null=True)

    class Meta:
        verbose_name = _("event to all")
        verbose_name_plural = _("events to all")
        permissions = [("emit_event", "Can emit events")]
        constraints = [models.UniqueConstraint(fields=["source", "sent_id"], name="emitted_once")]
        indexes = [
            # Who begins to wait: what came before, the oldest first. The list of a name. The purge.
            models.Index(fields=["name", "accepted_at", "id"], name="emitted_by_name"),
            models.Index(fields=["name", "-id"], name="emitted_listed"),
            models.Index(fields=["accepted_at"], name="emitted_at"),
            models.Index(fields=["accepted_at", "id"], name="emitted_open", condition=Q(delivered_at=None)),
            models.Index(fields=["execution", "id"], name="emitted_by", condition=Q(execution__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name


class Receipt(models.Model):
    """What became of an event somewhere: an execution that it started or woke, or why it started none.

    It is written under the locks of executions, so it has no foreign key in the database: nothing else is to be locked.
    """

    class Outcome(models.TextChoices):
        STARTED = "started", _("started")
        WOKE = "woke", _("woke")
        NOT = "not", _("not started")

    id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(
        Event,
        verbose_name=_("event"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="receipts",
    )
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome.choices)
    workflow = models.ForeignKey(
        Workflow,
        verbose_name=_("workflow"),
        db_constraint=False,
        db_index=False,
        on_delete=models.PROTECT,
        related_name="+",
    )
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        null=True,
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="receipts",
    )
    node = models.CharField(_("node"), max_length=200, blank=True)
    index = models.IntegerField(_("index"), default=-1)
    why = models.TextField(_("why not"), blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")
        constraints = [
            models.UniqueConstraint(
                fields=["event", "workflow"], name="received_once", condition=~Q(outcome="woke")
            ),
        ]
        indexes = [
            models.Index(fields=["event", "id"], name="received"),
            # A node is given each event once; an execution knows what has started it.
            models.Index(fields=["execution", "node"], name="received_by"),
        ]

    def __str__(self) -> str:
        return self.outcome


class Trigger(models.Model):
    """That events of a name start a workflow, as its code says; a person decides whether, and for whom it acts."""

    workflow = models.ForeignKey(
        Workflow, verbose_name=_("workflow"), on_delete=models.CASCADE, related_name="triggers"
    )
    event = models.CharField(_("event"), max_length=200)
    filter = models.TextField(_("filter"), blank=True)
    function = models.CharField(
        _("function"), max_length=500, blank=True
    )  # which decides in the filter's place
    declared = models.BooleanField(_("declared"), default=True)  # the code still says so
    enabled = models.BooleanField(_("enabled"), default=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("acts for"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    as_system = models.BooleanField(_("acts for the system"), default=False)
    changed_by = models.CharField(_("changed by"), max_length=200, blank=True)
    changed_at = models.DateTimeField(_("changed"), null=True)

    class Meta:
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        constraints = [models.UniqueConstraint(fields=["workflow", "event"], name="trigger_once")]
        indexes = [models.Index(fields=["event"], name="trigger_of", condition=Q(declared=True))]

    def __str__(self) -> str:
        return f"{self.workflow} ← {self.event}"
