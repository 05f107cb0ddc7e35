"""Secrets, their versions, what used them, and the grants on them."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z"


class Secret(models.Model):
    """What is known of a secret besides its value. Where the value is in another backend, it has no versions."""

    name = models.CharField(
        _("name"),
        max_length=100,
        unique=True,
        validators=[RegexValidator(NAME, _("Letters, digits, - and _."))],
    )
    description = models.CharField(_("description"), max_length=500, blank=True)
    workflows = models.JSONField(_("only for workflows"), default=list, blank=True)
    tags = models.JSONField(_("only for tags"), default=list, blank=True)
    rotate_days = models.PositiveIntegerField(_("rotate after days"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("secret")
        verbose_name_plural = _("secrets")
        default_permissions = ("view", "change")
        permissions: ClassVar = [("use_secret", "Can use secret")]
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def admits(self, workflow: str, tags: list[str]) -> bool:
        """Say whether the scope lets a workflow of this name and these tags use it."""
        unlimited = not self.workflows and not self.tags
        return unlimited or workflow in self.workflows or bool(set(self.tags) & set(tags))

    @property
    def current(self) -> SecretVersion | None:
        """The version that is read: the newest that is not disabled."""
        return next((version for version in self.versions.all() if version.disabled_at is None), None)

    @property
    def is_overdue(self) -> bool:
        """Say whether the current version is older than it is to become."""
        current = self.current
        if self.rotate_days is None or current is None:
            return False
        return timezone.now() - current.created_at > dt.timedelta(days=self.rotate_days)


class SecretVersion(models.Model):
    """One value, encrypted."""

    secret = models.ForeignKey(Secret, models.CASCADE, related_name="versions", verbose_name=_("secret"))
    number = models.PositiveIntegerField(_("number"))
    ciphertext = models.TextField(_("ciphertext"), editable=False)
    key_fingerprint = models.CharField(_("key"), max_length=16, editable=False, db_index=True)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    created_by = models.CharField(_("created by"), max_length=200)
    disabled_at = models.DateTimeField(_("disabled"), null=True, blank=True)

    class Meta:
        verbose_name = _("secret version")
        verbose_name_plural = _("secret versions")
        default_permissions = ()
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["secret", "number"], name="security_secretversion_number")
        ]

    def __str__(self) -> str:
        return f"{self.secret.name} {self.number}"


class SecretUse(models.Model):
    """When a workflow last read a secret, to the minute. By name: a value in another backend has no row."""

    name = models.CharField(_("secret"), max_length=100)
    workflow = models.CharField(_("workflow"), max_length=200)
    last_at = models.DateTimeField(_("last used"))

    class Meta:
        verbose_name = _("use of a secret")
        verbose_name_plural = _("uses of secrets")
        default_permissions = ()
        ordering: ClassVar = ["-last_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "workflow"], name="security_secretuse_place")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.workflow}"


class SecretUserPermission(UserObjectPermissionBase):
    """A grant on one secret to one person."""

    content_object = models.ForeignKey(Secret, models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class SecretGroupPermission(GroupObjectPermissionBase):
    """A grant on one secret to a group."""

    content_object = models.ForeignKey(Secret, models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        default_permissions = ()
