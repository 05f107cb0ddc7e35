from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import WrittenJSONField


class Workflow(models.Model):
    """A named graph; what its module says today. Executions refer to numbered versions."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    description = models.TextField(_("description"), blank=True)
    tags = models.JSONField(_("tags"), default=list, blank=True)
    module = models.CharField(_("module"), max_length=300, blank=True)
    current = models.ForeignKey(
        "WorkflowVersion",
        verbose_name=_("current version"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        ordering = ["name"]
        permissions = [
            ("run_workflow", "Can run workflow"),
            ("control_workflow", "Can control its executions"),
            ("approve_workflow", "Can decide what its executions ask"),
        ]

    def __str__(self) -> str:
        return self.name


class WorkflowVersion(models.Model):
    """One canonical graph, numbered 1, 2, 3 … within its workflow; never changed once written."""

    workflow = models.ForeignKey(
        Workflow, verbose_name=_("workflow"), on_delete=models.PROTECT, related_name="versions"
    )
    number = models.PositiveIntegerField(_("number"))
    checksum = models.CharField(_("checksum"), max_length=64)
    definition = WrittenJSONField(_("definition"))
    node_count = models.PositiveIntegerField(_("nodes"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("workflow version")
        verbose_name_plural = _("workflow versions")
        ordering = ["workflow", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "number"], name="version_number_once"),
            models.UniqueConstraint(fields=["workflow", "checksum"], name="version_checksum_once"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow.name} v{self.number}"
