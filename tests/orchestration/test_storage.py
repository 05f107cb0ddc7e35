"""State that bodies share: what each call does, once, and what a replay is given."""

import datetime as dt

import pytest
from django.db import connection

from orchestration import RetryPolicy, WorkflowBuilder, executor
from orchestration.models import Execution, StateEntry
from orchestration.store import clock, state
from orchestration.testing import run

pytestmark = pytest.mark.django_db


def one_node(body, name="stateful", **options):
    return WorkflowBuilder(name, output="work").add_node("work", body, **options).build()


def failing_once(body):
    """Return a body that fails after what it did, the first time."""

    def work(ctx):
        found = body(ctx)
        if ctx.attempt == 1:
            raise ValueError("after what it did")
        return found

    return one_node(work, retry=RetryPolicy(max_attempts=2, initial_interval=0.01))


def test_what_one_node_sets_another_gets():
    workflow = (
        WorkflowBuilder("shared-state")
        .add_node("write-state", lambda ctx: ctx.storage.set("counter", 42))
        .add_node(
            "read-state", lambda ctx: {"counter": ctx.storage.get("counter")}, depends_on=["write-state"]
        )
        .build()
    )
    result = run(workflow)
    assert result.output == {"read-state": {"counter": 42}}
    assert result.storage == {"execution": {"counter": 42}, "workflow": {}, "global": {}}
    entry = StateEntry.objects.get()
    assert (entry.version, entry.by_execution, entry.by_node) == (1, result.id, "write-state")


def everything(storage):
    """Return what each call gives, for bodies of either kind."""
    yield storage.get("a", "nothing")
    yield storage.set("a", {"é": [1, None]})
    yield storage.get("a")
    yield storage.compare_and_set("a", 2, 7)
    yield storage.compare_and_set("a", 2, 1)
    yield storage.compare_and_set("b", None, 0)
    yield storage.compare_and_set("b", "again", 0)
    yield storage.get("b", "the default is for what is not there")
    yield storage.incr("n")
    yield storage.incr("n", -5)
    yield storage.keys()
    yield storage.keys("b")
    yield storage.keys(after="a", limit=1)
    yield storage.delete("a")
    yield storage.delete("a")
    yield storage.get("a")
    yield storage.set("a", 1)
    yield storage.get("n", scope="global")
    yield storage.incr("n", 3, scope="workflow")


GIVEN = [
    *("nothing", 1, {"é": [1, None]}, None, 2, 1, None, None, 1, -4),
    *(["a", "b", "n"], ["b"], ["b"], True, False, None, 4, None, 3),
]


def test_sync_bodies_are_given_what_each_call_says():
    assert run(one_node(lambda ctx: list(everything(ctx.storage)))).output == GIVEN


def test_async_bodies_are_given_the_same():
    async def work(ctx):
        return [await call for call in everything(ctx.storage)]

    assert run(one_node(work)).output == GIVEN


def test_a_version_counts_on_after_a_deletion_so_that_it_never_names_two_values():
    def work(ctx):
        version = ctx.storage.set("x", "mine")
        ctx.storage.delete("x")
        ctx.storage.set("x", "another's")
        return ctx.storage.compare_and_set("x", "lost", version), ctx.storage.entry("x").value

    assert run(one_node(work)).output == [None, "another's"]


def test_an_attempt_that_is_tried_again_does_not_do_again_what_it_did():
    def work(ctx):
        seen = ctx.storage.get("sum", 0)
        return seen, ctx.storage.incr("sum", 10), ctx.storage.keys()

    result = run(failing_once(work))
    assert result.output == [0, 10, ["sum"]]
    assert result.storage["execution"] == {"sum": 10}


def put(key, text):
    """Set a value as a person does."""
    asked = state.Change("set", state.Place("global", "", key), state.Writer("alice"), text)
    state.change(connection, asked)


def test_a_body_that_waits_sees_after_the_wait_what_it_saw_before():
    def work(ctx):
        before = ctx.storage.get("x", "absent", scope="global")
        if not ctx.has_waited:
            put("x", '"changed"')
        ctx.sleep(60)
        return before, ctx.storage.get("x", scope="global")

    assert run(one_node(work)).output == ["absent", "changed"]


