"""An attempt whose body has waited, as people see it: one attempt, its waits apart, and what it remembers."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.authtoken.models import Token

from orchestration import RetryPolicy, SignalTimeout, WorkflowBuilder, executor, queries
from orchestration.management.board import Board
from orchestration.models import Execution, NodeRun
from orchestration.queries.events import instant
from orchestration.store.versions import graph_of
from orchestration.testing import run
from orchestration.web.history import attempts, spans
from orchestration.web.timeline import BARS, make_timeline
from tests import factories

pytestmark = pytest.mark.django_db


def order(ctx):
    number = ctx.step("reserve", lambda: {"number": 17})
    ctx.sleep("1h")
    try:
        ctx.wait_for_signal("paid", timeout="1d")
    except SignalTimeout:
        ctx.step("cancel", lambda: "x" * 100)
    return ctx.wait_for_signal("said") and number


def fails_first(ctx):
    ctx.sleep("1h")
    if ctx.attempt == 1:
        raise ConnectionError("down")
    ctx.sleep("2h")
    return 1


def waiting(body=order, **options):
    builder = WorkflowBuilder("orders").add_node("order", body, **options)
    return run(builder.add_node("then", factories.nothing, depends_on=["order"]).build())


def execution_of(result):
    return Execution.objects.select_related("workflow", "version").get(pk=result.id)


def row(result):
    return NodeRun.objects.get(execution=result.id, node="order", superseded=False)


def first_start(result):
    return next(e["at"] for e in result.events if e["type"] == "node.started" and e["node"] == "order")


def hours(row):
    return round((row.finished_at - row.started_at).total_seconds() / 3600)


def test_a_node_that_has_waited_keeps_the_time_at_which_it_began_first():
    result = waiting()
    assert row(result).status == "waiting"
    assert row(result).parked == 3
    assert instant(row(result).started_at) == first_start(result)
    with result.now():
        executor.pause(result.id, principal=result.principal)
    held = result.go_on(signals=[("said", 1)])
    assert row(held).status == "ready"
    assert instant(row(held).started_at) == first_start(result)
    with held.now():
        executor.resume(held.id, principal=result.principal)
    ended = held.go_on()
    assert ended.status == "succeeded"
    assert instant(row(ended).started_at) == first_start(result)
    assert hours(row(ended)) == 25


def test_its_events_tell_how_long_the_whole_attempt_took_and_how_long_it_ran_at_last():
    ended = waiting().go_on(signals=[("said", 1)])
    [completed] = [e["data"] for e in ended.events if e["type"] == "node.completed" and e["node"] == "order"]
    assert round(completed["duration"] / 3_600_000) == 25
    assert completed["ran"] < 5_000


def test_an_attempt_that_follows_begins_anew():
    ended = waiting(fails_first, retry=RetryPolicy(max_attempts=2, initial_interval="3h", max_interval="3h"))
    assert ended.status == "succeeded"
    assert hours(row(ended)) == 2
    [retrying] = [e["data"] for e in ended.events if e["type"] == "node.retrying"]
    assert round(retrying["duration"] / 3_600_000) == 1


def test_an_attempt_with_its_waits_is_one():
    ended = waiting(fails_first, retry=RetryPolicy(max_attempts=2, initial_interval="3h", max_interval="3h"))
    of_node = spans(queries.node_events(ended.id, "order"))[("order", None, None)]
    found = attempts(of_node)
    assert [(each.span.attempt, each.span.outcome, round(each.waited / 3600)) for each in found] == [
        (1, "failed", 1),
        (2, "succeeded", 2),
    ]


def test_an_attempt_that_ends_while_it_waits_has_that_end():
    result = waiting(order, deadline="30m")
    assert [e["type"] for e in result.events if e["node"] == "order"][-1] == "node.failed"
    assert round((row(result).finished_at - row(result).started_at).total_seconds() / 60) == 30
    assert result.error["type"] == "DeadlineExceeded"
    [attempt] = attempts(spans(queries.node_events(result.id, "order"))[("order", None, None)])
    assert (attempt.span.outcome, attempt.span.error["type"]) == ("timed_out", "DeadlineExceeded")


def timeline_of(result):
    execution = execution_of(result)
    graph, runs = graph_of(execution.version_id), queries.node_runs(execution)
    views, events = queries.node_view(graph, runs, execution), queries.node_events(execution.pk)
    end = max(run.finished_at for run in runs if run.finished_at is not None)
    return make_timeline(graph, views, events, execution.created_at, end)


def test_the_timeline_shows_waits_apart_from_what_ran():
    [line, _then] = timeline_of(waiting().go_on(signals=[("said", 1)])).rows
    waits = [bar.title for bar in line.bars if bar.kind == "waiting"]
    assert [re.sub(r" · .*", "", title) for title in waits] == [
        "Waits for the end of a sleep",
        "Waits for the signal “paid”",
        "Waits for the signal “said”",
    ]
    assert line.attempts == 1
    assert {bar.status for bar in line.bars if bar.kind == "running"} == {"succeeded"}
    assert round(line.waited / 3600) == 25


def test_a_body_that_was_repeated_very_often_is_drawn_with_few_bars():
    workflow = WorkflowBuilder("often").repeat(
        "order", lambda ctx: 1, until=lambda ctx, found: ctx.iteration == 250, max_iterations=300, delay=1
    )
    [line] = timeline_of(run(workflow.build())).rows
    assert line.attempts == 1
    assert BARS / 2 < len(line.bars) <= BARS


def test_the_command_line_counts_from_the_first_start():
    ended = waiting().go_on(signals=[("said", 1)])
    board = Board(graph_of(execution_of(ended).version_id))
    board.apply([e for e in ended.events if e["node"]])
    shown = board.rows[("order", None)]
    assert shown.started_at is not None
    assert instant(shown.started_at) == first_start(ended)


def plain(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.content.decode())).split())


def test_the_inspector_shows_what_the_body_remembers_and_waits_for(console):
    result = waiting()
    page = plain(console.get(f"/executions/{result.id}/?node=order"))
    told = ["Journal 4", 'step “reserve” {"number":17}', "sleep 1", "signal “paid” did not come in time"]
    for text in [*told, "step “cancel” Value", "waits for the signal “said”"]:
        assert text in page, text


def test_the_api_gives_the_journal_in_pages(alice):
    result = waiting()
    client = Client(headers={"Authorization": f"Token {Token.objects.create(user=alice).key}"})
    address = f"/api/v1/executions/{result.id}/journal/"
    first = client.get(f"{address}?node=order&limit=3").json()
    assert [(each["kind"], each["name"], each["came"], each["value"]) for each in first["entries"]] == [
        ("step", "reserve", "value", {"number": 17}),
        ("sleep", "sleep", "value", None),
        ("signal", "paid", "timeout", None),
    ]
    assert [(wait["kind"], wait["name"], wait["until"]) for wait in first["waits"]] == [
        ("signal", "said", None)
    ]
    [last] = client.get(f"{address}?node=order&after={first['next']}").json()["entries"]
    assert (last["name"], last["value"], last["beginning"]) == ("cancel", "x" * 100, None)
    refused = client.get(f"{address}?node=ordr")
    assert refused.status_code == 400
    assert 'Did you mean "order"?' in refused.json()["error"]["message"]


def test_the_command_line_prints_the_journal(alice, capsys):
    result = waiting()
    call_command("show", str(result.id), journal=True)
    out = capsys.readouterr().out
    for line in (
        'order  step reserve  {"number": 17}',
        "order  sleep sleep  null",
        "order  signal paid  timeout",
    ):
        assert line in out, out
    call_command("show", str(result.id), journal=True, json=True)
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["journal"]] == [
        "reserve",
        "sleep",
        "paid",
        "cancel",
    ]


def test_iterations_and_what_they_called_are_told_apart():
    workflow = WorkflowBuilder("polls").repeat(
        "order", lambda ctx: ctx.step("ask", lambda: ctx.iteration), until=lambda ctx, found: found == 2,
        max_iterations=3,
    )  # fmt: skip
    result = run(workflow.build())
    found = queries.journal(row(result), repeats=True)
    assert [(each.kind, each.name, each.iteration, each.number) for each in found] == [
        ("step", "ask", 1, 1),
        ("iteration", "iteration", 0, 1),
        ("step", "ask", 2, 1),
        ("iteration", "iteration", 0, 2),
    ]
    assert timezone.now() > found[0].at
