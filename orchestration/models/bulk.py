"""Bulk acts: one verb for many executions, which were chosen once and for all. `orchestration.bulk` writes them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .execution import Execution
from .fields import WrittenJSONField


class BulkAct(models.Model):
    """One verb, who wants it done and why, and how far it has come."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        STOPPED = "stopped", _("stopped")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    verb = models.CharField(_("verb"), max_length=40)
    options = WrittenJSONField(_("options"), default=dict)
    reason = models.TextField(_("reason"), blank=True)
    query = models.TextField(
        _("query"), blank=True
    )  # what had selected them; "" for executions picked by hand
    principal = models.JSONField(_("acts for"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.RUNNING)
    total = models.IntegerField(_("executions"))
    created_at = models.DateTimeField(_("created"))
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    stopped_by = models.CharField(_("stopped by"), max_length=200, blank=True)
    paced_at = models.DateTimeField(_("paced"))  # until when its share of time has been used up

    class Meta:
        verbose_name = _("bulk act")
        verbose_name_plural = _("bulk acts")
        constraints: ClassVar = [
            models.CheckConstraint(
                name="bulk_status_fits",
                condition=Q(status="running", finished_at__isnull=True)
                | Q(status__in=["finished", "stopped"], finished_at__isnull=False),
            )
        ]
        indexes: ClassVar = [
            # The job: what is to be carried out, the longest waiting first.
            models.Index(fields=["paced_at"], name="bulk_running", condition=Q(status="running")),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.total}"


class BulkItem(models.Model):
    """One execution of a bulk act, and what became of it. It outlives the execution."""

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused")

    id = models.BigAutoField(primary_key=True)
    act = models.ForeignKey(
        BulkAct, verbose_name=_("bulk act"), db_index=False, on_delete=models.CASCADE, related_name="items"
    )
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        db_constraint=False,
        db_index=False,
        on_delete=models.DO_NOTHING,
        related_name="+",
    )
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.PENDING)
    why = models.TextField(_("why"), blank=True)  # the sentence with which it was refused
    at = models.DateTimeField(_("at"), null=True)

    class Meta:
        verbose_name = _("execution of a bulk act")
        verbose_name_plural = _("executions of bulk acts")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["act", "execution"], name="bulk_item_once"),
            models.CheckConstraint(
                name="bulk_item_state_fits",
                condition=Q(state="pending", at__isnull=True)
                | Q(state__in=["done", "refused"], at__isnull=False),
            ),
        ]
        indexes: ClassVar = [
            # The next that are pending, the refused ones in order, and how many there are of each: counted when asked,
            # so that those who carry out one act need not wait for each other to add to a number.
            models.Index(fields=["act", "state", "id"], name="bulk_item_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.execution_id} {self.state}"
