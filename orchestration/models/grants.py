"""Who was given what on workflows: on one, or on all that carry a tag."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from .definition import Workflow


class WorkflowUserPermission(UserObjectPermissionBase):
    """A person's permission on one workflow; guardian finds it by its foreign key."""

    content_object = models.ForeignKey(Workflow, models.CASCADE, verbose_name=_("workflow"))

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = _("grant to a person")
        verbose_name_plural = _("grants to people")


class WorkflowGroupPermission(GroupObjectPermissionBase):
    """A group's permission on one workflow."""

    content_object = models.ForeignKey(Workflow, models.CASCADE, verbose_name=_("workflow"))

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = _("grant to a role")
        verbose_name_plural = _("grants to roles")


class TagGrant(models.Model):
    """A permission on every workflow that carries the tag, now or later."""

    tag = models.CharField(_("tag"), max_length=200)
    permission = models.ForeignKey(
        Permission,
        models.CASCADE,
        verbose_name=_("permission"),
        limit_choices_to={"content_type__app_label": "orchestration", "content_type__model": "workflow"},
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        verbose_name=_("user"),
        related_name="tag_grants",
    )
    group = models.ForeignKey(
        Group, models.CASCADE, null=True, blank=True, verbose_name=_("role"), related_name="tag_grants"
    )

    class Meta:
        verbose_name = _("grant by tag")
        verbose_name_plural = _("grants by tag")
        constraints = [
            models.CheckConstraint(
                name="tag_grant_to_one",
                condition=Q(user__isnull=False, group__isnull=True)
                | Q(user__isnull=True, group__isnull=False),
                violation_error_message=_("Give it to a person or to a role."),
            ),
            models.UniqueConstraint(
                fields=["user", "permission", "tag"],
                name="tag_grant_user_once",
                condition=Q(user__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["group", "permission", "tag"],
                name="tag_grant_group_once",
                condition=Q(group__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group}: {self.permission.codename} #{self.tag}"
