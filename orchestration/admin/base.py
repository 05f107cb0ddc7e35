"""What every page of the admin is: rows to look at, and links between them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from security.actions import EXECUTION_VIEW
from security.policies import allowed
from security.principals import Principal

MOST_COUNTED = 10_000
MOST_SHOWN = 100_000  # characters of one JSON value


class BoundedPaginator(Paginator):
    """Counts no further than MOST_COUNTED rows: a page takes as long with millions as with thousands."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return len(rows.order_by("-pk").values_list("pk")[:MOST_COUNTED])


def json_column(field: str, title: Any) -> Callable[[Any, Model], Any]:
    """Return a column that shows a JSON field indented, cut off visibly where it is long."""

    @admin.display(description=title)
    def shown(_admin: Any, row: Model) -> Any:
        value = getattr(row, field)
        if value is None:
            return "-"
        text = json.dumps(value, ensure_ascii=False, indent=2)
        return format_html("<pre>{}</pre>", text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n…")

    return shown


def page_link(execution_id: uuid.UUID) -> Any:
    return format_html('<a href="{}">{}</a>', reverse("execution", args=[execution_id]), _("Console"))


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows to look at, newest first; `search_by` names the columns an id, or another text, is sought in."""

    action: ClassVar[str] = EXECUTION_VIEW
    heavy: ClassVar[tuple[str, ...]] = ()  # columns that a list leaves in the database
    search_by: ClassVar[tuple[str | None, str | None]] = (None, None)
    actions = None
    ordering = ("-id",)
    sortable_by = ()  # by any other column would mean sorting the whole table
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(Principal.for_request(request), self.action)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer(*self.heavy)

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [name for name in self.search_by if name]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look for exactly the term: a pattern would read every row."""
        term, (by_id, by_text) = search_term.strip().replace("\0", ""), self.search_by
        if not term:
            return queryset, False
        try:
            wanted: dict[str, Any] = {by_id: uuid.UUID(term)} if by_id else {}
        except ValueError:
            wanted = {}
        if not wanted and by_text:
            wanted = {by_text: term}
        return (queryset.filter(**wanted) if wanted else queryset.none()), False


class OfExecution(ReadOnlyAdmin):
    """Rows that belong to an execution."""

    list_select_related = ("execution",)
    search_by = ("execution", None)
    search_help_text = _("An execution's id")

    @admin.display(description=_("execution"))
    def execution_link(self, row: Any) -> Any:
        address = reverse("admin:orchestration_execution_change", args=[row.execution_id])
        return format_html('<a href="{}">{}</a>', address, row.execution_id)

    @admin.display(description=_("page"))
    def page(self, row: Any) -> Any:
        return page_link(row.execution_id)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        heavy = ("input", "output", "error", "cause", "principal", "labels", "tags")
        return super().get_queryset(request).defer(*self.heavy, *(f"execution__{name}" for name in heavy))


def links_to(models: tuple[str, ...], lookup: str, key: Any) -> Any:
    """Return links to the lists of the rows that belong to this one."""
    addresses = ((reverse(f"admin:orchestration_{name}_changelist"), lookup, key, name) for name in models)
    titles = {model._meta.model_name: model._meta.verbose_name_plural for model in admin.site._registry}
    return format_html_join(
        " · ",
        '<a href="{}?{}={}">{}</a>',
        ((a, by, k, titles.get(name, name)) for a, by, k, name in addresses),
    )
