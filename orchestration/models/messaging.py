"""What executions are told, and what bodies remember while they wait. Written by `orchestration.store` alone."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .execution import Execution, NodeRun
from .fields import WrittenJSONField

ASKING = ("approval", "release")  # kinds of waits that people decide about


class JournalEntry(models.Model):
    """What a durable call of a body gave: on a replay it gives that again. `key` is its name and how many-th it is."""

    id = models.BigAutoField(primary_key=True)
    node_run = models.ForeignKey(
        NodeRun,
        verbose_name=_("node run"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="journal",
    )
    key = models.CharField(_("key"), max_length=250)
    kind = models.CharField(_("kind"), max_length=16)
    came = models.CharField(_("came"), max_length=8, default="value")  # value or timeout
    value = WrittenJSONField(_("value"), null=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal entries")
        constraints = [models.UniqueConstraint(fields=["node_run", "key"], name="journal_once")]
        # What was decided, the last first.
        indexes = [models.Index(fields=["id"], name="journal_asked", condition=Q(kind__in=ASKING))]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Wait(models.Model):
    """What a parked node run waits for. It counts only while the row is parked; what is left over is ignored."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="waits",
    )
    node_run = models.ForeignKey(
        NodeRun,
        verbose_name=_("node run"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="waits",
    )
    key = models.CharField(_("key"), max_length=250)
    kind = models.CharField(_("kind"), max_length=16)
    name = models.CharField(_("name"), max_length=200, blank=True)
    about = WrittenJSONField(_("about"), null=True)
    shape = models.CharField(
        _("shape"), max_length=250, default="", db_default="", blank=True
    )  # of an event's match
    match_key = models.CharField(_("match"), max_length=32, default="", db_default="", blank=True)
    since = models.DateTimeField(_("since"))
    wake_at = models.DateTimeField(_("until"), null=True)

    class Meta:
        verbose_name = _("wait")
        verbose_name_plural = _("waits")
        constraints = [models.UniqueConstraint(fields=["node_run", "key"], name="wait_once")]
        indexes = [
            # A signal for an execution: who waits for its name, the longest first.
            models.Index(fields=["execution", "kind", "name", "id"], name="wait_for"),
            # An event: who waits for its name.
            models.Index(
                fields=["name", "shape", "match_key"], name="wait_for_event", condition=Q(kind="event")
            ),
            # Timers: what is due.
            models.Index(fields=["wake_at"], name="wait_due", condition=Q(wake_at__isnull=False)),
            # The inbox: what asks for an approval, or for a release, the oldest first.
            models.Index(fields=["id"], name="wait_asking", condition=Q(kind__in=ASKING)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Signal(models.Model):
    """A message to one execution: accepted is persisted. It waits for who asks for its name, in order of receipt."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="signals",
    )
    name = models.CharField(_("name"), max_length=200)
    payload = WrittenJSONField(_("payload"), null=True)
    sender = models.CharField(_("sender"), max_length=200, blank=True)
    sent_id = models.CharField(_("sender's id"), max_length=200, null=True)
    received_at = models.DateTimeField(_("received"))
    consumed_at = models.DateTimeField(_("consumed"), null=True)
    node_run = models.ForeignKey(
        NodeRun,
        verbose_name=_("consumed by"),
        null=True,
        db_constraint=False,
        db_index=False,
        on_delete=models.DO_NOTHING,
        related_name="+",
    )

    class Meta:
        verbose_name = _("signal")
        verbose_name_plural = _("signals")
        constraints = [
            models.UniqueConstraint(
                fields=["execution", "sent_id"], name="signal_once", condition=Q(sent_id__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["execution", "id"], name="signal_by_execution"),
            # The oldest of a name that nobody has read.
            models.Index(
                fields=["execution", "name", "id"],
                name="signal_unread",
                condition=Q(consumed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """What one execution owes another: written with what causes it, brought under the lock of the target alone."""

    id = models.BigAutoField(primary_key=True)
    target = models.UUIDField(_("target"))
    kind = models.CharField(_("kind"), max_length=16)
    source = models.UUIDField(_("source"), null=True)  # whose end it is, or which event
    about = WrittenJSONField(_("about"), null=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [models.Index(fields=["target", "kind"], name="delivery_for")]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"
