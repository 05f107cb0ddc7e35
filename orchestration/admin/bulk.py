"""Acts on many executions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from orchestration.models import BulkAct, BulkItem

from .base import ReadOnlyAdmin, json_column, links_to, page_link


@admin.register(BulkAct)
class BulkActAdmin(ReadOnlyAdmin):
    heavy = ("principal", "query", "reason", "options")
    search_by = ("id", None)
    search_help_text = _("A bulk act's id")
    ordering = ("-created_at",)
    list_display = ("id", "__str__", "status", "created_by", "created_at", "finished_at", "page")
    list_select_related = ("created_by",)
    fields = (
        *("id", "verb", "options", "total", "status", "page", "rows", "reason", "query"),
        *(
            "created_by",
            "created_at",
            "started_at",
            "finished_at",
            "stopped_by",
            "paced_at",
            "principal_json",
        ),
    )
    principal_json = json_column("principal", _("acts for"))

    @admin.display(description=_("page"))
    def page(self, act: BulkAct) -> Any:
        return format_html('<a href="{}">{}</a>', reverse("bulk_act", args=[act.pk]), _("Console"))

    @admin.display(description=_("rows"))
    def rows(self, act: BulkAct) -> Any:
        return links_to(("bulkitem",), "act__id__exact", act.pk)


@admin.register(BulkItem)
class BulkItemAdmin(ReadOnlyAdmin):
    search_by = ("act", None)
    search_help_text = _("A bulk act's id")
    list_display = ("id", "act_id", "execution_id", "state", "why", "at")
    fields = ("act", "page", "state", "why", "at")

    @admin.display(description=_("page"))
    def page(self, item: BulkItem) -> Any:
        return page_link(item.execution_id)
