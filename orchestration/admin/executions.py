"""Workflows, their executions, and what belongs to these."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from orchestration.models import (
    Artifact,
    Execution,
    ExecutionEvent,
    LogLine,
    MapItem,
    NodeRun,
    WorkerNode,
    Workflow,
    WorkflowVersion,
)
from security.actions import WORKER_VIEW, WORKFLOW_VIEW

from .base import OfExecution, ReadOnlyAdmin, json_column, links_to, page_link


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
        return links_to(("execution", "workflowversion"), "workflow__id__exact", workflow.pk)

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
    definition_json = json_column("definition", _("definition"))


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
    principal_json = json_column("principal", _("acts for"))
    cause_json = json_column("cause", _("cause"))
    error_json = json_column("error", _("error"))
    input_json = json_column("input", _("input"))
    output_json = json_column("output", _("output"))

    @admin.display(description=_("version"))
    def number(self, execution: Execution) -> int:
        return execution.version.number

    @admin.display(description=_("page"))
    def page(self, execution: Execution) -> Any:
        return page_link(execution.pk)

    @admin.display(description=_("rows"))
    def rows(self, execution: Execution) -> Any:
        names = ("noderun", "executionevent", "logline", "artifact", "signal", "wait")
        return links_to(names, "execution__id__exact", execution.pk)


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
    progress_json = json_column("progress", _("progress"))
    error_json = json_column("error", _("error"))
    result_json = json_column("result", _("result"))

    @admin.display(description=_("rows"))
    def rows(self, run: NodeRun) -> Any:
        return links_to(("journalentry", "wait"), "node_run__id__exact", run.pk)


@admin.register(MapItem)
class MapItemAdmin(ReadOnlyAdmin):
    heavy = ("value",)
    list_display = ("id", "node_run_id", "fence", "index")
    fields = ("node_run", "fence", "index", "value_json")
    value_json = json_column("value", _("value"))


@admin.register(ExecutionEvent)
class ExecutionEventAdmin(OfExecution):
    list_display = ("id", "seq", "type", "node", "index", "attempt", "at", "execution_link", "page")
    fields = ("execution", "page", "seq", "type", "at", "node", "index", "attempt", "data_json")
    data_json = json_column("data", _("data"))


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
    broken_modules_json = json_column("broken_modules", _("broken modules"))
