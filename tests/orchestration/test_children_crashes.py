"""Families whose workers die at every commit."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration import WorkflowBuilder
from orchestration.engine.builder import Workflow
from orchestration.models import Child, Delivery, Execution
from orchestration.testing import Result, crash_everywhere

pytestmark = pytest.mark.django_db(transaction=True)


def one(name: str, body: Any) -> Workflow:
    return WorkflowBuilder(name).add_node("work", body).build()


double = one("double", lambda ctx: ctx.input["n"] * 2)
waiting = one("waiting", lambda ctx: ctx.wait_for_signal("go"))


def chain(ctx: Any) -> Any:
    first = ctx.run_child("double", {"n": 1})["work"]
    ctx.start_child("double", {"n": 9})
    return [each["work"] for each in ctx.run_children([("double", {"n": first}), ("double", {"n": 5})])]


def family(result: Result) -> Any:
    """Return what a run came to: nothing may be started twice, or be owed still."""
    assert not Delivery.objects.exists()
    children = [(each.workflow, str(each.status), each.output) for each in result.children]
    return result.status, result.output, sorted(children, key=str)


def test_wherever_a_worker_dies_each_child_is_started_once_and_its_end_is_told() -> None:
    tried = crash_everywhere(one("parent", chain), workflows=[double], compare=family)
    assert tried.result.nodes["work"].output == [4, 10]
    assert tried.crashes > 20


def test_wherever_a_worker_dies_the_end_of_a_parent_ends_its_children() -> None:
    def leaves(ctx: Any) -> None:
        ctx.start_child("waiting", on_parent_close="cancel")
        ctx.start_child("waiting", on_parent_close="terminate")

    tried = crash_everywhere(one("parent", leaves), workflows=[waiting], compare=family)
    assert {each.status for each in tried.result.children} == {"cancelled", "terminated"}
    assert Child.objects.filter(open=True).count() == Execution.objects.filter(finished_at=None).count() == 0
