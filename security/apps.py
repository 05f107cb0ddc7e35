"""The app."""

from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SecurityConfig(AppConfig):
    name = "security"
    verbose_name = _("Security")

    def ready(self) -> None:
        """Register the checks, the login records and the audit as a guarded model."""
        from security import administrators, checks, roles, signals  # noqa: F401
        from security.actions import AUDIT_VIEW, PERSON_VIEW, SECRET_CHANGE, SECRET_USE, SECRET_VIEW
        from security.objects import register

        roles.connect()
        administrators.connect()
        roles.give("security", "view_auditrecord", roles.ADMIN, roles.AUDITOR)
        roles.give("security", "view_role", roles.ADMIN, roles.AUDITOR)
        for codename in ("view_secret", "use_secret", "change_secret"):
            roles.give("security", codename, roles.ADMIN)
        register(
            "security.Secret",
            actions={SECRET_VIEW: "view_secret", SECRET_USE: "use_secret", SECRET_CHANGE: "change_secret"},
            visible_to=_secrets,
        )
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


def _secrets(user: Any, rows: Any) -> Any:
    from guardian.shortcuts import get_objects_for_user

    if user.has_perm("security.view_secret"):
        return rows
    mine = get_objects_for_user(
        user, "security.view_secret", rows.model.objects.all(), accept_global_perms=False
    )
    return rows.filter(pk__in=mine.values("pk"))
