"""The app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SecurityConfig(AppConfig):
    name = "security"
    verbose_name = _("Security")

    def ready(self) -> None:
        """Register the checks, the login records and the audit as a guarded model."""
        from security import administrators, checks, roles, signals  # noqa: F401
        from security.actions import AUDIT_VIEW, PERSON_VIEW
        from security.objects import register

        roles.connect()
        administrators.connect()
        roles.give("security", "view_auditrecord", roles.ADMIN, roles.AUDITOR)
        roles.give("security", "view_role", roles.ADMIN, roles.AUDITOR)
        register(
            "security.Role",
            actions={PERSON_VIEW: "view_role"},
            visible_to=lambda user, rows: rows if user.has_perm("security.view_role") else rows.none(),
        )
        register(
            "security.AuditRecord",
            actions={AUDIT_VIEW: "view_auditrecord"},
            visible_to=lambda user, rows: rows if user.has_perm("security.view_auditrecord") else rows.none(),
        )
