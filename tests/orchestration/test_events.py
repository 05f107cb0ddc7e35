"""Events: kept, then given to whom they concern; starting executions and waking bodies."""

from __future__ import annotations

import threading
from datetime import timedelta
from unittest import mock

import pytest
from django.test import override_settings

from orchestration import GraphError, RetryPolicy, WorkflowBuilder, executor, registry
from orchestration.engine.builder import WorkflowBuilder as Builder
from orchestration.engine.errors import InvalidCondition, InvalidOption, PayloadTooLarge, UnknownTrigger
from orchestration.models import Event, Execution, NodeRun, Receipt, Trigger, Wait
from orchestration.store import clock, events, versions
from orchestration.testing import crash_everywhere, run
from security.errors import Denied
from security.models import AuditRecord
from security.principals import Principal
from tests import event_workflows_for_tests as samples
from tests.factories import person

pytestmark = pytest.mark.django_db
ME = Principal.system("test")
GOOD = {"amount": 150, "country": "FR"}


@pytest.fixture
def known():
    """Make workflows known, and let them be started by events."""
    made = []

    def know(*workflows, owner=None, enable=True):
        for workflow in workflows:
            registry.register(workflow)
            made.append(workflow.name)
            versions.version_of(workflow)
            for event in workflow.triggers if enable else ():
                executor.enable_trigger(workflow.name, event, principal=ME, owner=owner)

    yield know
    for name in made:
        registry.forget(name)


def emit(name, data=None, **options):
    """Emit an event and deliver it, as a worker's sweep does."""
    accepted = executor.emit_event(name, data, principal=options.pop("principal", ME), **options)
    executor.deliver_events()
    return Event.objects.get(pk=accepted.id)


def started(workflow):
    return list(Execution.objects.filter(workflow__name=workflow.name))


def why(event, workflow):
    return Receipt.objects.get(event=event, workflow__name=workflow.name).why


# --- starting --------------------------------------------------------------------------------------


def test_an_event_starts_a_workflow_that_listens_and_its_data_is_the_input(known):
    known(samples.listener)
    event = emit("data-processed", GOOD, subject="order 7")
    [execution] = started(samples.listener)
    assert (execution.input, event.delivered_at is not None) == (GOOD, True)
    [first] = execution.events.filter(type="execution.started")
    assert first.data["event"] == {
        "id": str(event.pk),
        "name": "data-processed",
        "source": event.source,
        "hops": 0,
    }
    got = events.starter(execution.pk)
    assert got is not None
    assert (got.id, got.value(), got.subject) == (event.pk, GOOD, "order 7")


def test_an_event_that_the_filter_does_not_let_through_says_which_part_was_false(known):
    known(samples.listener)
    event = emit("data-processed", {**GOOD, "amount": 50})
    assert started(samples.listener) == []
    assert why(event, samples.listener) == "filter: amount > 100 was false (amount is 50)"


def test_a_filter_that_is_a_function_is_asked_by_workers_alone(known):
    known(samples.by_function, samples.by_broken)
    executor.emit_event("data-processed", {"amount": 500}, principal=ME)
    executor.delivering._deliver(list(Event.objects.values_list("pk", flat=True)))
    assert (started(samples.by_function), Event.objects.filter(delivered_at=None).count()) == ([], 1)
    executor.deliver_events()
    assert len(started(samples.by_function)) == 1
    [event] = Event.objects.exclude(delivered_at=None)
    assert why(event, samples.by_broken) == (
        "filter: tests.event_workflows_for_tests:fails_to_say failed: ValueError: no idea"
    )
    assert "said no" in why(emit("data-processed", {"amount": 5}), samples.by_function)


def test_a_filter_that_never_answers_holds_up_nobody_for_long(known):
    stop = threading.Event()
    hanging = (
        WorkflowBuilder("e-hanging")
        .on_event("x", filter=lambda event: stop.wait(30))
        .add_node("n", emit)
        .build()
    )
    known(hanging)
    with mock.patch.object(executor.delivering, "PATIENCE", 0.05):
        first, second = emit("x"), emit("x")
    stop.set()
    assert "did not answer within" in why(first, hanging)
    assert "still does not answer" in why(second, hanging)


