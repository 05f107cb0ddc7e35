"""The admin's acts in the audit: what was changed, from what to what, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Manager, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from security import audit
from security.principals import Principal

ADDED, CHANGED, DELETED = "admin.add", "admin.change", "admin.delete"
SECRET = ("password", "key", "token", "secret")  # parts of the names of fields whose values are not told
MOST = 500  # characters of one value


class Audited(admin.ModelAdmin):
    """A ModelAdmin whose changes are in the audit; mixed into every one that the site has."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        request._igon7_changes = changes(form)  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _record(request, ADDED, [obj], message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _record(request, CHANGED, [obj], message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        _record(request, DELETED, queryset, None)
        return super().log_deletions(request, queryset)


def audited(cls: type[admin.ModelAdmin]) -> type[admin.ModelAdmin]:
    """Return the class, or one of the same kind whose changes are in the audit."""
    return cls if issubclass(cls, Audited) else type(cls.__name__, (Audited, cls), {})


def changes(form: ModelForm) -> dict[str, list[Any]]:
    """Return what a form changed: [before, after] of each field; of what is secret, only that it changed."""
    found: dict[str, list[Any]] = {}
    for name in form.changed_data:
        if any(part in name.lower() for part in SECRET):
            found[name] = ["(not told)", "(not told)"]
        else:
            found[name] = [_plain(form.initial.get(name)), _plain(form.cleaned_data.get(name))]
    return found


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, QuerySet | Manager | list | tuple | set):
        rows: Iterable[Any] = value.all() if isinstance(value, Manager) else value
        return sorted(str(each) for each in rows)
    return str(value)[:MOST]


def _record(request: HttpRequest, action: str, objects: Iterable[Model], message: Any) -> None:
    details: dict[str, Any] = {"changes": getattr(request, "_igon7_changes", {})} if action != DELETED else {}
    if inlines := [each for each in message or () if isinstance(each, dict) and _is_inline(each)]:
        details["also"] = inlines
    for obj in objects:
        audit.record(Principal.for_request(request), action, obj, details=details)


def _is_inline(part: dict[str, Any]) -> bool:
    return any(isinstance(about, dict) and "name" in about for about in part.values())
