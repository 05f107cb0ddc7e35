"""Bulk acts: what a dry run says, what is frozen, and what becomes of each execution."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import override_settings
from django.utils import translation
from guardian.shortcuts import assign_perm, remove_perm

from orchestration import bulk, executor
from orchestration.bulk import Selection, carry
from orchestration.bulk.said import MARKED
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import Igon7Error, IllegalMove, InvalidOption
from orchestration.engine.states import ExecutionStatus
from orchestration.engine.verbs import LEGAL, check
from orchestration.models import BulkAct, BulkItem, Execution
from orchestration.store import clock
from security.models import AuditRecord
from security.principals import Principal
from tests.cluster import cluster, wait_until
from tests.factories import Act, make_workflow, person, play, start_execution

from .store_helpers import together

ME = Principal.system("tests")


def begin(workflow: Workflow, count: int) -> list[Execution]:
    return [start_execution(workflow) for _ in range(count)]


def ids(executions: Sequence[Execution]) -> Selection:
    return Selection.of_ids([each.pk for each in executions])


def start(selection: Selection, verb: str = "cancel", by: Principal = ME, **options: Any) -> BulkAct:
    seen = bulk.preview(by, verb, selection)
    frozen = Selection.thaw(seen.selection, verb, by)
    return bulk.start(by, verb, frozen, confirm=seen.confirm, **options)


def to_the_end(act: BulkAct) -> bulk.Counts:
    """Be the only cluster until nothing is left to do."""
    deadline = time.monotonic() + 20
    with override_settings(IGON7_BULK_RATE=10_000):
        while BulkAct.objects.get(pk=act.pk).status == "running":
            assert time.monotonic() < deadline
            bulk.carry_out()
    return bulk.counts(act)


def statuses() -> list[str]:
    return list(Execution.objects.order_by("id").values_list("status", flat=True))


@pytest.mark.django_db
def test_a_dry_run_counts_what_is_possible_groups_what_is_not_and_writes_nothing(
    etl: Workflow, guest: User
) -> None:
    other = make_workflow("other")
    begin(etl, 3)
    play(start_execution(etl))
    begin(other, 2)
    for name, permissions in (("etl", ["view", "control"]), ("other", ["view"])):
        for verb in permissions:
            assign_perm(f"{verb}_workflow", guest, Execution.objects.filter(workflow__name=name)[0].workflow)
    found = bulk.preview(Principal.for_user(guest), "cancel", Selection.of_query({}))
    assert (found.selected, found.count, found.confirm) == (6, 3, "cancel 3")
    assert [(group.count, group.why) for group in found.refused] == [
        (2, "You may not control the executions of “other”."),
        (1, "It is succeeded, so it cannot be cancelled. There is nothing left to cancel."),
    ]
    assert not BulkAct.objects.exists()
    assert not AuditRecord.objects.exists()


@pytest.mark.django_db
def test_why_not_is_said_in_the_language_of_who_asks(etl: Workflow) -> None:
    play(start_execution(etl))
    with translation.override("fr"):
        found = bulk.preview(ME, "cancel", Selection.of_query({}))
    assert [group.why for group in found.refused] == [
        "État\N{NO-BREAK SPACE}: réussi\N{NO-BREAK SPACE}; elle ne peut pas être annulée. Il n’y a plus rien à annuler."
    ]
    refusals = [no for no in itertools.starmap(_refusal, itertools.product(LEGAL, ExecutionStatus)) if no]
    assert refusals
    for no in refusals:
        assert {no.fields[name] for name in ("state", "verb", "hint")} <= set(MARKED)


def _refusal(verb: str, status: ExecutionStatus) -> IllegalMove | None:
    try:
        check(verb, status, "")
    except IllegalMove as no:
        return no
    return None


@pytest.mark.django_db
def test_executions_one_may_not_see_are_as_good_as_none(etl: Workflow, guest: User) -> None:
    found = bulk.preview(Principal.for_user(guest), "cancel", ids(begin(etl, 2)))
    assert (found.selected, found.count) == (2, 0)
    assert [group.why for group in found.refused] == ["There is no such execution that you may see."]


@pytest.mark.django_db(transaction=True)
def test_what_has_come_since_the_dry_run_is_not_touched(etl: Workflow) -> None:
    begin(etl, 3)
    seen = bulk.preview(ME, "cancel", Selection.of_query({"workflow": "etl"}))
    late = start_execution(etl)
    act = bulk.start(
        ME, "cancel", Selection.thaw(seen.selection, "cancel", ME), confirm="Cancel  3", reason="old"
    )
    assert to_the_end(act) == (3, 3, 0, 0)
    assert statuses() == ["cancelled"] * 3 + ["running"]
    assert not BulkItem.objects.filter(execution=late).exists()
    audited = AuditRecord.objects.filter(action="execution.cancel")
    assert {(row.details["bulk"], row.details["reason"]) for row in audited} == {(str(act.pk), "old")}
    assert audited.count() == 3
    (started,) = AuditRecord.objects.filter(action="bulk.cancel")
    assert started.details == {"executions": 3, "query": "workflow=etl", "options": {}, "reason": "old"}


@pytest.mark.django_db
def test_the_confirmation_must_name_the_number_there_is_now(etl: Workflow) -> None:
    begin(etl, 2)
    query = Selection.of_query({"status": "running"})
    with pytest.raises(bulk.BulkConflict, match="There are 2 executions to cancel now"):
        bulk.start(ME, "cancel", query, confirm="cancel 3")
    with pytest.raises(bulk.BulkConflict, match='"resume" is possible for none of them now'):
        bulk.start(ME, "resume", query, confirm="resume 0")
    assert not BulkAct.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: bulk.preview(ME, "explode", Selection()), "one of cancel, terminate"),
        (lambda: Selection.of_query({"statu": ["failed"]}), 'Did you mean "status"?'),
        (lambda: Selection.of_query({"status": ["done"]}), "must be one of queued"),
        (lambda: Selection.of_ids(["x"]), "ids of executions"),
        (lambda: Selection.thaw("made up", "cancel", ME), "a dry run of this verb gave you"),
        (lambda: start(Selection.of_query({}), "retry", options={"nod": "a"}), 'Did you mean "node"?'),
        (lambda: start(Selection.of_query({}), "retry", options={"node": 7}), "a text of up to 200"),
        (lambda: start(Selection.of_query({}), "retry", reason="a" * 2001), "2,000 characters"),
        (lambda: bulk.preview(ME, "fork", Selection.of_query({})), "must be given, to fork"),
        (lambda: bulk.preview(ME, "retry", Selection.of_query({}), {"input": 1}), "unless a node is named"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(etl: Workflow, ask: Any, said: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        ask()
    assert said in str(refused.value)


@pytest.mark.django_db
def test_a_dry_run_serves_the_one_verb_and_the_one_person(etl: Workflow, alice: User) -> None:
    begin(etl, 1)
    text = bulk.preview(ME, "cancel", Selection.of_query({})).selection
    for verb, who in (("terminate", ME), ("cancel", Principal.for_user(alice))):
        with pytest.raises(InvalidOption):
            Selection.thaw(text, verb, who)


@pytest.mark.django_db
def test_too_many_are_refused_before_anything_is_written(etl: Workflow) -> None:
    found = begin(etl, 4)
    with override_settings(IGON7_BULK_LIMIT=3):
        for selection in (lambda: Selection.of_query({}), lambda: ids(found)):
            with pytest.raises(bulk.TooMany, match="more than 3 executions"):
                bulk.preview(ME, "cancel", selection())


@pytest.mark.django_db(transaction=True)
def test_what_has_become_impossible_is_refused_with_its_reason_and_the_others_go_on(etl: Workflow) -> None:
    found = begin(etl, 3)
    act = start(ids(found), "pause")
    executor.terminate(found[1].pk, principal=ME)
    assert to_the_end(act) == (3, 2, 1, 0)
    (item,) = bulk.refused_items(act)
    assert item.execution_id == found[1].pk
    assert item.why == "It is terminated, so it cannot be paused. Only a running execution can be paused."
    assert statuses() == ["paused", "terminated", "paused"]


@pytest.mark.django_db(transaction=True)
def test_options_reach_the_verb(etl: Workflow) -> None:
    failed = {"extract": Act(error=("ValueError", "no"))}
    found = [play(start_execution(etl), failed) for _ in range(2)]
    act = start(ids(found), "retry", options={"node": "nowhere"})
    assert to_the_end(act).refused == 2
    assert 'cannot retry node "nowhere"' in bulk.refused_items(act)[0].why
    assert to_the_end(start(ids(found), "retry", options={"node": "extract"})).done == 2


@pytest.mark.django_db(transaction=True)
def test_each_is_authorised_as_its_principal_is_when_its_turn_comes(etl: Workflow) -> None:
    bob = person("bob", staff=False)
    found = begin(etl, 2)
    for verb in ("view", "control"):
        assign_perm(f"{verb}_workflow", bob, found[0].workflow)
    first = start(ids(found), by=Principal.for_user(bob))
    remove_perm("control_workflow", bob, found[0].workflow)
    assert to_the_end(first) == (2, 0, 2, 0)
    assert "bob may not control executions" in bulk.refused_items(first)[0].why
    assert AuditRecord.objects.filter(action="execution.control", outcome="denied").count() == 2
    assign_perm("control_workflow", bob, found[0].workflow)
    second = start(ids(found), by=Principal.for_user(bob))
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert to_the_end(second) == (2, 0, 2, 0)
    assert bulk.refused_items(second)[0].why == "The account of bob is no longer active."
    assert statuses() == ["running", "running"]


@pytest.mark.django_db(transaction=True)
def test_what_a_stop_leaves_is_never_done(etl: Workflow) -> None:
    act = start(ids(begin(etl, 5)))
    with override_settings(IGON7_BULK_RATE=1):
        BulkAct.objects.update(paced_at=act.created_at - dt.timedelta(seconds=2))
        bulk.carry_out()
    stopped = bulk.stop(ME, act.pk)
    before = bulk.counts(act)
    assert (stopped.status, stopped.stopped_by, before.done + before.left) == ("stopped", "tests", 5)
    assert 1 <= before.done <= 4
    bulk.carry_out()
    item = BulkItem.objects.filter(state="pending")[0]
    carry._carry_out(act, item, ME)  # a cluster that had read it before the stop
    assert bulk.counts(act) == before
    assert sorted(statuses()) == ["cancelled"] * before.done + ["running"] * before.left
    with pytest.raises(bulk.BulkConflict, match="is stopped"):
        bulk.stop(ME, act.pk)


@pytest.mark.django_db(transaction=True)
def test_all_clusters_together_keep_to_the_rate(etl: Workflow) -> None:
    act = start(ids(begin(etl, 12)))
    with override_settings(IGON7_BULK_RATE=4):
        BulkAct.objects.update(paced_at=clock.now() - dt.timedelta(minutes=5))
        stale = BulkAct.objects.get()
        assert carry._granted(stale) == 8  # two seconds' worth, however long nobody came
        assert carry._granted(stale) == 0  # another cluster, which had read it before
        assert carry._granted(BulkAct.objects.get()) == 0
    assert bulk.counts(act).left == 12


@pytest.mark.django_db(transaction=True)
def test_each_is_forked_from_the_node_once_with_its_own_input_or_another(etl: Workflow, guest: User) -> None:
    found = [play(start_execution(etl, input={"day": number})) for number in range(2)]
    other = start_execution(make_workflow("other", {"only": ()}))
    selection = ids([*found, other])
    assert bulk.nodes(ME, selection) == ["extract", "transform", "load", "only"]
    seen = bulk.preview(ME, "fork", selection, {"node": "load"})
    assert (seen.confirm, [group.count for group in seen.refused]) == ("fork 2", [1])
    assert seen.refused[0].why == "Its version has no node “load” from which it could be forked."
    for options, inputs in (
        ({}, [{"day": 0}, {"day": 1}]),
        ({"input": {"b": 1, "a": 2}}, [{"b": 1, "a": 2}] * 2),
    ):
        before = set(Execution.objects.values_list("pk", flat=True))
        given = {"node": "load", **options}
        act = bulk.start(
            ME, "fork", Selection.thaw(seen.selection, "fork", ME), confirm="fork 2", options=given
        )
        assert to_the_end(act) == (2, 2, 0, 0)
        forks = Execution.objects.exclude(pk__in=before).order_by("forked_from")
        assert [each.forked_from_id for each in forks] == [each.pk for each in found]
        assert list(map(json.dumps, (each.input for each in forks))) == list(map(json.dumps, inputs))
        assert {each.nodes.get(node="transform").status for each in forks} == {"succeeded"}
        assert {each.nodes.get(node="load").status for each in forks} == {"ready"}
    audited = AuditRecord.objects.filter(action="execution.fork").order_by("pk")
    assert [row.details["bulk"] for row in audited][2:] == [str(act.pk)] * 2
    (started,) = AuditRecord.objects.filter(action="bulk.fork", resource_id=str(act.pk))
    assert started.details["options"] == {"node": "load", "edited": True}
    assign_perm("view_workflow", guest, found[0].workflow)
    assign_perm("control_workflow", guest, found[0].workflow)
    mine = bulk.preview(Principal.for_user(guest), "fork", selection, {"node": "load"})
    assert {group.why for group in mine.refused} >= {"You may not run “etl”."}


@pytest.mark.django_db(transaction=True)
def test_an_act_and_its_mark_commit_together_or_not_at_all(etl: Workflow) -> None:
    act = start(ids(begin(etl, 1)))
    BulkAct.objects.update(paced_at=clock.now() - dt.timedelta(minutes=5))
    with (
        mock.patch("orchestration.executor.acting.audit.record", side_effect=OperationalError("cut off")),
        pytest.raises(OperationalError),
    ):
        bulk.carry_out()
    assert (statuses(), bulk.counts(act).left) == (["running"], 1)
    assert to_the_end(act).done == 1


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_refuses_its_execution_and_holds_up_no_other(etl: Workflow) -> None:
    act = start(ids(begin(etl, 2)))
    real, calls = executor.VERBS["cancel"], []

    def once_broken(*args: Any, **named: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise KeyError("ours")
        real(*args, **named)

    with mock.patch.dict(executor.VERBS, cancel=once_broken):
        assert to_the_end(act) == (2, 1, 1, 0)
    assert bulk.refused_items(act)[0].why == "igon7 failed to do this; its log says why."


def _note(
    execution_id: Any, *, principal: Principal, reason: str = "", slow: Callable[[], Any] = lambda: None
) -> None:
    """Be a verb that could be done any number of times: nothing but the mark keeps it to once."""
    executor.acting.act_on("cancel", execution_id, principal, reason, lambda _id, _about: slow())


def _somebody_waits() -> bool:
    if connection.vendor != "postgresql":
        return True  # for the file, which has one writer
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def _both_at_one_item(act: BulkAct) -> int:
    """Let two carry out the same item, and return how often it was done."""
    (item,) = act.items.all()
    inside, ended = threading.Event(), threading.Event()

    def slow() -> None:
        if inside.is_set():
            return
        inside.set()
        wait_until(lambda: ended.is_set() or _somebody_waits(), what="the other one has come to the item")

    def second() -> None:
        assert inside.wait(10)
        carry._carry_out(act, item, ME)
        ended.set()

    with mock.patch.dict(executor.VERBS, cancel=partial(_note, slow=slow)):
        assert together(lambda: carry._carry_out(act, item, ME), second) == [None, None]
    return AuditRecord.objects.filter(action="execution.cancel").count()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_without_the_items_lock_two_do_it_twice(etl: Workflow) -> None:
    act = start(ids(begin(etl, 1)))
    with mock.patch.object(BulkItem.objects, "select_for_update", return_value=BulkItem.objects.all()):
        assert _both_at_one_item(act) == 2, "the race did not happen: this test proves nothing any more"


@pytest.mark.django_db(transaction=True)
def test_with_the_items_lock_it_is_done_once(etl: Workflow) -> None:
    act = start(ids(begin(etl, 1)))
    assert _both_at_one_item(act) == 1
    assert bulk.counts(act).done == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_carry_out_the_same_act_at_once_do_each_execution_once(etl: Workflow) -> None:
    """Both try every item, in the same order."""
    count = 40
    act = start(ids(begin(etl, count)))
    items = list(act.items.order_by("id"))

    def all_of_them() -> None:
        for item in items:
            carry._carry_out(act, item, ME)

    with mock.patch.dict(executor.VERBS, cancel=_note):
        assert together(all_of_them, all_of_them) == [None, None]
    assert bulk.counts(act) == (count, count, 0, 0)
    assert AuditRecord.objects.filter(action="execution.cancel").count() == count


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_a_cluster_killed_in_the_middle_loses_nothing_and_doubles_nothing(
    etl: Workflow, tmp_path: Any
) -> None:
    count = 80
    found = begin(etl, count)
    for each in found:
        executor.pause(each.pk, principal=ME)  # so that no worker has a part in it
    with cluster(tmp_path, workers=1, IGON7_BULK_RATE="40") as first:
        act = start(ids(found))
        wait_until(lambda: bulk.counts(act).done > 20, what="some are done")
        first.kill()
    left = bulk.counts(act)
    assert left.left > 0, "it was killed too late: this test proves nothing any more"
    assert left.done == Execution.objects.filter(status="cancelled").count()
    with cluster(tmp_path, workers=1, IGON7_BULK_RATE="1000"):
        wait_until(
            lambda: BulkAct.objects.get().status == "finished", 60.0, lambda: f"finished: {bulk.counts(act)}"
        )
    assert bulk.counts(act) == (count, count, 0, 0)
    assert AuditRecord.objects.filter(action="execution.cancel").count() == count
    assert set(statuses()) == {"cancelled"}


@pytest.mark.django_db
def test_a_bulk_act_is_found_by_its_maker_and_by_staff(etl: Workflow, alice: User, guest: User) -> None:
    begin(etl, 1)
    act = start(Selection.of_query({}), by=Principal.for_user(alice))
    assert bulk.find(Principal.for_user(alice), act.pk) == act
    with pytest.raises(Igon7Error, match="no bulk act"):
        bulk.find(Principal.for_user(guest), act.pk)
