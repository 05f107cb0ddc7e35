"""Why each node is as it is: one sentence, and the node to look at."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from orchestration import RetryPolicy, WorkflowBuilder, executor, queries
from orchestration.models import Execution, NodeRun
from orchestration.store.versions import graph_of
from orchestration.web.schedule import Planned, schedule
from security.principals import Principal
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db
ME = Principal.system("tests")
DOWN = Act(1, error=("ConnectionError", "no route"))


def said(execution: Execution) -> dict[str, str]:
    """Return each node's sentence, with the node it leads to."""
    execution.refresh_from_db()
    graph, runs = graph_of(execution.version_id), queries.node_runs(execution)
    reasons = queries.NodeReasons(execution, graph, runs)
    found = {}
    for node in graph.nodes:
        own = next((run for run in runs if run.node == node), None)
        if why := reasons.why(node, own):
            found[node] = f"{why} → {why.node}" if why.node else str(why)
        # The inspector reads only what is near the node, and says the same.
        near = queries.runs_around(execution, graph, node)
        assert str(queries.NodeReasons(execution, graph, near).why(node, own)) == str(why), node
    return found


def sources() -> WorkflowBuilder:
    return (
        WorkflowBuilder("sources")
        .add_node("live", factories.nothing, fallback="mirror")
        .add_node("mirror", factories.nothing, fallback="disk")
        .add_node("disk", factories.nothing)
        .add_node("clean", factories.nothing)
        .add_node("desk", factories.nothing, on_error=True, for_nodes=["clean"])
        .add_node("spare", factories.nothing, on_error=True, for_nodes=["join"])
        .add_node("join", factories.nothing, depends_on=["live", "clean"])
        .add_node("report", factories.nothing, depends_on=["join"])
        .add_node("rare", factories.nothing, depends_on=["join"], when=factories.nothing)
    )


def started(builder: WorkflowBuilder, by: User | None = None, ago: float = 60) -> Execution:
    return factories.start_execution(builder.build(), by, ago=ago)


def test_rescued_nodes_say_who_gave_their_result() -> None:
    script = {"live": DOWN, "mirror": DOWN, "clean": Act(1, error=("ValueError", "row 7\nis odd"))}
    assert said(factories.play(started(sources()), script)) == {
        "live": "Failed: ConnectionError: no route. “disk” gave its result. → disk",
        "mirror": "Failed: ConnectionError: no route. “disk” gave its result. → disk",
        "clean": "Failed: ValueError: row 7. “desk” gave its result. → desk",
        "spare": "Not called for “join”. → join",
    }


def test_who_was_not_needed_says_so() -> None:
    found = said(factories.play(started(sources())))
    assert found["mirror"] == "Not needed: “live” succeeded. → live"
    assert found["desk"] == "Not called for “clean”. → clean"


def test_what_waits_says_for_whom_and_what_has_not_begun_for_what() -> None:
    found = said(
        factories.play(started(sources()), {"live": DOWN, "clean": DOWN, "mirror": Act(99)}, until=3)
    )
    assert found["live"] == "Failed: ConnectionError: no route. Waits for its fallback “mirror”. → mirror"
    assert found["join"] == "Waits for “live”. → live"
    assert found["report"] == "Waits for “join”. → join"
    assert found["disk"] == "Runs only if “mirror” fails. → mirror"
    assert found["spare"] == "Runs only if “join” fails. → join"
    assert "mirror" not in found  # it runs


def test_what_did_not_run_leads_to_the_failure_behind_it() -> None:
    found = said(factories.play(started(sources()), {"live": DOWN, "mirror": DOWN, "disk": DOWN}))
    assert found["live"] == "ConnectionError: no route. Failed as well: “mirror”, “disk”. → disk"
    assert found["report"] == "Not run: “live” failed: ConnectionError: no route → live"


def test_skipped_nodes_say_whether_a_condition_a_predecessor_or_a_person_skipped_them() -> None:
    builder = (
        WorkflowBuilder("skips")
        .add_node("ask", factories.nothing, on_exhausted="pause")
        .add_node("after", factories.nothing, depends_on=["ask"])
    )
    execution = factories.play(started(builder), {"ask": DOWN})
    assert said(execution)["ask"] == "Needs a person to decide: ConnectionError: no route → ask"
    executor.attend(execution.pk, "ask", "skip", principal=ME)
    assert said(execution) == {
        "ask": "A person skipped it after ConnectionError: no route",
        "after": "Skipped, because “ask” was. → ask",
    }


