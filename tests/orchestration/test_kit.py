"""The test kit: runs end in no time, say what happened, and survive a crash at every commit."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import IntegrityError, connection
from django.test import TestCase

from orchestration import RetryPolicy, SignalTimeout, Workflow, WorkflowBuilder, executor, registry, task
from orchestration.engine.errors import InvalidOption, UnknownWorkflow
from orchestration.models import Workflow as WorkflowRow
from orchestration.store import clock
from orchestration.testing import NeverEnds, crash_everywhere, run
from security.principals import Principal
from tests import durable_workflows_for_tests as durable
from tests.factories import worker_node
from tests.orchestration.store_helpers import check_log

pytestmark = pytest.mark.django_db
HOURLY = RetryPolicy(max_attempts=3, initial_interval=3600, max_interval=3600)


def good(ctx: Any) -> str:
    return str(ctx.node_id)


async def good_async(ctx: Any) -> str:
    await asyncio.sleep(ctx.params.get("seconds", 0))
    return str(ctx.node_id)


def bad(ctx: Any) -> None:
    ctx.log.warning("attempt %d is no good", ctx.attempt)
    raise ConnectionError("the bank does not answer")


def third_time(ctx: Any) -> int:
    if ctx.attempt < 3:
        raise ConnectionError("not yet")
    return int(ctx.attempt)


def single(body: Callable[..., Any], **options: Any) -> Workflow:
    whole = {name: options.pop(name) for name in ("output",) if name in options}
    timeout = options.pop("whole", None)
    return WorkflowBuilder("kit-single", timeout=timeout, **whole).add_node("work", body, **options).build()


# --- what it gives back ----------------------------------------------------------------------------


def test_a_run_gives_status_output_events_and_nodes() -> None:
    workflow = (
        WorkflowBuilder("kit-chain", output="last")
        .add_node("first", lambda ctx: ctx.input["rows"])
        .add_node("last", lambda ctx: sum(ctx.results["first"]), depends_on=["first"])
        .build()
    )
    result = run(workflow, input={"rows": [1, 2, 3]})
    assert (result.status, result.output, result.error) == ("succeeded", 6, None)
    assert [event["seq"] for event in result.events] == list(range(1, len(result.events) + 1))
    assert result.events[0].keys() == {"seq", "type", "at", "node", "index", "attempt", "data"}
    assert [event["type"] for event in result.events if event["node"] == "last"] == [
        "node.ready", "node.started", "node.completed",
    ]  # fmt: skip
    first = result.nodes["first"]
    assert (first.id, first.status, first.output, first.attempts) == ("first", "succeeded", [1, 2, 3], 1)
    assert first.started_at is not None
    assert first.finished_at is not None
    assert first.started_at <= first.finished_at
    check_log(result.id)


def test_a_failed_run_says_which_node_and_why() -> None:
    workflow = (
        WorkflowBuilder("kit-fails")
        .add_node("pay", bad, retry=RetryPolicy(max_attempts=2))
        .add_node("ship", good, depends_on=["pay"])
        .add_node("lost", good, depends_on=["ship"])
        .build()
    )
    result = run(workflow)
    assert result.nodes["pay"].error["type"] == "ConnectionError"
    assert [line["message"] for line in result.nodes["pay"].logs] == [
        "attempt 1 is no good",
        "attempt 2 is no good",
    ]
    assert (result.nodes["ship"].status, result.nodes["lost"].status) == ("upstream_failed",) * 2
    assert repr(result) == "<kit-fails failed: “pay” failed: ConnectionError: the bank does not answer>"
    assert '"pay" failed after 2 attempts: ConnectionError: the bank' in str(result)


def test_a_wrong_node_name_is_answered_with_the_nearest_one() -> None:
    result = run(single(good))
    with pytest.raises(KeyError, match='Did you mean "work"'):
        result.nodes["works"]
    with pytest.raises(InvalidOption, match='Did you mean "work"'):
        run(single(good), until="wrok")
    with pytest.raises(InvalidOption, match='Did you mean "work"'):
        run(single(good), bodies={"wrok": good})


class RunsInATestCase(TestCase):
    def test_a_workflow_runs_in_a_test_case_of_djangos(self) -> None:
        result = run(single(third_time, retry=HOURLY))
        assert result.status == "succeeded"


# --- time ------------------------------------------------------------------------------------------


def test_delays_of_hours_take_no_time_and_show_in_the_log() -> None:
    began = time.monotonic()
    result = run(single(third_time, retry=HOURLY, output="work"))
    assert time.monotonic() - began < 30
    assert (result.output, result.nodes["work"].attempts) == (3, 3)
    first, last = (dt.datetime.fromisoformat(result.events[n]["at"]) for n in (0, -1))
    assert dt.timedelta(hours=2) <= last - first < dt.timedelta(hours=2, minutes=1)


def test_the_clock_is_as_before_when_the_run_is_over() -> None:
    before = clock.sql(connection)
    run(single(third_time, retry=HOURLY))
    assert clock.sql(connection) == before


def test_async_bodies_sleep_side_by_side_and_take_no_time() -> None:
    workflow = (
        WorkflowBuilder("kit-naps")
        .add_node("long", good_async, params={"seconds": 86_400})
        .add_node("short", good_async, params={"seconds": 600})
        .add_node("late", good_async, params={"seconds": 7200}, timeout="1h")
        .add_node("after", good, depends_on=["short"])
        .build()
    )
    began = time.monotonic()
    result = run(workflow)
    assert time.monotonic() - began < 30
    late = result.nodes["late"]
    assert (late.status, late.error["type"]) == ("failed", "NodeTimeout")
    ended = {node: result.nodes[node].finished_at for node in ("after", "late", "long")}
    assert sorted(ended, key=lambda node: str(ended[node])) == ["after", "late", "long"]


def test_an_async_body_that_waits_for_a_thread_is_waited_for() -> None:
    def answer() -> str:
        time.sleep(0.1)
        return "asked"

    async def asks_a_thread(ctx: Any) -> str:
        async with asyncio.timeout(3600):
            return await asyncio.to_thread(answer)

    assert run(single(asks_a_thread, output="work")).output == "asked"


def test_async_bodies_reach_storage_and_are_timed_out_when_silent() -> None:
    async def keeps(ctx: Any) -> Any:
        reference = await ctx.artifact("a.txt", b"kept")
        return (await ctx.read_artifact(reference)).decode()

    assert run(single(keeps, output="work")).output == "kept"
    silent = run(single(good_async, params={"seconds": 3600}, heartbeat_timeout="1m"))
    assert silent.error["type"] == "HeartbeatTimeout"


def test_a_sync_body_is_interrupted_at_its_timeout_and_when_silent() -> None:
    def sleeps(ctx: Any) -> None:
        time.sleep(60)

    for limit, error in (("timeout", "NodeTimeout"), ("heartbeat_timeout", "HeartbeatTimeout")):
        result = run(single(sleeps, **{limit: 0.1}))
        assert result.error["type"] == error


def test_the_alarm_of_a_test_runner_is_left_as_it_was() -> None:
    def mine(*_: Any) -> None: ...

    before = signal.signal(signal.SIGALRM, mine)
    try:
        signal.setitimer(signal.ITIMER_REAL, 600)
        run(single(good, timeout=5))
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_limits_are_reached_by_the_clock() -> None:
    unserved = run(single(good, queue="gpu", queue_timeout="2h"), queues=["default"])
    assert unserved.error["type"] == "QueueTimeout"
    endless = RetryPolicy(max_attempts=1000, initial_interval=60, backoff_coefficient=1)
    over = run(single(bad, retry=endless, deadline="10m"))
    assert (over.error["type"], over.nodes["work"].attempts) == ("ConnectionError", 10)
    whole = run(single(bad, retry=endless, whole="5m"))
    assert (whole.status, whole.error["type"]) == ("failed", "ExecutionTimeout")


# --- stopping, going on, being stuck ---------------------------------------------------------------


def test_a_run_that_is_stuck_ends_and_says_what_it_waits_for() -> None:
    result = run(single(bad, on_exhausted="pause"))
    assert result.status == "running"
    assert result.nodes["work"].status == "attention"
    assert result.waits == ["“work” needs attention: the bank does not answer"]
    with result.now():
        executor.attend(result.id, "work", "supply", result=7, reason="", principal=result.principal)
        assert result.go_on().output == {"work": 7}


def test_an_async_body_that_awaits_nothing_is_named() -> None:
    async def hangs(ctx: Any) -> None:
        await asyncio.Event().wait()

    result = run(single(hangs))
    assert (result.status, result.waits) == (
        "running", ["“work”: its body awaits something that never comes."],
    )  # fmt: skip


def test_a_queue_that_is_not_served_is_named() -> None:
    result = run(single(good, queue="gpu"), queues=["default"])
    assert result.waits[0] == "Queued: this run does not serve the queue “gpu”."


def test_a_run_stops_where_it_is_told_to_and_goes_on_from_there() -> None:
    workflow = (
        WorkflowBuilder("kit-stops")
        .add_node("a", good)
        .add_node("b", third_time, depends_on=["a"], retry=HOURLY)
        .add_node("c", good, depends_on=["b"])
        .build()
    )
    stopped = run(workflow, until="a")
    assert (stopped.nodes["a"].status, stopped.nodes["b"].attempts) == ("succeeded", 0)
    stopped = stopped.go_on(until=lambda now: now.nodes["b"].attempts == 2)
    assert stopped.waits == ["Retrying “b” in 60 min (attempt 3 of 3) after ConnectionError"]
    ended = stopped.go_on()
    assert ended.status == "succeeded"
    assert "node.released" not in {event["type"] for event in ended.events}
    check_log(ended.id)


def test_signals_are_sent_when_it_has_started_and_when_it_goes_on() -> None:
    cancelled = run(single(good), signals=[("cancel", {"reason": "never mind"})])
    assert (cancelled.status, cancelled.nodes["work"].status) == ("cancelled", "cancelled")
    paused = run(single(good), signals=["pause"])
    assert (paused.status, paused.waits[0]) == ("paused", "Paused by test.")
    assert paused.go_on(signals=["resume"]).status == "succeeded"


def decides(ctx: Any) -> Any:
    ctx.sleep("1d")
    try:
        said = ctx.wait_for_signal("decision", timeout="7d")
    except SignalTimeout:
        return "nobody decided"
    return ctx.step("note", lambda: said["by"])


async def decides_async(ctx: Any) -> Any:
    first, second = await asyncio.gather(ctx.wait_for_signal("a"), ctx.wait_for_signal("b"))
    await ctx.sleep("1d")
    return await ctx.step("sum", lambda: first + second)


def test_signals_reach_bodies_that_wait_whenever_they_were_sent() -> None:
    workflow = single(decides, output="work")
    assert run(workflow, signals=[("decision", {"by": "ann"})]).output == "ann"
    assert run(workflow).output == "nobody decided"
    waiting = run(workflow, until=lambda now: now.nodes["work"].status == "waiting")
    assert waiting.go_on(signals=[("decision", {"by": "bob"})]).output == "bob"


def test_a_signal_that_nobody_sends_leaves_the_run_waiting() -> None:
    result = run(single(decides_async, output="work"), signals=[("b", 2)])
    assert (result.status, result.nodes["work"].status) == ("running", "waiting")
    assert result.waits == ["“work” waits for the signal “a”."]
    assert result.go_on(signals=[("a", 1)]).output == 3


def test_an_approval_is_given_between_two_parts_of_a_run() -> None:
    asked = run(durable.asking)
    assert asked.nodes["work"].status == "waiting"
    boss = Principal.for_user(User.objects.create_user("boss", is_superuser=True))
    with asked.now():
        executor.approve(asked.id, "work", principal=boss, form={"window": "night"})
    assert asked.go_on().nodes["work"].output["by"] == "boss"


def test_an_async_body_that_waits_for_a_signal_and_a_timer_is_parked() -> None:
    async def either(ctx: Any) -> str:
        tasks = [asyncio.create_task(ctx.wait_for_signal("go")), asyncio.create_task(asyncio.sleep(3600))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return "gone"

    result = run(single(either, output="work"))
    assert result.nodes["work"].status == "waiting"
    assert result.go_on(signals=["go"]).output == "gone"


def test_a_run_that_never_ends_is_stopped_and_says_where_it_is() -> None:
    endless = RetryPolicy(max_attempts=1_000_000, initial_interval=1, backoff_coefficient=1)
    with pytest.raises(NeverEnds, match=r"not ended after 50 steps(?s:.*)Retrying “work”"):
        run(single(bad, retry=endless), limit=50)


def test_a_thread_is_told_that_it_is_not_the_place() -> None:
    said: list[str] = []

    def in_a_thread() -> None:
        try:
            run(single(good))
        except RuntimeError as error:
            said.append(str(error))
        finally:
            connection.close()

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert "main thread" in said[0]


def test_it_refuses_to_run_outside_of_tests_and_beside_real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    worker_node()
    with pytest.raises(RuntimeError, match="worker-1"):
        run(single(good))
    monkeypatch.delattr(mail, "outbox")
    with pytest.raises(RuntimeError, match="for tests alone"):
        run(single(good))


# --- who, and which code ---------------------------------------------------------------------------


def test_who_may_not_run_it_is_refused_and_a_person_may() -> None:
    guest = User.objects.create_user("guest")
    with pytest.raises(UnknownWorkflow):
        run(single(good), principal=guest)
    staff = User.objects.create_user("staff", is_superuser=True)
    result = run(single(lambda ctx: ctx.principal.name, output="work"), principal=staff)
    assert result.output == "staff"


def test_bodies_and_tasks_are_stood_in_for_and_conditions_stay() -> None:
    @task("kit.charge")
    async def charge(ctx: Any) -> str:
        return "charged"

    workflow = (
        WorkflowBuilder("kit-stand-ins")
        .add_node("charge", "kit.charge", retry=RetryPolicy(max_attempts=2))
        .add_node("mail", bad, depends_on=["charge"], when=lambda ctx: False)
        .add_node("ship", good, depends_on=["charge"])
        .build()
    )
    bank, post = Mock(side_effect=[ConnectionError("down"), {"id": 7}]), Mock(return_value=None)
    result = run(workflow, bodies={"charge": bank, "mail": post})
    assert (result.nodes["charge"].output, result.nodes["mail"].status) == ({"id": 7}, "skipped")
    assert (bank.call_count, post.call_count) == (2, 0)
    assert run(workflow, bodies={"charge": AsyncMock(return_value=1)}).nodes["charge"].output == 1
    with pytest.raises(InvalidOption, match="not async"):
        run(workflow, bodies={"ship": good_async})


def test_a_workflow_of_the_same_name_is_known_again_afterwards() -> None:
    known = single(good)
    registry.register(known)
    try:
        assert run(single(bad)).status == "failed"
        assert registry.get("kit-single") is known
        assert run("kit-single").status == "succeeded"
    finally:
        registry.forget("kit-single")


def test_a_statement_that_the_database_refuses_fails_the_node_and_not_the_test() -> None:
    def clashes(ctx: Any) -> None:
        WorkflowRow.objects.create(name="kit-single")

    result = run(single(clashes))
    assert result.error["type"] == IntegrityError.__name__


# --- crashes ---------------------------------------------------------------------------------------


def refuses(ctx: Any) -> None:
    raise ConnectionError("no")


def second_time(ctx: Any) -> int:
    if ctx.attempt < 2:
        raise ConnectionError("not yet")
    return int(ctx.attempt)


@pytest.mark.django_db(transaction=True)
def test_a_workflow_with_retries_rescues_and_undos_ends_alike_wherever_a_worker_dies() -> None:
    workflow = (
        WorkflowBuilder("kit-rich")
        .add_node("read", second_time, retry=HOURLY, compensate=good)
        .add_node("left", good_async, depends_on=["read"], params={"seconds": 60}, compensate=good_async)
        .add_node("right", refuses, depends_on=["read"], fallback="spare")
        .add_node("spare", good)
        .add_node("loose", refuses, depends_on=["read"])
        .add_node("caught", good, on_error=True, for_nodes=["loose"])
        .add_node("last", refuses, depends_on=["left", "right", "loose"])
        .build()
    )
    tried = crash_everywhere(workflow)
    assert tried.result.status == "failed"
    assert tried.result.nodes["right"].status == "recovered"
    assert tried.result.nodes["loose"].output == "caught"
    assert tried.result.nodes["undo:left"].status == "succeeded"
    assert tried.crashes == 2 * len(tried.commits) > 30
    assert tried.commits[0].startswith("INSERT orchestration_execution")


@pytest.mark.django_db(transaction=True)
def test_a_body_that_counts_on_running_once_is_found() -> None:
    paid: list[str] = []

    def pay(ctx: Any) -> str:
        if ctx.execution_id in paid:
            raise RuntimeError("paid twice")
        paid.append(ctx.execution_id)
        return "paid"

    workflow = WorkflowBuilder("kit-pays").add_node("a", good).add_node("pay", pay, depends_on=["a"]).build()
    with pytest.raises(AssertionError) as found:
        crash_everywhere(workflow)
    said = str(found.value)
    assert 'node "pay" failed: RuntimeError: paid twice instead of succeeded' in said
    assert "With a crash before commit" in said
    assert "UPDATE orchestration_noderun" in said
    assert "ctx.idempotency_key" in said


@pytest.mark.django_db(transaction=True)
def test_an_output_that_changes_is_found_unless_something_else_is_compared() -> None:
    calls: list[int] = []

    def count(ctx: Any) -> int:
        calls.append(1)
        return len(calls)

    with pytest.raises(AssertionError, match='the output of node "work" is 2 instead of 1'):
        crash_everywhere(single(count), before=calls.clear)
    assert crash_everywhere(single(count), compare=lambda result: result.status).crashes > 4


@pytest.mark.django_db(transaction=True)
def test_a_body_is_cut_off_from_the_database_by_a_crash_of_its_own() -> None:
    def writes(ctx: Any) -> int:
        User.objects.filter(username=ctx.idempotency_key).delete()
        User.objects.create(username=ctx.idempotency_key)
        return User.objects.filter(username=ctx.idempotency_key).count()

    tried = crash_everywhere(single(writes, output="work"))
    assert tried.result.output == 1
    assert any(written == "INSERT auth_user" for written in tried.commits)


def test_crashes_need_transactions_that_are_real() -> None:
    with pytest.raises(RuntimeError, match="TransactionTestCase"):
        crash_everywhere(single(good))
