"""Bodies whose own writes and whose end are one transaction."""

from __future__ import annotations

import os
import signal
import time
import uuid
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from orchestration import GraphError, RetryPolicy, WorkflowBuilder, registry, task
from orchestration.engine.states import Outcome
from orchestration.engine.view import Key
from orchestration.models import Event, ExecutionEvent, JournalEntry, NodeRun, StateEntry
from orchestration.runner import sweep
from orchestration.runner.heartbeat import Heartbeat
from orchestration.runner.seat import Seat
from orchestration.runner.sync_lane import SyncLane
from orchestration.store import versions
from orchestration.store.claim import Claim
from orchestration.store.settle import settle
from orchestration.testing import crash_everywhere, run
from orchestration.testing.stage import registered
from security.roles import ROLES
from tests.cluster import begin, status

from .store_helpers import check_log, done

pytestmark = pytest.mark.django_db
real = pytest.mark.django_db(transaction=True)
TWICE = RetryPolicy(max_attempts=2, initial_interval=0.01)


@pytest.fixture(autouse=True)
def _fresh():
    versions.forget_versions()
    yield
    rows().all().delete()


def rows():
    """Return the rows that bodies here write: groups but for the roles."""
    return Group.objects.exclude(name__in=ROLES)


def book(name="booked"):
    return Group.objects.create(name=f"{name} {uuid.uuid4()}")


def books(ctx):
    """Write twice, count, and change what was written."""
    first = book()
    book()
    Group.objects.filter(pk=first.pk).update(name=f"changed {first.pk}")
    return ctx.storage.incr("booked", 2)


def one_node(body=books, *, transactional=True, timeout=5, **options):
    node = {"transactional": transactional, "timeout": timeout, **options}
    return WorkflowBuilder("books", output="work").add_node("work", body, **node).build()


def written():
    return rows().count(), sum(int(entry.value) for entry in StateEntry.objects.all())


def test_what_a_body_writes_is_there_with_its_end():
    result = run(one_node())
    assert (result.output, written()) == (2, (2, 2))
    assert not JournalEntry.objects.exists(), "the transaction remembers by itself"
    check_log(result.id)


# --- a process that dies -----------------------------------------------------------------------------


class Moments:
    """Counts what its process says to the database, and kills it at one of them."""

    def __init__(self, fatal=0):
        self.count, self.fatal = 0, fatal

    def pass_one(self):
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(self, execute, text, params, many, context):
        self.pass_one()
        return execute(text, params, many, context) if context["cursor"] is not None else None

    def commit(self, go):
        self.pass_one()
        go()
        self.pass_one()


def in_a_process(fatal=0):
    """Work until nothing is left, in a process that dies at that moment; return how many there were."""
    return begun_in_a_process(fatal)()


def begun_in_a_process(fatal=0):
    """Begin to; return what waits for its end."""
    connections.close_all()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(work(Moments(fatal))).encode())
        finally:
            os._exit(0)
    os.close(writing)

    def end():
        os.waitpid(child, 0)
        with os.fdopen(reading) as said:
            return int(said.read() or 0)

    return end


WORKER = uuid.uuid4()


def work(moments):
    lane = SyncLane(Seat(WORKER, "test", ("default",), 30.0), (), 0.0)
    commit = connection.commit
    watched = mock.patch.object(connection, "commit", partial(moments.commit, commit))
    with connection.execute_wrapper(moments.execute), watched:
        while lane.pending or lane.finished or lane.claim_more():
            lane.turn()
    return moments.count


def killed_everywhere(workflow, every=1):
    """Run it in processes that are killed at each of their moments, each time to the end; yield what is written."""
    with registered(workflow):
        begin(workflow)
        moments = in_a_process()
        assert moments > 8
        for fatal in range(1, moments + 1, every):
            rows().all().delete()
            StateEntry.objects.all().delete()
            id = begin(workflow)
            in_a_process(fatal)
            sweep.take_over(WORKER)
            in_a_process()
            assert status(id) == "succeeded"
            check_log(id)
            yield written()


@real
def test_a_worker_killed_between_any_two_statements_has_written_once_or_not_at_all():
    assert set(killed_everywhere(one_node())) == {(2, 2)}


@real
def test_without_a_transaction_one_that_is_killed_writes_twice():
    found = set(killed_everywhere(one_node(transactional=False), every=2))
    assert max(groups for groups, _ in found) > 2
    assert {counted for _, counted in found} == {2}, "the state is counted once in any case"


@real
def test_a_workflow_ends_alike_wherever_its_worker_dies():
    def before():
        rows().all().delete()

    def end(result):
        return result.status, result.output, result.storage["execution"], rows().count()

    assert crash_everywhere(one_node(), before=before, compare=end).crashes > 4


