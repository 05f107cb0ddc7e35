"""What a body puts on record itself."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.testing import crash_everywhere, run
from security.models import AuditRecord
from security.roles import ROLES

pytestmark = pytest.mark.django_db(transaction=True)


def single(body, **options):
    return WorkflowBuilder("audited", output="work").add_node("work", body, **options).build()


def accesses(ctx):
    ctx.audit(action="DATA_ACCESS", resource="user-data", details={"user": "123"})
    return "done"


async def accesses_async(ctx):
    await ctx.audit(action="DATA_ACCESS", resource="user-data", details={"user": "123"})
    return "done"


def records():
    return list(AuditRecord.objects.filter(action__startswith="workflow.D"))


@pytest.mark.parametrize("body", [accesses, accesses_async])
def test_a_body_puts_on_record_what_it_does_for_whom_it_acts(body):
    result = run(single(body))
    [record] = records()
    assert (record.action, record.resource_id) == ("workflow.DATA_ACCESS", "user-data")
    assert record.details == {"user": "123", "by": {"execution": str(result.id), "node": "work"}}
    assert record.principal_kind == "system"


def test_what_runs_again_is_on_record_once():
    failing = iter([True, False])

    def body(ctx):
        accesses(ctx)
        ctx.sleep("1h")
        if next(failing):
            raise ValueError
        return "done"

    retry = RetryPolicy(max_attempts=2, initial_interval=0.1)
    assert run(single(body, retry=retry)).output == "done"
    assert len(records()) == 1


def test_wherever_a_worker_dies_it_is_on_record_once():
    assert crash_everywhere(single(accesses))
    executions = [record.details["by"]["execution"] for record in records()]
    assert executions
    assert len(executions) == len(set(executions)), "none is on record twice"


def test_a_transactional_body_that_fails_leaves_no_record():
    def body(ctx):
        Group.objects.create(name="written")
        accesses(ctx)
        raise ValueError

    assert run(single(body, transactional=True, timeout=5)).status == "failed"
    assert (records(), Group.objects.exclude(name__in=ROLES).count()) == ([], 0)


@pytest.mark.parametrize(
    "about",
    [
        {"action": ""},
        {"action": "x" * 81},
        {"action": "x", "resource": 7},
        {"action": "x", "details": [1]},
        {"action": "x", "details": {"much": "x" * 20_000}},
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_name(about):
    result = run(single(lambda ctx: ctx.audit(**about)))
    assert result.status == "failed"
    assert result.nodes["work"].error["code"] in ("invalid_option", "payload_too_large")