def test_each_event_starts_a_workflow_once_however_often_it_is_sent_and_delivered(known):
    known(samples.plain_listener)
    for _ in range(3):
        event = emit("data-processed", {"n": 1}, id="7", source="/shop")
        Event.objects.update(
            delivered_at=None
        )  # as if its deliverer had died before it noted that it was done
        executor.deliver_events()
    assert (len(started(samples.plain_listener)), Receipt.objects.filter(event=event).count()) == (1, 1)
    assert executor.emit_event("data-processed", id="7", source="/shop", principal=ME).existed
    assert not executor.emit_event("data-processed", id="7", source="/other", principal=ME).existed


def test_data_that_does_not_fit_the_input_schema_starts_nothing_and_says_so(known):
    known(samples.strict)
    assert "does not fit the workflow" in why(emit("data-processed", {"no": "id"}), samples.strict)


def test_a_trigger_starts_nothing_until_somebody_has_enabled_it(known):
    known(samples.plain_listener, enable=False)
    assert why(emit("data-processed"), samples.plain_listener) == "The trigger is not enabled."
    executor.enable_trigger("e-plain", "data-processed", principal=ME)
    executor.disable_trigger("e-plain", "data-processed", principal=ME)
    emit("data-processed")
    assert started(samples.plain_listener) == []
    with pytest.raises(UnknownTrigger, match="Did you mean"):
        executor.enable_trigger("e-plain", "data-procesed", principal=ME)


def test_what_an_event_starts_acts_for_the_triggers_owner_without_mfa(known):
    owner, emitter = person("owner"), person("emitter")
    known(samples.plain_listener, owner="owner")
    emit("data-processed", principal=Principal.for_user(emitter))
    [execution] = started(samples.plain_listener)
    assert (execution.principal["name"], execution.principal["mfa_at"]) == ("owner", None)
    record = AuditRecord.objects.get(action="workflow.run", resource_id=str(execution.pk))
    assert (record.principal_name, record.details["name"]) == ("owner", "data-processed")
    owner.is_active = False
    owner.save()
    assert "may not run the workflow" in why(emit("data-processed"), samples.plain_listener)


def test_a_person_becomes_the_owner_of_a_trigger_and_only_an_administrator_names_another(known, guest):
    known(samples.plain_listener, enable=False)
    me = Principal.for_user(guest)
    from guardian.shortcuts import assign_perm

    row = Trigger.objects.get(event="other").workflow
    for codename in ("view_workflow", "control_workflow"):
        assign_perm(codename, guest, row)
    with pytest.raises(Denied):
        executor.enable_trigger("e-plain", "other", principal=me)  # may not run it
    assign_perm("run_workflow", guest, row)
    assert executor.enable_trigger("e-plain", "other", principal=me).owner == guest
    person("alice")
    with pytest.raises(Denied):
        executor.enable_trigger("e-plain", "other", principal=me, owner="alice")
    assert AuditRecord.objects.filter(action="trigger.set", outcome="allowed").count() == 1


def test_a_chain_of_events_and_executions_ends_at_its_limit(known):
    known(samples.looping)
    with override_settings(IGON7_EVENT_HOPS=3):
        run(samples.looping, input={"n": 1})
        for _ in range(5):
            executor.deliver_events()
            for execution in Execution.objects.exclude(status="succeeded"):
                run_on(execution)
    assert list(Event.objects.order_by("hops").values_list("hops", flat=True)) == [0, 1, 2, 3]
    assert "the limit of IGON7_EVENT_HOPS" in why(Event.objects.get(hops=3), samples.looping)


def run_on(execution):
    """Let what is ready run, until the execution has ended."""
    run(samples.waiting, until=lambda now: Execution.objects.get(pk=execution.pk).status == "succeeded")
    Execution.objects.filter(workflow__name="e-waiting").delete()


# --- emitting --------------------------------------------------------------------------------------


def test_a_node_that_is_tried_again_emits_once(known):
    retried = Builder("e-retried").add_node(
        "work", samples.emits_then_fails_once, retry=RetryPolicy(max_attempts=2)
    )
    result = run(retried.build(), input=GOOD)
    [event] = Event.objects.all()
    assert (result.nodes["work"].output, result.nodes["work"].attempts) == (event.sent_id, 2)
    assert (event.data, event.source, event.node) == (GOOD, "/workflows/e-retried", "work")


