"""The admin: everything to be read, nothing to be changed, because only the store writes executions."""

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

from security.actions import EXECUTION_VIEW, WORKER_VIEW, WORKFLOW_VIEW
from security.policies import allowed
from security.principals import Principal

from .models import (
    Artifact,
    BulkAct,
    BulkItem,
    CacheCount,
    CachedValue,
    CacheEntry,
    CacheFlight,
    CacheGeneration,
    CacheWait,
    Child,
    Delivery,
    Execution,
    ExecutionEvent,
    JournalEntry,
    LogLine,
    MapItem,
    NodeRun,
    Signal,
    StateEntry,
    Wait,
    WorkerNode,
    Workflow,
    WorkflowVersion,
)

MOST_COUNTED = 10_000
MOST_SHOWN = 100_000  # characters of one JSON value


class BoundedPaginator(Paginator):
    """Counts no further than MOST_COUNTED rows: a page takes as long with millions as with thousands."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return len(rows.order_by("-pk").values_list("pk")[:MOST_COUNTED])


def _json(field: str, title: Any) -> Callable[[Any, Model], Any]:
    """Return a column that shows a JSON field indented, cut off visibly where it is long."""

    @admin.display(description=title)
    def shown(_admin: Any, row: Model) -> Any:
        value = getattr(row, field)
        if value is None:
            return "-"
        text = json.dumps(value, ensure_ascii=False, indent=2)
        return format_html("<pre>{}</pre>", text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n…")

    return shown


def _page(execution_id: uuid.UUID) -> Any:
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
        return _page(row.execution_id)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        heavy = ("input", "output", "error", "cause", "principal", "labels", "tags")
        return super().get_queryset(request).defer(*self.heavy, *(f"execution__{name}" for name in heavy))


@admin.register(Workflow)
class WorkflowAdmin(ReadOnlyAdmin):
    action = WORKFLOW_VIEW
    heavy = ("current__definition",)
    search_by = (None, "name")
    search_help_text = _("A workflow's name")
    ordering = ("name",)
    list_display = ("name", "current", "module", "updated_at", "page")
    list_select_related = ("current__workflow",)
    fields = ("name", "description", "tags", "module", "current", "created_at", "updated_at", "rows", "page")

    @admin.display(description=_("executions and versions"))
    def rows(self, workflow: Workflow) -> Any:
        return _lists(("execution", "workflowversion"), "workflow__id__exact", workflow.pk)

    @admin.display(description=_("page"))
    def page(self, workflow: Workflow) -> Any:
        return format_html('<a href="{}">{}</a>', reverse("workflow", args=[workflow.name]), _("Console"))


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin):
    action = WORKFLOW_VIEW
    heavy = ("definition",)
    search_by = (None, "workflow__name")
    search_help_text = _("A workflow's name")
    list_display = ("__str__", "node_count", "checksum", "created_at")
    list_select_related = ("workflow",)
    fields = ("workflow", "number", "checksum", "node_count", "created_at", "definition_json")
    definition_json = _json("definition", _("definition"))


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin):
    heavy = ("input", "output", "error", "cause", "principal", "labels", "tags", "version__definition")
    search_by = ("id", "idempotency_key")
    search_help_text = _("An execution's id or its idempotency key")
    list_display = ("id", "workflow", "number", "status", "started_by", "created_at", "finished_at", "page")
    list_filter = ("status", "workflow")
    list_select_related = ("workflow", "version", "started_by")
    fields = (
        *("id", "workflow", "version", "status", "generation", "page", "rows"),
        *("created_at", "started_at", "finished_at", "deadline_at"),
        *("priority", "queue", "started_by", "parent", "idempotency_key"),
        *("seq", "open_nodes", "failures", "blocked_nodes"),
        *("principal_json", "tags", "labels", "cause_json", "error_json", "input_json", "output_json"),
    )
    principal_json = _json("principal", _("acts for"))
    cause_json = _json("cause", _("cause"))
    error_json = _json("error", _("error"))
    input_json = _json("input", _("input"))
    output_json = _json("output", _("output"))

    @admin.display(description=_("version"))
    def number(self, execution: Execution) -> int:
        return execution.version.number

    @admin.display(description=_("page"))
    def page(self, execution: Execution) -> Any:
        return _page(execution.pk)

    @admin.display(description=_("rows"))
    def rows(self, execution: Execution) -> Any:
        names = ("noderun", "executionevent", "logline", "artifact", "signal", "wait")
        return _lists(names, "execution__id__exact", execution.pk)


@admin.register(NodeRun)
class NodeRunAdmin(OfExecution):
    heavy = ("result", "error", "progress", "labels")
    list_display = (
        "id",
        "__str__",
        "status",
        "attempt",
        "execution_link",
        "started_at",
        "finished_at",
        "page",
    )
    fields = (
        *("execution", "page", "node", "index", "for_node", "generation", "superseded"),
        *("status", "verdict", "held", "attempt", "parked", "losses", "ok", "failed", "skipped", "rows"),
        *("queue", "lane", "priority", "available_at", "worker", "fence", "lease_until"),
        *("ready_at", "started_at", "finished_at", "progress_json", "error_json", "result_json"),
    )
    progress_json = _json("progress", _("progress"))
    error_json = _json("error", _("error"))
    result_json = _json("result", _("result"))

    @admin.display(description=_("rows"))
    def rows(self, run: NodeRun) -> Any:
        return _lists(("journalentry", "wait"), "node_run__id__exact", run.pk)


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    heavy = ("value",)
    list_display = ("id", "node_run_id", "kind", "key", "came", "at")
    fields = ("node_run", "kind", "key", "came", "at", "value_json")
    value_json = _json("value", _("value"))


@admin.register(MapItem)
class MapItemAdmin(ReadOnlyAdmin):
    heavy = ("value",)
    list_display = ("id", "node_run_id", "fence", "index")
    fields = ("node_run", "fence", "index", "value_json")
    value_json = _json("value", _("value"))


@admin.register(Signal)
class SignalAdmin(OfExecution):
    heavy = ("payload",)
    list_display = ("id", "name", "sender", "received_at", "consumed_at", "execution_link", "page")
    fields = (
        *("execution", "page", "name", "sender", "sent_id"),
        *("received_at", "consumed_at", "node_run", "payload_json"),
    )
    payload_json = _json("payload", _("payload"))


@admin.register(Wait)
class WaitAdmin(OfExecution):
    list_display = ("id", "kind", "name", "since", "wake_at", "execution_link", "page")
    fields = ("execution", "page", "node_run", "kind", "name", "key", "since", "wake_at", "about_json")
    about_json = _json("about", _("about"))


@admin.register(Child)
class ChildAdmin(OfExecution):
    heavy = ("output",)
    ordering = ("-execution",)
    search_by = ("parent", None)
    search_help_text = _("The parent's id")
    list_display = (
        "execution_link",
        "page",
        "parent_id",
        "key",
        "place",
        "depth",
        "on_close",
        "open",
        "status",
    )
    fields = (
        *("execution", "page", "parent", "node_run", "key", "place", "depth", "awaited", "on_close"),
        *("open", "asked", "replaced", "status", "output_json", "error_json"),
    )
    output_json, error_json = _json("output", _("output")), _json("error", _("error"))


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    search_by = ("target", None)
    search_help_text = _("Whom it is for")
    list_display = ("id", "kind", "target", "source", "at")
    fields = ("kind", "target", "source", "at", "about_json")
    about_json = _json("about", _("about"))


@admin.register(StateEntry)
class StateEntryAdmin(ReadOnlyAdmin):
    heavy = ("value",)
    list_display = ("id", "scope", "owner", "key", "version", "expires_at", "updated_at", "person", "by_node")
    fields = (
        *("scope", "owner", "key", "version", "expires_at", "updated_at"),
        *("person", "by_execution", "by_node", "value_json"),
    )
    value_json = _json("value", _("value"))


@admin.register(ExecutionEvent)
class ExecutionEventAdmin(OfExecution):
    list_display = ("id", "seq", "type", "node", "index", "attempt", "at", "execution_link", "page")
    fields = ("execution", "page", "seq", "type", "at", "node", "index", "attempt", "data_json")
    data_json = _json("data", _("data"))


@admin.register(LogLine)
class LogLineAdmin(OfExecution):
    list_display = ("id", "at", "node", "index", "attempt", "level", "__str__", "execution_link", "page")
    fields = (
        "execution",
        "page",
        "node_run",
        "at",
        "node",
        "index",
        "attempt",
        "level",
        "fence",
        "number",
        "message",
    )


@admin.register(Artifact)
class ArtifactAdmin(OfExecution):
    ordering = ("-node_run_id",)  # as good as by time, and indexed
    list_display = ("name", "content_type", "size", "node", "created_at", "execution_link", "file")
    fields = (
        *("id", "execution", "page", "node_run", "node", "index", "attempt"),
        *("name", "content_type", "size", "sha256", "path", "created_at", "file"),
    )

    @admin.display(description=_("file"))
    def file(self, artifact: Artifact) -> Any:
        address = reverse("artifact", args=[artifact.execution_id, artifact.pk])
        return format_html('<a href="{}">{}</a>', address, _("Download"))


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
    principal_json = _json("principal", _("acts for"))

    @admin.display(description=_("page"))
    def page(self, act: BulkAct) -> Any:
        return format_html('<a href="{}">{}</a>', reverse("bulk_act", args=[act.pk]), _("Console"))

    @admin.display(description=_("rows"))
    def rows(self, act: BulkAct) -> Any:
        return _lists(("bulkitem",), "act__id__exact", act.pk)


@admin.register(BulkItem)
class BulkItemAdmin(ReadOnlyAdmin):
    search_by = ("act", None)
    search_help_text = _("A bulk act's id")
    list_display = ("id", "act_id", "execution_id", "state", "why", "at")
    fields = ("act", "page", "state", "why", "at")

    @admin.display(description=_("page"))
    def page(self, item: BulkItem) -> Any:
        return _page(item.execution_id)


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
        return _page(entry.execution)


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
        return _page(flight.execution)


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


@admin.register(WorkerNode)
class WorkerNodeAdmin(ReadOnlyAdmin):
    action = WORKER_VIEW
    search_by = ("id", "name")
    search_help_text = _("A worker node's id or name")
    ordering = ("-heartbeat_at",)
    list_display = (
        "name",
        "host",
        "pid",
        "slots",
        "version",
        "started_at",
        "heartbeat_at",
        "draining",
        "stopped_at",
    )
    fields = (
        *("id", "name", "host", "pid", "queues", "labels", "slots", "version"),
        *("started_at", "heartbeat_at", "draining", "stopped_at", "broken_modules_json"),
    )
    broken_modules_json = _json("broken_modules", _("broken modules"))


def _lists(models: tuple[str, ...], lookup: str, key: Any) -> Any:
    """Return links to the lists of the rows that belong to this one."""
    addresses = ((reverse(f"admin:orchestration_{name}_changelist"), lookup, key, name) for name in models)
    titles = {model._meta.model_name: model._meta.verbose_name_plural for model in admin.site._registry}
    return format_html_join(
        " · ",
        '<a href="{}?{}={}">{}</a>',
        ((a, by, k, titles.get(name, name)) for a, by, k, name in addresses),
    )
