"""Reads: filters, paging, what people see of nodes, and why something does not move."""

from collections import Counter

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from guardian.shortcuts import assign_perm

from orchestration import executor, queries
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import InvalidOption, UnknownExecution, UnknownWorkflow
from orchestration.models import Execution
from orchestration.queries import ExecutionFilter, stats
from orchestration.store.versions import graph_of
from security.principals import Principal
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db

BOOM = ("ValueError", "the table is empty")


def found(principal: Principal, query: str) -> list[str]:
    filters = ExecutionFilter.from_query(QueryDict(query))
    return [execution.tags[0] for execution in queries.executions(principal, filters)]


@pytest.fixture
def three(alice: User, etl: Workflow) -> Principal:
    """A failed one of three hours ago, a succeeded one of an hour ago, a running one of another workflow."""
    failed = factories.start_execution(etl, alice, ago=3 * 3600, tags=("failed", "nightly"))
    factories.play(failed, {"transform": Act(error=BOOM)})
    factories.play(factories.start_execution(etl, None, ago=3600, tags=("succeeded",)))
    factories.start_execution(factories.make_workflow("other"), alice, tags=("running", "nightly"))
    return Principal.for_user(alice)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["running", "succeeded", "failed"]),
        ("status=failed&status=running", ["running", "failed"]),
        ("-status=failed", ["running", "succeeded"]),
        ("workflow=etl", ["succeeded", "failed"]),
        ("-workflow=etl", ["running"]),
        ("tag=nightly", ["running", "failed"]),
        ("tag=nightly&tag=failed", ["failed"]),
        ("-tag=nightly", ["succeeded"]),
        ("started_by=alice", ["running", "failed"]),
        ("started_by=shell:root", ["succeeded"]),
        ("since=2h", ["running", "succeeded"]),
        ("until=2h", ["failed"]),
        ("since=4h&until=2h", ["failed"]),
        ("since=2000-01-01&until=2001-01-01T00:00", []),
        ("q=TABLE is", ["failed"]),
        ("q=nothing like it", []),
    ],
)
def test_each_filter_lets_through_what_it_says(three: Principal, query: str, expected: list[str]) -> None:
    assert found(three, query) == expected


def test_an_execution_is_found_by_any_prefix_of_its_id(three: Principal) -> None:
    wanted = queries.executions(three)[0]
    for prefix in (str(wanted.pk), str(wanted.pk)[:13], wanted.pk.hex[:20].upper()):
        rows = queries.executions(three, ExecutionFilter(q=prefix))
        assert wanted in rows, prefix


@pytest.mark.parametrize(
    ("query", "named"),
    [("status=gone", "status"), ("-status=x", "-status"), ("since=soon", "since"), ("q=%00", "q"),
     ("until=0024-99-99", "until"), ("since=99999999999d", "since"), (f"tag={'x' * 201}", "tag")],
)  # fmt: skip
def test_a_filter_that_says_nothing_is_refused_by_name(query: str, named: str) -> None:
    with pytest.raises(InvalidOption, match=f"^{named} is "):
        ExecutionFilter.from_query(QueryDict(query))


def test_a_filter_and_its_query_string_say_the_same() -> None:
    query = "status=failed&-status=queued&workflow=a+b&tag=x&tag=y&started_by=bob&since=24h&q=100%25"
    filters = ExecutionFilter.from_query(QueryDict(query))
    assert ExecutionFilter.from_query(QueryDict(filters.to_query())) == filters
    assert filters.without("tag", "x").tag == ("y",)
    assert filters.without("q", "100%").q == ""


def test_paging_down_and_up_again_meets_each_execution_once(alice: User, etl: Workflow) -> None:
    for number in range(7):
        factories.start_execution(etl, alice, ago=100 - number)
    every = queries.executions(Principal.for_user(alice))
    ids = [row.pk for row in every]
    first = queries.page(every, after=None, limit=3)
    second = queries.page(every, after=first.next, limit=3)
    third = queries.page(every, after=second.next, limit=3)
    assert [row.pk for page in (first, second, third) for row in page.items] == ids
    assert (first.previous, third.next) == (None, None)
    back = queries.page(every, after=None, before=third.previous, limit=3)
    assert [row.pk for row in back.items] == ids[3:6]
    assert queries.page(every, after=None, before=back.previous, limit=3).previous is None
    with pytest.raises(InvalidOption, match="after is 'x'"):
        queries.page(every, after="x")