def test_an_event_of_a_person_needs_a_permission_and_is_audited(guest):
    with pytest.raises(Denied):
        executor.emit_event("x", principal=Principal.for_user(guest))
    alice = person("alice")
    event = emit("x", {"n": 1}, principal=Principal.for_user(alice))
    assert (event.sender, event.user, event.source) == ("alice", alice, "/people/alice")
    assert AuditRecord.objects.get(action="event.emit", outcome="allowed").resource_id == str(event.pk)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": ""}, InvalidOption),
        ({"name": "x" * 201}, InvalidOption),
        ({"name": "x", "id": "y" * 201}, InvalidOption),
        ({"name": "x", "source": "/workflows/pay"}, InvalidOption),
        ({"name": "x", "data": "y" * 3_000_000}, PayloadTooLarge),
    ],
)
def test_what_is_no_event_is_refused_and_nothing_is_kept(options, error):
    with pytest.raises(error):
        executor.emit_event(**options, principal=ME)
    assert not Event.objects.exists()


def test_what_a_workflow_says_of_events_is_checked_where_it_is_written():
    with pytest.raises(InvalidCondition, match="character 9"):
        Builder("w").on_event("x", filter="amount > ")
    with pytest.raises(GraphError, match="twice"):
        Builder("w").on_event("x").on_event("x")
    with pytest.raises(InvalidOption, match="not async"):
        Builder("w").on_event("x", filter=samples.processes_async)
    changed = Builder("w").on_event("x", filter="a > 1").add_node("n", emit).build()
    assert (
        changed.checksum()
        != Builder("w").on_event("x", filter="a > 2").add_node("n", emit).build().checksum()
    )


def test_the_handler_runs_first_and_is_skipped_where_no_event_has_started_the_execution():
    result = run(samples.listener)
    assert result.nodes["on:data-processed"].status == "skipped"
    assert result.nodes["process"].output == {"input": {}, "event": None, "other": None}
    assert run(samples.async_listener).output is None


def test_the_handler_is_given_the_event_and_what_follows_too(known):
    known(samples.listener, samples.async_listener)
    emit("data-processed", GOOD)
    [execution], [other] = started(samples.listener), started(samples.async_listener)
    for each in (execution, other):
        run_on(each)
    assert results_of(execution) == {
        "on:data-processed": GOOD,
        "process": {"input": GOOD, "event": "data-processed", "other": None},
    }
    assert results_of(other) == {"on:data-processed": GOOD, "process": GOOD}


def results_of(execution):
    return dict(NodeRun.objects.filter(execution=execution).values_list("node", "result"))


def test_events_that_are_old_are_deleted_unless_what_they_started_goes_on(known):
    known(samples.plain_listener)
    emit("data-processed")
    emit("nobody-listens")
    with clock.ahead(31 * 86400):
        assert executor.purge() == 1
    assert Event.objects.get().name == "data-processed"
    Execution.objects.update(status="succeeded", finished_at=clock.now(), open_nodes=0)
    with clock.ahead(31 * 86400):
        assert executor.purge() == 1


# --- waiting ---------------------------------------------------------------------------------------


def parked(workflow=samples.waiting, input=None):
    return run(workflow, input=input, until=lambda now: now.nodes["work"].status == "waiting")


def test_a_body_waits_for_an_event_that_matches():
    result = parked(input={"match": "order == 2 and amount > 10"})
    emit("paid", {"order": 1, "amount": 50})
    emit("paid", {"order": 2, "amount": 50})
    done = result.go_on()
    assert done.nodes["work"].output == [{"order": 2, "amount": 50}]
    [told] = [event for event in done.events if event["type"] == "event.received"]
    assert told["data"]["name"] == "paid"
    assert Receipt.objects.get().outcome == "woke"
    assert not Wait.objects.exists()


def test_what_a_body_waits_for_is_said_with_its_match():
    assert "the event “paid” (order == 7)" in parked(input={"match": {"order": 7}}).why
    assert "the event “paid” (amount > 3)" in parked(input={"match": "amount > 3"}).why


def test_what_came_since_the_execution_began_counts_and_each_event_once():
    result = parked(input={"count": 3})
    for n in range(2):
        emit("paid", n)
    with result.now():
        emit("paid", 2)
    assert result.go_on().nodes["work"].output == [0, 1, 2]