def test_held_cancelled_and_blocked_nodes_name_the_cause(alice: User) -> None:
    flow = factories.make_workflow("three", {"a": (), "b": (), "c": ["a"]})
    execution = factories.start_execution(flow, alice, ago=9)
    factories.play(execution, {"a": Act(99), "b": Act(0.1, blocked="Its module is gone.")}, until=5)
    assert said(execution) == {"b": "Blocked: Its module is gone.", "c": "Waits for “a”. → a"}
    held = factories.start_execution(flow, alice)
    executor.pause(held.pk, principal=Principal.for_user(alice), reason="maintenance")
    assert said(held)["a"] == "Held back. Paused by alice: maintenance"
    executor.cancel(held.pk, principal=Principal.for_user(alice))
    assert said(held)["a"] == "Cancelled by alice."
    assert said(held)["c"] == "The execution ended before its turn came."


def flaky(jitter: str = "none") -> WorkflowBuilder:
    policy = RetryPolicy(max_attempts=6, initial_interval=12, jitter=jitter)
    return WorkflowBuilder("flaky").add_node("call", factories.nothing, retry=policy)


def test_the_schedule_of_attempts_is_known_before_they_happen() -> None:
    execution = factories.play(started(flaky(), ago=1.1), {"call": DOWN}, until=1.5)
    spec = graph_of(execution.version_id).nodes["call"]
    run = NodeRun.objects.get(execution=execution)
    assert said(execution)["call"] == "Retrying in 12 s (attempt 2 of 6) after ConnectionError: no route"
    found = schedule(spec, run)
    assert found is not None
    assert found.planned == (Planned(2, due=run.available_at), Planned(3, delay=24.0), Planned(4, delay=48.0))
    assert (found.more, found.of, found.at_most) == (2, 6, False)


def test_what_can_not_be_retried_has_no_schedule() -> None:
    graph = flaky("full").build().graph
    run = NodeRun(node="call", status="running", attempt=6)
    assert schedule(graph.nodes["call"], run) is None
    run.attempt = 5
    found = schedule(graph.nodes["call"], run)
    assert found is not None
    assert (found.planned, found.more, found.at_most) == ((Planned(6, delay=60.0),), 0, True)
    assert schedule(graph.nodes["call"], None) is None


def test_undoing_says_what_is_undone_and_when_again() -> None:
    policy = RetryPolicy(max_attempts=3, initial_interval=30)
    builder = (
        WorkflowBuilder("trip")
        .add_node("book", factories.nothing, compensate=factories.nothing, compensate_retry=policy)
        .add_node("pay", factories.nothing, depends_on=["book"])
    )
    execution = factories.play(started(builder, ago=3), {"pay": DOWN, "undo:book": DOWN}, until=5)
    assert queries.why(execution, []) == "Undoing what had succeeded."
    found = str(queries.why(execution, queries.node_runs(execution)))
    assert found.startswith("Undoing “book”, again in ")
    assert found.endswith(" s after ConnectionError")


def test_what_a_person_decided_before_it_ran_is_told_as_theirs() -> None:
    execution = started(
        WorkflowBuilder("two").add_node("a", factories.nothing).add_node("b", factories.nothing)
    )
    executor.attend(execution.pk, "a", "skip", principal=ME)
    executor.attend(execution.pk, "b", "supply", principal=ME, result=1)
    assert said(execution) == {
        "a": "A person skipped it before it ran.",
        "b": "A person gave its result before it ran.",
    }


def test_a_list_is_explained_in_as_many_queries_however_long_and_asks_come_first(
    alice: User, django_assert_num_queries
) -> None:
    builder = (
        WorkflowBuilder("asks")
        .add_node("pay", factories.nothing, on_exhausted="pause")
        .add_node("slow", factories.nothing)
    )
    asking = factories.play(started(builder, alice), {"pay": DOWN, "slow": Act(99)}, until=5)
    retrying = factories.play(started(flaky(), alice, ago=1.1), {"call": DOWN}, until=1.5)
    failed = factories.play(started(sources(), alice), {"clean": DOWN, "desk": DOWN})
    rows = list(queries.executions(Principal.for_user(alice)))
    with django_assert_num_queries(1):
        found = {id: str(why) for id, why in queries.whys(rows).items()}
    assert found == {
        asking.pk: "“pay” needs attention: no route",
        retrying.pk: "Retrying “call” in 12 s (attempt 2 of 6) after ConnectionError",
        failed.pk: "“clean” failed: ConnectionError: no route",
    }
    assert queries.whys([]) == {}
