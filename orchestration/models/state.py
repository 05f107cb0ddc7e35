"""What bodies share: values under keys. Written by `orchestration.store` alone."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .execution import Execution
from .fields import PlainKeyField, WrittenJSONField


class StateEntry(models.Model):
    """A value under a key. One that has expired, or was deleted, is absent; its row goes a day later.

    Until then its version counts on, so that a version never names two values.
    """

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(_("scope"), max_length=10)
    owner = models.CharField(
        _("owner"), max_length=200, blank=True
    )  # the execution's id, the workflow's name, or nothing
    key = PlainKeyField(_("key"), max_length=128)
    # Set in that scope: what belongs to an execution is deleted with it.
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        null=True,
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="state",
    )
    value = WrittenJSONField(_("value"), null=True)
    version = models.BigIntegerField(_("version"), default=1)
    expires_at = models.DateTimeField(_("expires"), null=True)
    updated_at = models.DateTimeField(_("changed"))
    person = models.CharField(_("changed by"), max_length=200, blank=True)
    by_execution = models.UUIDField(_("changed by execution"), null=True)
    by_node = models.CharField(_("changed by node"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("shared state")
        verbose_name_plural = _("shared state")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["scope", "owner", "key"], name="state_key_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], name="state_expiring", condition=Q(expires_at__isnull=False)),
            models.Index(
                fields=["execution"], name="state_by_execution", condition=Q(execution__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.key