def test_people_see_only_the_executions_of_workflows_they_may_view(guest: User, etl: Workflow) -> None:
    mine = factories.start_execution(etl, None)
    hidden = factories.start_execution(factories.make_workflow("hidden"), None)
    assign_perm("orchestration.view_workflow", guest, mine.workflow)
    principal = Principal.for_user(guest)
    assert list(queries.executions(principal)) == [mine]
    assert [row.name for row in queries.workflows(principal)] == ["etl"]
    assert stats.count(principal, ExecutionFilter()) == 1
    assert [hour.total for hour in stats.by_hour(principal)][-1] == 1
    with pytest.raises(UnknownExecution):
        queries.execution(principal, hidden.pk)
    with pytest.raises(UnknownWorkflow):
        queries.workflow(principal, "hidden")


def test_nodes_that_were_never_reached_are_shown_as_the_execution_ended(alice: User, etl: Workflow) -> None:
    execution = factories.play(factories.start_execution(etl, alice, ago=10), until=0.5)
    assert statuses(execution) == {"extract": "running", "transform": "pending", "load": "pending"}
    executor.terminate(execution.pk, principal=Principal.for_user(alice))
    execution.refresh_from_db()
    assert statuses(execution) == {"extract": "cancelled", "transform": "cancelled", "load": "cancelled"}


def statuses(execution: Execution) -> dict[str, str]:
    views = queries.node_view(graph_of(execution.version_id), queries.node_runs(execution), execution)
    return {view["node"]: view["status"] for view in views}


def why(execution: Execution) -> str | None:
    execution.refresh_from_db()
    return queries.why(execution, queries.node_runs(execution))


def test_an_execution_that_moves_or_ended_well_needs_no_explanation(alice: User, etl: Workflow) -> None:
    assert why(factories.play(factories.start_execution(etl, alice, ago=10), until=0.5)) is None
    assert why(factories.play(factories.start_execution(etl, alice, ago=10))) is None


def test_the_why_line_names_the_worker_that_is_missing(alice: User, etl: Workflow) -> None:
    execution = factories.start_execution(etl, alice)
    assert why(execution) == "No worker is running. Start one with: manage.py worker"
    factories.worker_node("gpu-1", queues=["gpu"])
    assert why(execution) == "Queued: no running worker serves the queue “default”."
    worker = factories.worker_node("busy", slots=1)
    assert why(execution) is None  # free slots: it is about to move
    other = factories.start_execution(
        factories.make_workflow("other", {"only": ()}), alice, ago=10, priority=1
    )
    factories.play(other, {"only": Act(60)}, worker=worker, until=5)
    assert why(execution) == "Queued: the only worker is busy."


def test_the_why_line_counts_down_to_the_next_attempt(alice: User) -> None:
    flaky = factories.make_workflow("flaky", {"call": ()}, retries={"call": 5})
    execution = factories.start_execution(flaky, alice, ago=0.2)
    factories.play(execution, {"call": Act(0.1, error=("TimeoutError", "no answer"))}, until=0.15)
    assert statuses(execution) == {"call": "retrying"}
    assert why(execution) == "Retrying “call” in 1 s (attempt 2 of 5) after TimeoutError"


def test_the_why_line_says_who_paused_cancelled_or_failed_it(alice: User, etl: Workflow) -> None:
    principal = Principal.for_user(alice)
    failed = factories.play(factories.start_execution(etl, alice, ago=9), {"transform": Act(error=BOOM)})
    assert why(failed) == "“transform” failed: ValueError: the table is empty"
    assert queries.culprit(failed, queries.node_runs(failed)) == "transform"
    paused = factories.start_execution(etl, alice)
    executor.pause(paused.pk, principal=principal, reason="maintenance")
    assert why(paused) == "Paused by alice: maintenance"
    running = factories.play(factories.start_execution(etl, alice, ago=9), until=0.5)
    executor.cancel(running.pk, principal=principal)
    assert why(running) == "Cancelling by alice. “extract” is still stopping."


