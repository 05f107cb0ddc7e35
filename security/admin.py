"""The audit in the admin, to be read and never changed; and what roles ask of their members."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from security import people_admin  # noqa: F401
from security.actions import AUDIT_VIEW, PERSON_MANAGE, PERSON_VIEW
from security.admin_audit import Audited
from security.models import AuditRecord, Role
from security.policies import allowed
from security.principals import Principal


@admin.register(AuditRecord)
class AuditRecordAdmin(admin.ModelAdmin):
    """Lists audit records, newest first."""

    list_display = ("at", "principal_name", "action", "resource_type", "resource_name", "outcome", "address")
    list_display_links = ("at", "action")
    list_filter = ("outcome", "principal_kind", "action", "resource_type")
    search_fields = ("=principal_name", "=action", "=resource_id", "resource_name", "=request_id")
    date_hierarchy = "at"
    ordering = ("-id",)
    show_full_result_count = False
    list_per_page = 50

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(Principal.for_request(request), AUDIT_VIEW, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Role)
class RoleAdmin(Audited):
    """Lists what roles ask for; the groups themselves are Django's."""

    list_display = ("group", "everything", "requires_mfa")
    list_select_related = ("group",)
    fields = ("group", "everything", "requires_mfa")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(Principal.for_request(request), PERSON_VIEW)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(Principal.for_request(request), PERSON_MANAGE)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return allowed(Principal.for_request(request), PERSON_MANAGE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
