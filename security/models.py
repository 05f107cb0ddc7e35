"""The audit: who did what, to what, from where, with which result; and what a role asks of its members."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from security.fields import Xid8Field
from security.secret_models import (  # noqa: F401 - Django looks for models here
    Secret,
    SecretGroupPermission,
    SecretUse,
    SecretUserPermission,
    SecretVersion,
)


class AuditRecord(models.Model):
    """One act. Append-only: triggers refuse every UPDATE and DELETE, so later facts are other tables."""

    class Outcome(models.TextChoices):
        ALLOWED = "allowed", _("allowed")
        DENIED = "denied", _("denied")
        FAILED = "failed", _("failed")

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)
    action = models.CharField(_("action"), max_length=100)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome)

    principal_kind = models.CharField(_("principal kind"), max_length=10)
    principal_id = models.CharField(_("principal id"), max_length=200)
    principal_name = models.CharField(_("principal"), max_length=200)
    # No constraint and no action on delete: a deleted person's acts stay, unchanged, under their number.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("user"),
    )
    mfa_device = models.CharField(_("MFA device"), max_length=200, blank=True)
    mfa_at = models.DateTimeField(_("MFA at"), null=True, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)
    request_id = models.CharField(_("request id"), max_length=36, blank=True)

    resource_type = models.CharField(_("resource type"), max_length=100, blank=True)
    resource_id = models.CharField(_("resource id"), max_length=200, blank=True)
    resource_name = models.CharField(_("resource"), max_length=200, blank=True)
    details = models.JSONField(_("details"), default=dict, blank=True, encoder=DjangoJSONEncoder)

    txid = Xid8Field()

    class Meta:
        verbose_name = _("audit record")
        verbose_name_plural = _("audit")
        default_permissions = ("view",)
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(outcome__in=["allowed", "denied", "failed"]),
                name="security_auditrecord_outcome",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["at"], name="security_audit_at"),
            # The cursor of whoever reads the audit in the order of its commits.
            models.Index(fields=["txid", "id"], name="security_audit_cursor"),
            # "What happened to this execution?", newest first.
            models.Index(fields=["resource_type", "resource_id", "id"], name="security_audit_resource"),
            # The page's filters; what is rare has an index of its rare rows alone.
            models.Index(fields=["principal_name", "id"], name="security_audit_who"),
            models.Index(fields=["action", "id"], name="security_audit_action"),
            models.Index(
                fields=["outcome", "id"],
                name="security_audit_not_allowed",
                condition=~models.Q(outcome="allowed"),
            ),
            models.Index(
                fields=["address", "id"],
                name="security_audit_address",
                condition=models.Q(address__isnull=False),
            ),
            models.Index(
                fields=["request_id"], name="security_audit_request", condition=~models.Q(request_id="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.principal_name} {self.action} {self.resource_name}".strip()


class UserSession(AbstractBaseSession):
    """A session, and whose it is; `security.sessions` writes it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="sessions", verbose_name=_("user")
    )
    address = models.GenericIPAddressField(_("address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)
    began_at = models.DateTimeField(_("began"), null=True)
    seen_at = models.DateTimeField(_("last seen"), null=True)

    class Meta(AbstractBaseSession.Meta):
        verbose_name = _("session")  # type: ignore[assignment]
        verbose_name_plural = _("sessions")  # type: ignore[assignment]
        default_permissions = ()

    @classmethod
    def get_session_store_class(cls) -> Any:
        from security.sessions import SessionStore

        return SessionStore


class AuditSeal(models.Model):
    """A record's place in the chain, and the digest of all up to there. Append-only; written by `sealing` alone."""

    position = models.BigIntegerField(_("position"), primary_key=True)
    record = models.BigIntegerField(_("record"), unique=True)
    digest = models.CharField(_("digest"), max_length=64)
    txid = models.BigIntegerField(null=True)  # the record's, so that the cursor outlives it
    at = models.DateTimeField(_("sealed"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("audit seal")
        verbose_name_plural = _("audit seals")
        default_permissions = ("view",)
        ordering: ClassVar = ["-position"]

    def __str__(self) -> str:
        return f"{self.position} {self.digest[:12]}"


class AuditSegment(models.Model):
    """A part of the chain that has moved to a file. Append-only: what it names may be deleted, and nothing else."""

    first = models.BigIntegerField(_("first position"), unique=True)
    last = models.BigIntegerField(_("last position"), unique=True)
    last_record = models.BigIntegerField(_("last record"))
    txid = models.BigIntegerField(null=True)
    previous = models.CharField(_("digest before it"), max_length=64)
    digest = models.CharField(_("digest at its end"), max_length=64)
    file = models.CharField(_("file"), max_length=500)
    sha256 = models.CharField(_("SHA-256 of the file"), max_length=64)
    signature = models.CharField(_("signature"), max_length=100)
    at = models.DateTimeField(_("archived"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("audit segment")
        verbose_name_plural = _("audit segments")
        default_permissions = ("view",)
        ordering: ClassVar = ["-last"]

    def __str__(self) -> str:
        return f"{self.first}–{self.last} {self.file}"


class Role(models.Model):
    """What a group is besides a set of permissions."""

    group = models.OneToOneField(
        "auth.Group", models.CASCADE, primary_key=True, related_name="role", verbose_name=_("group")
    )
    everything = models.BooleanField(
        _("may do everything"),
        default=False,
        help_text=_("In igon7, on every workflow; not in the database."),
    )
    requires_mfa = models.BooleanField(
        _("must have a second factor"),
        default=False,
        help_text=_("Without one, its members can do nothing but set one up."),
    )
    given = models.JSONField(_("given by igon7"), default=list, blank=True, editable=False)

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        ordering: ClassVar = ["group__name"]

    def __str__(self) -> str:
        return self.group.name
