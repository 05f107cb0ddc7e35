"""Bodies known by name."""

from __future__ import annotations

import pytest

from orchestration.engine import tasks
from orchestration.engine.builder import WorkflowBuilder, is_async
from orchestration.engine.errors import InvalidOption
from orchestration.engine.tasks import task


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_tasks", {})


def _make():
    def body(ctx):
        return 1

    return body


def test_a_task_is_found_by_its_name():
    body = task("count")(_make())
    assert tasks.find("count") is body
    assert tasks.find("other") is None
    assert tasks.names() == ["count"]


def test_the_same_body_may_be_registered_again_as_a_reload_does():
    task("count")(_make())
    again = task("count")(_make())
    assert tasks.find("count") is again


def test_two_bodies_cannot_share_a_name():
    task("count")(_make())
    with pytest.raises(InvalidOption) as caught:
        task("count")(lambda ctx: None)
    assert "task name is 'count'" in str(caught.value)
    assert "_make.<locals>.body" in str(caught.value)


def test_a_decorator_without_its_name_is_refused_at_once():
    with pytest.raises(InvalidOption, match="task name is <function") as caught:
        task(_make())
    assert '@task("name")' in str(caught.value)


def test_a_task_knows_its_lane():
    @task("read")
    async def read(ctx):
        return 1

    task("count")(_make())
    assert is_async("read")
    assert not is_async("count")
    assert not is_async("not there yet")


def test_a_registered_function_is_referred_to_by_its_task_name():
    body = task("count")(_make())
    graph = WorkflowBuilder("w").add_node("a", body).add_node("b", "count").build().graph
    assert [graph.nodes[id].body for id in "ab"] == ["task:count", "task:count"]
