"""What the database itself refuses: an illegal row cannot exist, whoever writes it."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from orchestration import models
from orchestration.engine.states import EXECUTION_TERMINAL, NODE_TERMINAL, ExecutionStatus, NodeStatus
from orchestration.store import clock, versions

from .store_helpers import begin

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


@pytest.fixture
def execution():
    return models.Execution.objects.get(pk=begin({"a": [], "b": ["a"]}))


def refused(rows, name, **values):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        rows.update(**values)


def test_an_execution_is_finished_exactly_when_its_status_is_terminal(execution):
    rows = models.Execution.objects.filter(pk=execution.pk)
    now = clock.now()
    for status in ExecutionStatus:
        ends = status in EXECUTION_TERMINAL
        refused(
            rows,
            "execution_status_fits",
            status=status,
            open_nodes=0,
            finished_at=None if ends else now,
        )
        with transaction.atomic():
            rows.update(status=status, open_nodes=0, finished_at=now if ends else None)


def test_a_node_run_is_finished_and_leased_exactly_when_its_status_says_so(execution):
    rows = models.NodeRun.objects.filter(execution=execution)
    now = clock.now()
    for status in NodeStatus:
        good = {
            "status": status,
            "finished_at": now if status in NODE_TERMINAL else None,
            "lease_until": now if status is NodeStatus.RUNNING else None,
        }
        refused(
            rows,
            "node_status_fits",
            **{**good, "finished_at": None if status in NODE_TERMINAL else now},
        )
        refused(rows, "node_status_fits", **{**good, "lease_until": None if good["lease_until"] else now})
        with transaction.atomic():
            rows.update(**good)


def test_unknown_statuses_are_refused(execution):
    refused(models.Execution.objects.filter(pk=execution.pk), "execution_status_fits", status="done")
    refused(models.NodeRun.objects.filter(execution=execution), "node_status_fits", status="done")


def test_an_ended_execution_has_nothing_open(execution):
    rows = models.Execution.objects.filter(pk=execution.pk)
    values = {"status": "succeeded", "finished_at": clock.now(), "open_nodes": 1}
    refused(rows, "execution_status_fits", **values)


def _copy(row, **values):
    row.pk = None
    for name, value in values.items():
        setattr(row, name, value)
    with transaction.atomic():
        row.save(force_insert=True)


def test_there_is_one_present_row_of_a_node_and_one_event_of_a_number(execution):
    with pytest.raises(IntegrityError):
        _copy(models.NodeRun.objects.get(execution=execution))
    with pytest.raises(IntegrityError):
        _copy(models.NodeRun.objects.get(execution=execution), generation=2)
    with pytest.raises(IntegrityError):
        _copy(models.ExecutionEvent.objects.get(execution=execution, seq=1))
    _copy(models.NodeRun.objects.get(execution=execution), for_node="b")
