"""What passes between bodies, executions and people, and what bodies keep."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from orchestration.models import (
    Child,
    Delivery,
    Event,
    JournalEntry,
    Receipt,
    Signal,
    StateEntry,
    Trigger,
    Wait,
)
from security.actions import EVENT_VIEW, WORKFLOW_VIEW

from .base import OfExecution, ReadOnlyAdmin, json_column


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    heavy = ("value",)
    list_display = ("id", "node_run_id", "kind", "key", "came", "at")
    fields = ("node_run", "kind", "key", "came", "at", "value_json")
    value_json = json_column("value", _("value"))


@admin.register(Signal)
class SignalAdmin(OfExecution):
    heavy = ("payload",)
    list_display = ("id", "name", "sender", "received_at", "consumed_at", "execution_link", "page")
    fields = (
        *("execution", "page", "name", "sender", "sent_id"),
        *("received_at", "consumed_at", "node_run", "payload_json"),
    )
    payload_json = json_column("payload", _("payload"))


@admin.register(Wait)
class WaitAdmin(OfExecution):
    list_display = ("id", "kind", "name", "since", "wake_at", "execution_link", "page")
    fields = ("execution", "page", "node_run", "kind", "name", "key", "since", "wake_at", "about_json")
    about_json = json_column("about", _("about"))


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
    output_json, error_json = json_column("output", _("output")), json_column("error", _("error"))


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    search_by = ("target", None)
    search_help_text = _("Whom it is for")
    list_display = ("id", "kind", "target", "source", "at")
    fields = ("kind", "target", "source", "at", "about_json")
    about_json = json_column("about", _("about"))


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    action = EVENT_VIEW
    heavy = ("data",)
    search_by = ("id", "name")
    search_help_text = _("An event's id, or its name")
    list_display = ("id", "name", "source", "sender", "accepted_at", "delivered_at")
    fields = (
        *("id", "name", "source", "sent_id", "subject", "sender", "user", "workflow", "execution", "node"),
        *("hops", "accepted_at", "delivered_at", "attributes_json", "data_json"),
    )
    attributes_json, data_json = (
        json_column("attributes", _("further attributes")),
        json_column("data", _("data")),
    )


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    action = EVENT_VIEW
    search_by = ("event", None)
    search_help_text = _("An event's id")
    list_display = ("id", "event_id", "outcome", "workflow", "execution_id", "node", "at")
    fields = ("event", "outcome", "workflow", "execution", "node", "index", "why", "at")
    list_select_related = ("workflow",)


@admin.register(Trigger)
class TriggerAdmin(ReadOnlyAdmin):
    action = WORKFLOW_VIEW
    search_by = (None, "event")
    search_help_text = _("An event's name")
    list_display = ("id", "workflow", "event", "enabled", "declared", "owner", "changed_by", "changed_at")
    fields = (
        *("workflow", "event", "filter", "function", "declared", "enabled", "owner", "as_system"),
        *("changed_by", "changed_at"),
    )
    list_select_related = ("workflow", "owner")


@admin.register(StateEntry)
class StateEntryAdmin(ReadOnlyAdmin):
    heavy = ("value",)
    list_display = ("id", "scope", "owner", "key", "version", "expires_at", "updated_at", "person", "by_node")
    fields = (
        *("scope", "owner", "key", "version", "expires_at", "updated_at"),
        *("person", "by_execution", "by_node", "value_json"),
    )
    value_json = json_column("value", _("value"))