def test_blocked_code_is_explained_by_its_node(alice: User, etl: Workflow) -> None:
    execution = factories.start_execution(etl, alice, ago=9)
    factories.play(execution, {"extract": Act(blocked="Its module is gone.")})
    assert why(execution) == "Blocked at “extract”: Its module is gone."


@pytest.mark.django_db(transaction=True)  # on PostgreSQL only lines whose transaction has ended are read
def test_log_lines_are_read_from_either_end_and_searched(alice: User, etl: Workflow) -> None:
    lines = [("info", "opening"), ("debug", "row 1"), ("warning", "row 2 is odd"), ("error", "row 3 is bad")]
    execution = factories.start_execution(etl, alice, ago=60)
    factories.play(
        execution, {"extract": Act(2, lines=lines), "load": Act(lines=[("info", "Opening the sink")])}
    )
    every = queries.log_lines(execution.pk)
    assert [line["message"] for line in every] == [*(text for _, text in lines), "Opening the sink"]
    assert [line["level"] for line in every] == ["info", "debug", "warning", "error", "info"]
    assert queries.log_lines(execution.pk, after=every[2]["id"]) == every[3:]
    assert queries.last_log_lines(execution.pk, limit=2) == every[3:]
    assert queries.last_log_lines(execution.pk, before=every[3]["id"], limit=2) == every[1:3]
    assert len(queries.log_lines(execution.pk, node="load")) == 1
    assert len(queries.log_lines(execution.pk, q="OPENING")) == 2
    assert [line["level"] for line in queries.log_lines(execution.pk, level=30)] == ["warning", "error"]


def test_events_read_as_everywhere(alice: User, etl: Workflow) -> None:
    execution = factories.play(factories.start_execution(etl, alice, ago=60))
    events = queries.events_after(execution.pk)
    assert [event["seq"] for event in events] == list(range(1, execution.seq + 1))
    assert set(events[0]) == {"seq", "type", "at", "node", "index", "attempt", "data"}
    assert (events[0]["type"], events[-1]["type"]) == ("execution.started", "execution.completed")
    assert queries.events_after(execution.pk, seq=3, limit=2) == events[3:5]


def test_the_hours_and_the_lists_they_link_to_count_the_same(three: Principal) -> None:
    hours = stats.by_hour(three)
    assert len(hours) == 24
    assert sum((hour.counts for hour in hours), Counter()) == Counter(failed=1, succeeded=1, running=1)
    for hour in hours:
        between = ExecutionFilter(since=hour.start.isoformat(), until=hour.end.isoformat())
        assert stats.count(three, between) == hour.total


def test_recent_executions_of_all_workflows_take_two_queries(
    three: Principal, alice: User, etl: Workflow, django_assert_num_queries
) -> None:
    for number in range(5):
        factories.start_execution(etl, alice, ago=50 - number)
    workflows = list(queries.workflows(three))
    with django_assert_num_queries(4):  # the others ask who Alice is now, and what she may
        last = stats.recent(three, workflows, 3)
    assert {workflow.name: len(last[workflow.pk]) for workflow in workflows} == {"etl": 3, "other": 1}
    newest = list(queries.executions(three).filter(workflow__name="etl")[:3])
    assert last[workflows[0].pk] == newest


def test_the_summary_is_of_what_ended(alice: User, etl: Workflow) -> None:
    for seconds in (1, 2, 3, 10):
        factories.play(factories.start_execution(etl, alice, ago=600), {"load": Act(seconds)})
    factories.play(factories.start_execution(etl, alice, ago=600), {"load": Act(error=BOOM)})
    factories.start_execution(etl, alice)
    summary = stats.summarise(Execution.objects.all())
    assert (summary.ended, summary.succeeded, summary.success) == (5, 4, 80.0)
    assert summary.p50 is not None
    assert summary.p95 is not None
    assert 4 <= summary.p50 < 5 < 12 <= summary.p95 < 13
