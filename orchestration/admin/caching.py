"""Results that are kept for equal executions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from orchestration.models import CacheCount, CachedValue, CacheEntry, CacheFlight, CacheGeneration, CacheWait
from security.actions import WORKFLOW_VIEW

from .base import ReadOnlyAdmin, page_link


@admin.register(CacheEntry)
class CacheEntryAdmin(ReadOnlyAdmin):
    action = WORKFLOW_VIEW
    search_by = ("execution", "workflow")
    search_help_text = _("An execution's id, or a workflow's name")
    ordering = ("-at",)
    list_display = ("key", "workflow", "node", "store", "scope", "size", "at", "expires_at")
    fields = ("key", "workflow", "node", "body", "store", "scope", "tags", "page", "size", "at", "expires_at")

    @admin.display(description=_("execution"))
    def page(self, entry: CacheEntry) -> Any:
        return page_link(entry.execution)


@admin.register(CachedValue)
class CachedValueAdmin(ReadOnlyAdmin):
    ordering = ("-pk",)
    heavy = ("value",)
    list_display = ("key", "expires_at")
    fields = ("key", "expires_at")  # values are whatever anybody keeps in the default cache


@admin.register(CacheFlight)
class CacheFlightAdmin(ReadOnlyAdmin):
    ordering = ("-pk",)
    list_display = fields = ("key", "run_id", "fence", "page")

    @admin.display(description=_("execution"))
    def page(self, flight: CacheFlight) -> Any:
        return page_link(flight.execution)


@admin.register(CacheWait)
class CacheWaitAdmin(ReadOnlyAdmin):
    ordering = ("-pk",)
    list_display = fields = ("run_id", "fence", "key")


@admin.register(CacheGeneration)
class CacheGenerationAdmin(ReadOnlyAdmin):
    ordering = ("-pk",)
    list_display = fields = ("name", "number")


@admin.register(CacheCount)
class CacheCountAdmin(ReadOnlyAdmin):
    action = WORKFLOW_VIEW
    search_by = (None, "workflow")
    search_help_text = _("A workflow's name")
    list_display = fields = ("workflow", "node", "minute", "hits", "misses")