def test_a_retry_by_hand_keeps_what_was_done_and_reads_anew_what_somebody_put_right():
    def work(ctx):
        ctx.storage.incr("done")
        assert ctx.storage.get("right", scope="global"), "not right yet"
        return ctx.storage.get("done")

    result = run(one_node(work))
    assert result.status == "failed"
    put("right", "true")
    with result.now():
        executor.retry(result.id, principal=result.principal)
    assert result.go_on().output == 1


def test_a_value_is_absent_once_its_time_is_over_and_its_row_goes_a_day_later():
    def work(ctx):
        ctx.storage.set("x", 1, ttl="1m")
        ctx.storage.incr("n", 5, ttl=60)
        ctx.sleep(59)
        kept = ctx.storage.get("x"), ctx.storage.incr("n")
        ctx.sleep(2)
        return kept, ctx.storage.get("x"), ctx.storage.incr("n"), ctx.storage.keys()

    result = run(one_node(work))
    assert result.output == [[1, 6], None, 1, ["n"]]
    with result.now():
        state.purge()
        assert StateEntry.objects.count() == 2
        with clock.ahead(dt.timedelta(days=1).total_seconds()):
            state.purge()
    assert list(StateEntry.objects.values_list("key", "version")) == [("n", 3)]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.get("é"), "key is 'é'; it must be 1 to 128 letters"),
        (lambda s: s.set("x" * 129, 1), "it must be 1 to 128 letters"),
        (lambda s: s.get("x", scope="world"), "scope is 'world'; it must be one of execution, workflow, global."),
        (lambda s: s.set("x", {1, 2}), 'The state "x" cannot be kept as JSON'),
        (lambda s: s.set("x", "x" * 300_000), 'The state "x" is 300002 bytes; the limit is 262144'),
        (lambda s: s.set("x", 1, ttl=0), "ttl is 0; it must be longer than nothing"),
        (lambda s: s.incr("x", 1.5), "by is 1.5; it must be a whole number"),
        (lambda s: s.compare_and_set("x", 1, None), "version is None; it must be a version"),
        (lambda s: s.keys(limit=0), "limit is 0; it must be a whole number from 1 to 1000"),
        (lambda s: (s.set("x", "text"), s.incr("x")), 'to the state "x": its value is not a whole number.'),
        (lambda s: (s.set("x", 1.5), s.incr("x")), "its value is not a whole number."),
        (lambda s: (s.incr("x", 2**53 - 1), s.incr("x")), "the sum would be beyond ±9007199254740991."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_changes_nothing(call, says):
    result = run(one_node(lambda ctx: call(ctx.storage)))
    assert result.status == "failed"
    assert says in result.nodes["work"].error["message"]


def test_what_is_kept_of_an_execution_goes_with_it():
    result = run(one_node(lambda ctx: (ctx.storage.set("x", 1), ctx.storage.set("x", 1, scope="workflow"))))
    Execution.objects.get(pk=result.id).delete()
    assert list(StateEntry.objects.values_list("scope", "owner")) == [("workflow", "stateful")]


def test_a_fork_begins_with_what_the_nodes_have_stored_that_it_takes_over():
    workflow = (
        WorkflowBuilder("forks")
        .add_node("a", lambda ctx: [ctx.storage.set("of-a", 1), ctx.storage.set("of-b", 0)])
        .add_node("b", lambda ctx: ctx.storage.set("of-b", ctx.storage.get("of-a")), depends_on=["a"])
        .build()
    )
    result = run(workflow)
    with result.now():
        executor.set_state("by-hand", "x", execution=result.id, principal=result.principal)
        child = executor.fork(result.id, "b", principal=result.principal)
        rows = StateEntry.objects.filter(execution=child).values_list("key", "value", "owner")
    assert sorted(rows) == [("by-hand", "x", str(child)), ("of-a", 1, str(child))]