@real
@pytest.mark.postgres
def test_of_two_that_change_the_same_keys_in_opposite_order_one_is_tried_again_and_both_count():
    def change(ctx):
        for key in ctx.params["keys"]:
            ctx.storage.incr(key)
            time.sleep(0.3)

    options: dict[str, Any] = {"transactional": True, "timeout": 10, "retry": TWICE}
    workflow = (
        WorkflowBuilder("crossing")
        .add_node("there", change, params={"keys": ["x", "y"]}, **options)
        .add_node("back", change, params={"keys": ["y", "x"]}, **options)
        .build()
    )
    with registered(workflow):
        id = begin(workflow)
        for end in [begun_in_a_process(), begun_in_a_process()]:
            end()
        time.sleep(0.02)
        in_a_process()
    assert status(id) == "succeeded"
    assert dict(StateEntry.objects.values_list("key", "value")) == {"x": 2, "y": 2}
    assert sorted(NodeRun.objects.filter(execution=id).values_list("attempt", flat=True)) == [1, 2]
    [retried] = ExecutionEvent.objects.filter(execution=id, type="node.retrying")
    assert "deadlock detected" in retried.data["error"]["message"]


# --- a body that fails -------------------------------------------------------------------------------


def sleep():
    """Be slow, on PostgreSQL in a statement."""
    if connection.vendor == "postgresql":
        connection.cursor().execute("SELECT pg_sleep(5)")
    time.sleep(5)


@real
@pytest.mark.parametrize("error", [ValueError, "twice", "slow"])
def test_what_a_failed_attempt_wrote_is_rolled_back_and_the_next_writes_it(error):
    def work(ctx):
        books(ctx)
        if ctx.attempt == 1 and error == "twice":
            Group.objects.create(name=rows().values_list("name", flat=True)[0])
        elif ctx.attempt == 1 and error == "slow":
            sleep()
        elif ctx.attempt == 1:
            raise error("after it wrote")
        return rows().count()

    result = run(one_node(work, retry=TWICE, timeout=1.5 if error == "slow" else 5))
    assert (result.output, written()) == (2, (2, 2))
    assert result.nodes["work"].attempts == 2


def test_a_fallback_takes_the_place_of_one_that_wrote_in_vain():
    def work(ctx):
        book()
        raise ValueError("no")

    workflow = (
        WorkflowBuilder("rescued", output="work")
        .add_node("work", work, transactional=True, timeout=5, fallback="other")
        .add_node("other", lambda ctx: ctx.error.message, transactional=True, timeout=5)
        .build()
    )
    assert (run(workflow).output, rows().count()) == ("no", 0)


def catches(ctx):
    try:
        Group.objects.create(name=book().name)
    except IntegrityError:
        return "all right"


def commits(ctx):
    book()
    connection.cursor().execute("COMMIT")


def closes(ctx):
    book()
    connection.close()


@real
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (commits, "it committed or rolled back by itself."),
        (closes, "it closed its connection."),
        pytest.param(catches, "the database refused a statement.", marks=pytest.mark.postgres),
        (lambda ctx: book(), "The result of node"),
        (lambda ctx: ctx.sleep(1), 'Sleep "sleep" cannot be had by a transactional body'),
        (lambda ctx: ctx.wait_for_signal("go"), 'Signal "go" cannot be had by a transactional body'),
        (lambda ctx: ctx.run_child("books"), 'Child "books" cannot be had by a transactional body'),
        (lambda ctx: ctx.start_child("books"), 'Start child "books" cannot be had'),
    ],
)
def test_a_body_that_cannot_keep_the_promise_fails_and_says_why(body, says):
    result = run(one_node(body))
    assert result.status == "failed"
    assert says in result.nodes["work"].error["message"]
    assert rows().count() == (1 if body is commits else 0)


@pytest.mark.postgres
@real
def test_a_constraint_that_is_checked_at_the_end_fails_the_attempt():
    def work(ctx):
        book().user_set.through.objects.create(group_id=10**6, user_id=10**6)

    error = run(one_node(work)).nodes["work"].error
    assert error["type"] == "IntegrityError"
    assert rows().count() == 0


@real
def test_a_function_for_after_the_commit_runs_then_and_its_failure_undoes_nothing():
    said = []

    def after():
        said.append((connection.in_atomic_block, NodeRun.objects.get().status))
        raise ValueError("too late")

    def work(ctx):
        book()
        transaction.on_commit(after)

    result = run(one_node(work))
    assert (result.status, said, rows().count()) == ("succeeded", [(False, "succeeded")], 1)
    assert "on_commit failed" in result.logs[-1]["message"]


@real
def test_an_event_is_sent_once_if_its_body_commits_and_not_at_all_if_it_does_not():
    def work(ctx):
        ctx.emit_event("booked", ctx.attempt)
        assert ctx.attempt == 2, "not yet"

    run(one_node(work, retry=TWICE))
    assert [event.data for event in Event.objects.all()] == [2]


