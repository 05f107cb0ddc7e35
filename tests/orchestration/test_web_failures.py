"""What the execution page shows of failures: attempts, who caught them, waits, what was undone."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring.reader import Newcomer, read_once
from orchestration import RetryPolicy, WorkflowBuilder, executor
from orchestration.models import Execution, NodeRun
from orchestration.queries import events_after, node_events, node_runs, node_view
from orchestration.store.versions import graph_of
from orchestration.web.history import attempts, spans
from orchestration.web.timeline import critical_path
from security.principals import Principal
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db
ME = Principal.system("tests")
DOWN = Act(0.5, error=("TimeoutError", "no answer"))


def play(
    builder: WorkflowBuilder, by: User, script: factories.Script, until: float | None = None
) -> Execution:
    return factories.play(factories.start_execution(builder.build(), by, ago=60), script, until=until)


def text(client: Client, url: str) -> str:
    """Return what a page says, without its tags."""
    response = client.get(url)
    assert response.status_code == 200, url
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def inspected(client: Client, execution: Execution, node: str, served: str = "") -> str:
    query = f"?node={node}" + (f"&for={served}" if served else "")
    return text(client, f"/executions/{execution.pk}/parts/inspector/{query}")


def patient(**about) -> WorkflowBuilder:
    policy = RetryPolicy(max_attempts=4, initial_interval=10, backoff_coefficient=2)
    return WorkflowBuilder("patient").add_node("call", factories.nothing, retry=policy, **about)


def test_attempts_stand_side_by_side_with_what_they_waited_for(alice: User, console: Client) -> None:
    execution = play(patient(), alice, {"call": [DOWN, DOWN, Act(2, {"ok": 1})]})
    of_node = spans(node_events(execution.pk))["call", None, None]
    found = attempts(of_node)
    assert [each.span.outcome for each in found] == ["failed", "failed", "succeeded"]
    assert [each.span.delay_ms for each in found] == [10_000, 20_000, None]
    assert all(each.queued is not None and each.queued < 1 for each in found)  # a delay is not queueing
    said = inspected(console, execution, "call")
    assert "Attempts of at most 4" in said
    assert said.count("TimeoutError: no answer") == 4  # each beside its attempt, and at its traceback's end
    assert "10.0 s" in said
    assert "20.0 s" in said


def tried(client: Client, execution: Execution, node: str) -> list[str]:
    """Return for each attempt of a node which error its traceback on the page ends with."""
    page = client.get(f"/executions/{execution.pk}/parts/inspector/?node={node}").content.decode()
    rows = page.partition('class="table attempts"')[2].partition("</table>")[0].split('<tr class="note')[1:]
    return [(re.findall(r"(\w+): (\w+)\s*</pre></details>", row) or [("", "")])[0][1] for row in rows]


def down(why: str) -> Act:
    return Act(0.5, error=("TimeoutError", why))


def test_every_attempt_that_failed_keeps_its_own_traceback(alice: User, console: Client) -> None:
    execution = play(patient(), alice, {"call": [down("one"), down("two"), Act(99)]}, until=32)
    assert tried(console, execution, "call") == ["one", "two", ""]
    events = node_events(execution.pk, "call", tracebacks=True)
    kept = [event["data"]["error"]["traceback"] for event in events if event["type"] == "node.retrying"]
    assert [text.rpartition(": ")[2].strip() for text in kept] == ["one", "two"]
    # Whoever follows the log is not sent them: not on a socket, nor in a list.
    frame = read_once(Newcomer(execution.pk, 0, 0, "en"), execution)
    assert sum("error" in event["data"] for event in frame.events) == 2
    assert "Traceback" not in frame.as_text("en")
    assert "Traceback" not in str(events_after(execution.pk))


def test_a_failure_that_others_took_up_keeps_its_traceback(alice: User, console: Client) -> None:
    builder = (
        WorkflowBuilder("taken-up")
        .add_node("call", factories.nothing, fallback="disk", on_exhausted="pause")
        .add_node("disk", factories.nothing)
        .add_node("pay", factories.nothing, on_exhausted="pause")
    )
    execution = play(builder, alice, {"call": down("one"), "disk": down("full"), "pay": down("three")})
    assert (tried(console, execution, "call"), tried(console, execution, "disk")) == (["one"], ["full"])
    for node in ("call", "pay"):
        executor.attend(execution.pk, node, "retry", principal=ME)
    factories.play(execution, {"call": down("two"), "disk": down("full"), "pay": down("four")})
    assert tried(console, execution, "call") == ["one", "two"]
    assert tried(console, execution, "pay") == ["three", "four"]
    told = node_events(execution.pk, "call", tracebacks=True)
    asks = [each["data"]["error"] for each in told if each["type"] == "node.attention"]
    assert not any("traceback" in error for error in asks)  # `node.waiting` had it before


def test_what_a_retry_has_set_aside_keeps_its_traceback(alice: User, console: Client) -> None:
    execution = play(patient(), alice, {"call": [*map(down, ("one", "two", "three", "four"))]})
    executor.retry(execution.pk, principal=ME)
    factories.play(execution, {"call": [down("five"), Act(1)]})
    assert tried(console, execution, "call") == ["one", "two", "three", "four", "five", ""]


def test_attempts_to_come_are_told_with_their_delays(alice: User, console: Client) -> None:
    execution = factories.start_execution(patient().build(), alice, ago=1)
    factories.play(execution, {"call": DOWN}, until=0.9)
    said = inspected(console, execution, "call")
    assert re.search(r"2 Attempt 2 of 4 in (9|10) s 3 then after about 20 s 4 then after about 40 s", said), (
        said
    )
    page = console.get(f"/executions/{execution.pk}/").content.decode()
    due = NodeRun.objects.get(execution=execution).available_at
    assert f'<time datetime="{due.isoformat()}" data-left>' in page  # it counts down by itself


def desk() -> WorkflowBuilder:
    return (
        WorkflowBuilder("desk")
        .add_node("read", factories.nothing)
        .add_node("load", factories.nothing)
        .add_node("report", factories.nothing, depends_on=["read"])
        .add_node("tell", factories.nothing, on_error=True)
    )


def test_each_call_of_a_boundary_is_shown_and_drawn(alice: User, console: Client) -> None:
    script = {"read": Act(1, error=("ValueError", "row 7")), "load": Act(2, error=("KeyError", "id"))}
    execution = play(desk(), alice, {**script, "tell": Act(1, {"told": True})})
    page = console.get(f"/executions/{execution.pk}/?node=tell").content.decode()
    for node in ("read", "load"):
        assert 'class="gedge grescue gcalled" id="call-' in page
        assert f'data-from="{node}" data-to="tell" data-status="succeeded"' in page
    assert "2 × Succeeded" in page
    assert "Called for 2" in inspected(console, execution, "tell")
    assert "Ran for load because of KeyError: id" in inspected(console, execution, "tell", "load")
    assert "Ran for read because of ValueError: row 7" in inspected(console, execution, "tell", "read")
    assert "Ran for read" in inspected(console, execution, "tell", "nobody")
    nodes = text(console, f"/executions/{execution.pk}/parts/canvas/?view=nodes")
    assert "tell for read" in nodes
    assert "tell for load" in nodes


def test_calls_that_ended_differently_are_counted_on_the_card(alice: User, console: Client) -> None:
    script: factories.Script = {"read": DOWN, "load": DOWN, "tell": [Act(1, error=("E", "closed"))]}
    execution = play(desk(), alice, script)
    NodeRun.objects.filter(execution=execution, node="tell", for_node="read").update(status="succeeded")
    assert "Failed 1/2" in text(console, f"/executions/{execution.pk}/parts/canvas/?view=graph")


def test_an_uncalled_companion_is_only_hinted_at(alice: User, console: Client) -> None:
    builder = (
        WorkflowBuilder("calm")
        .add_node("a", factories.nothing, fallback="b")
        .add_node("b", factories.nothing)
    )
    execution = play(builder, alice, {})
    page = console.get(f"/executions/{execution.pk}/").content.decode()
    assert 'class="gedge grescue"' in page
    assert "gcalled" not in page
    assert "Not needed: “a” succeeded." in inspected(console, execution, "b")


def rescued() -> WorkflowBuilder:
    return (
        WorkflowBuilder("rescued")
        .add_node(
            "live", factories.nothing, fallback="disk", retry=RetryPolicy(max_attempts=2, initial_interval=5)
        )
        .add_node("disk", factories.nothing)
        .add_node("quick", factories.nothing)
        .add_node("join", factories.nothing, depends_on=["live", "quick"])
        .add_node("ask", factories.nothing, depends_on=["join"], on_exhausted="pause")
    )


def test_the_timeline_draws_waits_between_attempts_for_a_rescuer_and_for_a_person(
    alice: User, console: Client
) -> None:
    execution = play(rescued(), alice, {"live": DOWN, "disk": Act(4), "ask": DOWN})
    response = console.get(f"/executions/{execution.pk}/parts/canvas/?view=timeline").content.decode()
    rows = {row.partition('data-node-link="')[2].partition('"')[0]: row for row in response.split("<a ")[1:]}
    kinds = {node: re.findall(r'<rect class="t-(\w+)"', row) for node, row in rows.items()}
    live = [kind for kind in kinds["live"] if kind != "ready"]
    assert live == ["running", "retrying", "running", "waiting"]
    assert kinds["ask"][-2:] == ["running", "attention"]
    assert "Wait before attempt 2 · 5.0 s" in rows["live"]
    assert "Waits for “disk” · " in rows["live"]
    assert "Attempt 1 · Failed · 500 ms · TimeoutError: no answer" in rows["live"]
    assert "2 attempts" in rows["live"]


def test_who_ran_in_a_nodes_place_is_on_the_critical_path_with_it(alice: User) -> None:
    execution = play(rescued(), alice, {"live": DOWN, "disk": Act(4), "quick": Act(2)})
    graph = graph_of(execution.version_id)
    path = critical_path(graph, node_view(graph, node_runs(execution), execution))
    assert path == {("live", None), ("disk", "live"), ("join", None), ("ask", None)}


def test_a_node_that_asks_is_led_to_also_while_others_run(alice: User, console: Client) -> None:
    builder = (
        WorkflowBuilder("asks")
        .add_node("pay", factories.nothing, on_exhausted="pause")
        .add_node("slow", factories.nothing)
    )
    execution = play(builder, alice, {"pay": DOWN, "slow": Act(99)}, until=5)
    said = text(console, f"/executions/{execution.pk}/parts/header/?node=slow")
    assert "“pay” needs a person to decide. Decide" in said


def trip() -> WorkflowBuilder:
    return (
        WorkflowBuilder("trip")
        .add_node("train", factories.nothing, compensate=factories.nothing)
        .add_node("hotel", factories.nothing, depends_on=["train"], compensate=factories.nothing)
        .add_node("car", factories.nothing, depends_on=["hotel"], compensate=factories.nothing)
        .add_node("charge", factories.nothing, depends_on=["car"])
    )


def test_what_was_undone_stands_in_its_order_and_what_was_not_stands_out(
    alice: User, console: Client
) -> None:
    execution = play(trip(), alice, {"charge": DOWN, "undo:hotel": Act(1, error=("ConnectionError", "away"))})
    said = inspected(console, execution, "")
    order = (
        r"Undone 3 Succeeded car Failed hotel not undone · ConnectionError: away Cancelled train not undone"
    )
    assert re.search(order, said), said
    page = console.get(f"/executions/{execution.pk}/").content.decode()
    assert "“charge” failed: TimeoutError: no answer. Not undone: “hotel”, “train”." in page
    assert 'gcalled" id="edge-' in page
    assert 'data-from="car" data-to="undo:car" data-status="succeeded"' in page
    assert "Undone by Succeeded undo:car" in inspected(console, execution, "car")
    assert "Undoes car , because the execution failed: TimeoutError" in inspected(
        console, execution, "undo:car"
    )
    assert "an undo before it failed" in inspected(console, execution, "undo:train")
    graph = graph_of(execution.version_id)
    path = critical_path(graph, node_view(graph, node_runs(execution), execution))
    assert path == {(node, None) for node in ("train", "hotel", "car", "charge")}


def test_while_it_undoes_it_says_what_and_how_much_is_to_come(alice: User, console: Client) -> None:
    execution = play(trip(), alice, {"charge": DOWN, "undo:car": Act(99)}, until=9)
    page = text(console, f"/executions/{execution.pk}/?node=undo:train")
    assert "Undoing “car”; 2 more to come." in page
    assert "Waits for the undos before it; now “car” is undone." in page
    assert "Undoing 3 Running car" in inspected(console, execution, "")
