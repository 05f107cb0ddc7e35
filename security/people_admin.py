"""People and roles in the admin: for whoever decides about them, and never a gain for whoever that is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from security.actions import PERSON_MANAGE, PERSON_VIEW
from security.policies import allowed
from security.principals import Principal

for _model in (User, Group):
    admin.site.unregister(_model)


class _Decided(admin.options.BaseModelAdmin):
    """Asks igon7's policies in the place of Django's permissions."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request) or allowed(Principal.for_request(request), PERSON_VIEW)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj)

    def _may(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False  # their password would be a way to more
        return allowed(Principal.for_request(request), PERSON_MANAGE)


@admin.register(User)
class PersonAdmin(_Decided, UserAdmin):
    """Lists people."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = set(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:
            fixed.add("is_superuser")
        if obj is not None and obj.pk == request.user.pk:
            fixed |= {"is_superuser", "groups", "user_permissions"}
        return tuple(sorted(fixed))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():  # Django's own saves first and records later
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class RolePermissionsAdmin(_Decided, GroupAdmin):
    """Lists roles with their permissions."""