def test_the_items_of_a_map_write_once_each_also_those_that_were_tried_again():
    def work(ctx):
        books(ctx)
        assert ctx.attempt == 2 or ctx.item % 2, "not yet"
        return ctx.item

    workflow = (
        WorkflowBuilder("wide", output="work")
        .map("work", work, over=lambda ctx: [1, 2, 3, 4], transactional=True, timeout=5, retry=TWICE)
        .build()
    )
    result = run(workflow)
    assert (result.output, written()) == ([1, 2, 3, 4], (8, 8))


def test_a_node_whose_condition_says_no_writes_nothing():
    def asks(ctx):
        book()
        return False

    assert run(one_node(when=asks)).nodes["work"].status == "skipped"
    assert written() == (0, 0)


def test_lines_that_a_body_logs_are_kept_whether_it_commits_or_not():
    def work(ctx):
        ctx.log.info("attempt %d", ctx.attempt)
        ctx.progress(0.5, "half")
        assert ctx.attempt == 2, "not yet"

    assert [line["message"] for line in run(one_node(work, retry=TWICE)).logs] == ["attempt 1", "attempt 2"]


def test_beside_a_body_that_keeps_all_others_from_writing_the_heartbeat_only_watches():
    """A body that ignores its timeout is killed all the same; what becomes of it is for whoever takes over."""
    seat = Seat(WORKER, "test", ("default",), 30.0)
    claimed = Claim(1, uuid.uuid4(), 1, Key("work"), 1, 1)
    [held] = seat.take([claimed], "sync", time.monotonic() - 15)
    held.begun_at, held.interrupt, held.kill_at = time.monotonic() - 9, lambda: None, time.monotonic() - 1
    seat.writing = True
    beat = Heartbeat(seat, lambda: pytest.fail("it waits for the body"), 0.0)
    with (
        mock.patch("orchestration.runner.heartbeat.os.kill") as kill,
        CaptureQueriesContext(connection) as asked,
    ):
        beat._beat_once()
    assert (kill.call_args.args[1], len(asked.captured_queries)) == (signal.SIGKILL, 0)


# --- whose claim is gone, and a database that is away ----------------------------------------------------


@real
def test_who_was_taken_over_meanwhile_writes_nothing():
    def work(ctx):
        book()
        if not taken:
            taken.append(ctx._held.claim)
            # In the body's own transaction, as SQLite has one writer; what matters is the fence at the settle.
            NodeRun.objects.filter(pk=taken[0].run_id).update(fence=taken[0].fence + 1)
        return ctx.attempt

    taken: list[Claim] = []
    with registered(one_node(work)):
        id = begin(one_node(work))
        in_this_process()
        assert rows().count() == 0
        assert settle(done([taken[0]], Outcome.LOST)).refused == []
        in_this_process()
    assert (status(id), rows().count()) == ("succeeded", 1)


def in_this_process():
    lane = SyncLane(Seat(WORKER, "test", ("default",), 30.0), (), 0.0)
    while lane.pending or lane.finished or lane.claim_more():
        lane.turn()
    lane.waiter.close()


@real
@pytest.mark.parametrize("committed", [False, True])
def test_an_answer_to_the_commit_that_never_comes_is_no_second_effect(committed):
    commit, failed = connection.commit, list[bool]()

    def away():
        if connection.in_atomic_block or failed or not rows().exists():
            return commit()
        failed.append(True)
        if committed:
            commit()
        raise OperationalError("the connection is gone")

    with registered(one_node()), mock.patch.object(connection, "commit", away):
        id = begin(one_node())
        lane = SyncLane(Seat(WORKER, "test", ("default",), 30.0), (), 0.0)
        lane.claim_more()
        with pytest.raises(OperationalError):
            lane.turn()
        connection.close()
        while lane.pending or lane.finished or lane.claim_more():
            lane.turn()
    assert (status(id), written()) == ("succeeded", (2, 2))


# --- what the registry refuses -----------------------------------------------------------------------


@pytest.mark.sqlite
def test_on_sqlite_a_transaction_is_no_longer_than_a_third_of_a_lease():
    with (
        override_settings(IGON7_LEASE_SECONDS=30),
        pytest.raises(GraphError, match="at most a third of a lease: 10 s"),
    ):
        registry.register(one_node(timeout=11))


async def asynchronous(ctx):
    return 1


def test_a_task_that_turns_out_to_be_async_is_refused_where_its_workflow_is_registered():
    workflow = WorkflowBuilder("late").add_node("x", "late-task", transactional=True, timeout=1).build()
    with mock.patch.dict("orchestration.engine.tasks._tasks"):
        task("late-task")(asynchronous)
        with pytest.raises(
            GraphError, match='Node "x" of workflow "late" is transactional and has an async body'
        ):
            registry.check_value(workflow)
