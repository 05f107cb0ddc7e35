"""Grants on workflows in the admin: to people and to roles, on one workflow or by tag."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Permission
from django.http import HttpRequest

from orchestration.executor import refuse_gain
from orchestration.models import TagGrant, WorkflowGroupPermission, WorkflowUserPermission
from security.actions import GRANT_MANAGE
from security.admin_audit import Audited
from security.policies import allowed
from security.principals import Principal


class GrantAdmin(Audited):
    """Rows that only whoever manages grants sees, makes and takes away; none is edited."""

    list_per_page = 50

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        to = {"person": getattr(obj, "user", None), "role": getattr(obj, "group", None)}
        permission = obj.permission.codename.removesuffix("_workflow")
        workflow = getattr(obj, "content_object", None)
        refuse_gain(Principal.for_request(request), permission, workflow, **to)
        super().save_model(request, obj, form, change)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "permission":
            about = {"content_type__app_label": "orchestration", "content_type__model": "workflow"}
            kwargs["queryset"] = Permission.objects.filter(**about).select_related("content_type")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def _may(self, request: HttpRequest) -> bool:
        return allowed(Principal.for_request(request), GRANT_MANAGE)


@admin.register(WorkflowUserPermission)
class UserGrantAdmin(GrantAdmin):
    """Lists grants to people."""

    list_display = ("content_object", "user", "permission")
    list_select_related = ("content_object", "user", "permission__content_type")
    search_fields = ("content_object__name", "user__username")
    autocomplete_fields = ("user",)


@admin.register(WorkflowGroupPermission)
class GroupGrantAdmin(GrantAdmin):
    """Lists grants to roles."""

    list_display = ("content_object", "group", "permission")
    list_select_related = ("content_object", "group", "permission__content_type")
    search_fields = ("content_object__name", "group__name")


@admin.register(TagGrant)
class TagGrantAdmin(GrantAdmin):
    """Lists grants by tag."""

    list_display = ("tag", "user", "group", "permission")
    list_select_related = ("user", "group", "permission__content_type")
    search_fields = ("tag", "user__username", "group__name")
    autocomplete_fields = ("user",)