def test_what_came_before_counts_as_far_as_the_lookback_goes():
    emit("paid", "old")
    Event.objects.update(accepted_at=clock.now() - timedelta(seconds=50))
    assert parked().nodes["work"].status == "waiting"
    assert parked(input={"lookback": 40}).nodes["work"].status == "waiting"
    assert run(samples.waiting, input={"lookback": 60}).nodes["work"].output == ["old"]


def test_a_wait_for_an_event_that_is_over_raises():
    assert run(samples.giving_up).nodes["work"].output == 'No event "paid" came within 5 s.'


def test_a_body_that_waits_for_two_events_of_a_name_is_given_each_its_own():
    result = parked(samples.two_at_once)
    emit("paid", {"order": 2, "n": "b"})
    emit("paid", {"order": 1, "n": "a"})
    assert result.go_on().nodes["work"].output == ["a", "b"]


def test_what_comes_while_a_body_runs_is_found_by_its_next_wait():
    def emits_between(ctx):
        first = ctx.wait_for_event("paid")
        ctx.step("meanwhile", _emit_second)
        return [first["data"], ctx.wait_for_event("paid")["data"]]

    workflow = Builder("e-between").add_node("work", emits_between).build()
    result = run(workflow, until=lambda now: now.nodes["work"].status == "waiting")
    emit("paid", "first")
    assert result.go_on().nodes["work"].output == ["first", "second"]


def _emit_second():
    emit("paid", "second")


def test_a_match_that_cannot_be_read_fails_the_node_with_the_place():
    result = run(samples.waiting, input={"match": "order ="})
    assert (result.status, result.error["type"]) == ("failed", "InvalidCondition")


def test_events_that_nobody_listens_to_are_done_with_together(django_assert_max_num_queries):
    many = [executor.Message("unheard", n) for n in range(50)]
    with django_assert_max_num_queries(14):
        executor.emit_events(many, principal=ME)
        executor.deliver_events()
    assert Event.objects.filter(delivered_at__isnull=False).count() == 50


def test_an_async_body_emits_too():
    async def emits(ctx):
        return [await ctx.emit_event("a", {"n": n}) for n in range(2)]

    result = run(Builder("e-async-emits").add_node("work", emits).build())
    assert list(Event.objects.order_by("accepted_at").values_list("sent_id", "data")) == list(
        zip(result.nodes["work"].output, [{"n": 0}, {"n": 1}], strict=True)
    )


# --- the test kit ----------------------------------------------------------------------------------


def test_the_kit_starts_a_workflow_by_an_event_or_says_why_not():
    result = run(samples.listener, event=("data-processed", GOOD))
    assert result.nodes["on:data-processed"].output == GOOD
    with pytest.raises(AssertionError, match=r"filter: amount > 100 was false \(amount is 1\)"):
        run(samples.listener, event=("data-processed", {"amount": 1}))
    with pytest.raises(InvalidOption, match="Did you mean"):
        run(samples.listener, event="data-procesed")


def test_the_kit_runs_what_events_start_and_sends_those_it_is_given():
    result = run(samples.emitter, input=GOOD, workflows=[samples.listener])
    [started] = result.started
    assert (started.workflow, started.status) == ("e-listener", "succeeded")
    assert run(samples.waiting, events=[("paid", 1)]).nodes["work"].output == [1]
    waits = run(samples.waiting, input={"count": 2}, events=[("paid", 1)])
    assert waits.go_on(events=[("paid", 2)]).nodes["work"].output == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_what_a_transactional_body_emits_commits_with_it_or_not_at_all():
    def emits(ctx):
        ctx.emit_event("told", {"attempt": ctx.attempt})
        if ctx.attempt == 1:
            raise ConnectionError("not yet")

    retry = RetryPolicy(max_attempts=2)
    node = Builder("e-transactional").add_node("work", emits, transactional=True, timeout=5, retry=retry)
    assert run(node.build()).status == "succeeded"
    executor.deliver_events()
    [event] = Event.objects.filter(name="told")
    assert (event.data, event.delivered_at is not None) == ({"attempt": 2}, True)


@pytest.mark.django_db(transaction=True)
def test_events_are_emitted_and_given_once_wherever_a_worker_dies():
    tried = crash_everywhere(samples.talking)
    assert tried.result.output == [1, 2]
    sent = Event.objects.filter(workflow__name="e-talking")
    given = Receipt.objects.filter(event__in=sent)
    assert sent.count() == given.count() == 2 * (tried.crashes + 1)
    assert not Event.objects.filter(delivered_at=None).exists()
