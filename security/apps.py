"""The app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SecurityConfig(AppConfig):
    name = "security"
    verbose_name = _("Security")

    def ready(self) -> None:
        """Register the checks, the login records and the audit as a guarded model."""
        from security import checks, signals  # noqa: F401
        from security.actions import AUDIT_VIEW
        from security.objects import register

        register(
            "security.AuditRecord",
            actions={AUDIT_VIEW: "view_auditrecord"},
            visible_to=lambda user, rows: rows if user.has_perm("security.view_auditrecord") else rows.none(),
        )
