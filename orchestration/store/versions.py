"""Workflow and WorkflowVersion rows, kept in step with the code: the canonical graph's checksum decides."""

from __future__ import annotations

from functools import lru_cache

from django.db import transaction

from orchestration import models, registry
from orchestration.engine.builder import Workflow
from orchestration.engine.codec import decode_graph
from orchestration.engine.graph import Graph

_versions: dict[tuple[str, str], models.WorkflowVersion] = {}
_workflows: dict[str, models.Workflow] = {}


def sync() -> None:
    """Write a Workflow row and, where its graph changed, a new WorkflowVersion for all that the code defines."""
    for workflow in registry.all().values():
        version_of(workflow)


def version_of(workflow: Workflow) -> models.WorkflowVersion:
    """Return the version with this workflow's checksum, making it (and the row of the workflow) if need be."""
    checksum = workflow.checksum()
    known = _versions.get((workflow.name, checksum))
    if known is None:
        known = _find_or_make(workflow, checksum)
        _versions[workflow.name, checksum] = known
        _workflows[workflow.name] = known.workflow
    return known


def known_workflow(name: str) -> models.Workflow | None:
    """Return the workflow's row if this process knows a version of it; who may do what goes by its key and name."""
    return _workflows.get(name)


def _find_or_make(workflow: Workflow, checksum: str) -> models.WorkflowVersion:
    about = {"description": workflow.description, "tags": list(workflow.tags), "module": workflow.module}
    with transaction.atomic():
        row, _ = models.Workflow.objects.get_or_create(name=workflow.name, defaults=about)
        # The lock makes numbers consecutive when two processes find the same change.
        row = models.Workflow.objects.select_for_update(of=("self",)).select_related("current").get(pk=row.pk)
        version = row.versions.filter(checksum=checksum).first() or _make(row, workflow, checksum)
        if row.current_id != version.pk or any(getattr(row, name) != value for name, value in about.items()):
            models.Workflow.objects.filter(pk=row.pk).update(current=version, **about)
        _sync_triggers(row, workflow)
    version.workflow = row
    return version


def _make(row: models.Workflow, workflow: Workflow, checksum: str) -> models.WorkflowVersion:
    last = row.versions.order_by("-number").values_list("number", flat=True).first() or 0
    return models.WorkflowVersion.objects.create(
        workflow=row,
        number=last + 1,
        checksum=checksum,
        definition=workflow.definition(),
        node_count=len(workflow.graph.nodes),
    )


def _sync_triggers(row: models.Workflow, workflow: Workflow) -> None:
    """Keep what the code says of events; whether one starts anything, and for whom, is a person's to say."""
    known = {trigger.event: trigger for trigger in row.triggers.all()}
    for event, spec in workflow.triggers.items():
        told = {"filter": spec.filter, "function": spec.where, "declared": True}
        found = known.pop(event, None)
        if found is None:
            row.triggers.create(event=event, **told)
        elif any(getattr(found, name) != value for name, value in told.items()):
            row.triggers.filter(pk=found.pk).update(**told)
    row.triggers.filter(pk__in=[left.pk for left in known.values() if left.declared]).update(declared=False)


def forget_versions() -> None:
    """Drop what is remembered of the database (tests that empty it call this)."""
    _versions.clear()
    _workflows.clear()
    graph_of.cache_clear()


@lru_cache(maxsize=256)
def graph_of(version_id: int) -> Graph:
    """Return the Graph of a version; versions never change, so it is read once in a process."""
    definition = models.WorkflowVersion.objects.values_list("definition", flat=True).get(pk=version_id)
    return decode_graph(definition)
