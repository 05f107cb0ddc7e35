from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class WorkerNode(models.Model):
    """One live cluster on one machine, kept alive by its keeper's heartbeat."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=200)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process"))
    queues = models.JSONField(_("queues"), default=list)
    labels = models.JSONField(_("labels"), default=dict)
    slots = models.PositiveIntegerField(_("slots"))
    version = models.CharField(_("version"), max_length=40, blank=True)
    broken_modules = models.JSONField(_("broken modules"), default=dict)
    started_at = models.DateTimeField(_("started"))
    heartbeat_at = models.DateTimeField(_("heartbeat"))
    draining = models.BooleanField(_("draining"), default=False)
    stopped_at = models.DateTimeField(_("stopped"), null=True)

    class Meta:
        verbose_name = _("worker node")
        verbose_name_plural = _("worker nodes")
        indexes = [models.Index(fields=["-heartbeat_at"], name="worker_by_heartbeat")]

    def __str__(self) -> str:
        return self.name
