"""Executions that executions have started. Written by `orchestration.store` alone."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .execution import Execution, NodeRun
from .fields import WrittenJSONField


class Child(models.Model):
    """An execution that a body has started; `key` is the call in its journal, `place` which one of that call."""

    execution = models.OneToOneField(
        Execution,
        verbose_name=_("execution"),
        primary_key=True,
        db_constraint=False,
        on_delete=models.CASCADE,
        related_name="as_child",
    )
    parent = models.ForeignKey(
        Execution,
        verbose_name=_("parent"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="child_rows",
    )
    node_run = models.ForeignKey(
        NodeRun,
        verbose_name=_("node run"),
        db_constraint=False,
        db_index=False,
        on_delete=models.CASCADE,
        related_name="child_rows",
    )
    key = models.CharField(_("key"), max_length=250)
    place = models.IntegerField(_("place"))
    depth = models.SmallIntegerField(_("depth"))  # of a child of one that nobody's body started: 1
    awaited = models.BooleanField(_("awaited"))
    on_close = models.CharField(_("when the parent ends"), max_length=10)
    open = models.BooleanField(_("open"), default=True)
    asked = models.BooleanField(_("asked to end"), default=False)
    replaced = models.BooleanField(_("replaced"), default=False)  # a later try of the body started another
    # What the parent is told, as it was when the child ended for the first time.
    status = models.CharField(_("status"), max_length=16, default="", blank=True)
    output = WrittenJSONField(_("output"), null=True)
    error = models.JSONField(_("error"), null=True)

    class Meta:
        verbose_name = _("child")
        verbose_name_plural = _("children")
        constraints = [
            # However often a body comes to the call, each of its children is started once.
            models.UniqueConstraint(
                fields=["node_run", "key", "place"], name="child_once", condition=Q(replaced=False)
            ),
        ]
        indexes = [
            # Whether a call is over; what is to be asked to end with its parent.
            models.Index(
                fields=["node_run", "key"], name="child_awaited", condition=Q(open=True, awaited=True)
            ),
            models.Index(fields=["parent"], name="child_open", condition=Q(open=True)),
            models.Index(fields=["parent", "-execution"], name="child_by_parent"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.place}"
