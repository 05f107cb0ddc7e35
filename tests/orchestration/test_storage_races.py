"""Shared state under races and crashes: every change once, and only by whom the claim is."""

from __future__ import annotations

import asyncio
import os
import threading
from unittest import mock

import pytest
from django.db import connection, connections, transaction

from orchestration import RetryPolicy, WorkflowBuilder
from orchestration.engine.states import Outcome
from orchestration.models import StateEntry
from orchestration.store import journal, state, versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle
from orchestration.store.state import Change, Place, Writer
from orchestration.testing import crash_everywhere

from .store_helpers import begin, done, seat, together

pytestmark = pytest.mark.django_db(transaction=True)
TOTAL = Place("global", "", "total")


@pytest.fixture(autouse=True)
def _fresh_versions():
    versions.forget_versions()


def add(by=1):
    with transaction.atomic():
        return state.change(connection, Change("incr", TOTAL, Writer("test"), str(by)))


def total():
    found = state.find(TOTAL)
    return (found.value, found.version) if found is not None else (0, 0)


def read_and_set():
    """Count as one does who knows no better."""
    found, _ = total()
    together_read.wait(5)
    with transaction.atomic():
        state.change(connection, Change("set", TOTAL, Writer("test"), str(found + 1)))


together_read = threading.Barrier(2)


def in_processes(count, function):
    """Call the function in so many processes at once; each must end well."""
    connections.close_all()
    children = [child for _ in range(count) if (child := _forked(function))]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count


def _forked(function):
    child = os.fork()
    if not child:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return child


def test_eight_writers_count_exactly_where_getting_and_setting_loses():
    together(read_and_set, read_and_set)
    assert total()[0] == 1, "both have counted, and one is lost"
    add(-1)
    in_processes(8, lambda: [add() for _ in range(25)])
    assert total() == (200, 203)


def test_of_many_who_compare_and_set_one_wins():
    def elect(name):
        with transaction.atomic():
            return state.change(connection, Change("set", TOTAL, Writer(name), f'"{name}"', version=0))

    came = together(*[lambda name=name: elect(name) for name in "abcdefgh"])
    assert sorted(came) == ["1"] + ["null"] * 7
    assert total()[0] == "abcdefgh"[came.index("1")]


def count_as(claim):
    return state.change_once(claim, "total#1", Change("incr", TOTAL, Writer(), "1"))


def take_over(old):
    """Take the node run from whom it was claimed by, and claim it."""
    assert not settle(done([old], Outcome.LOST)).refused
    return claim(seat(), 1)[0]


def test_a_body_that_was_taken_over_changes_nothing_and_one_that_asks_again_counts_once():
    begin({"a": []})
    old = claim(seat(), 1)[0]
    new = take_over(old)
    assert count_as(old) is None
    assert total() == (0, 0)
    assert [count_as(new).value for _ in range(3)] == ["1", "1", "1"]
    assert total()[0] == 1


@pytest.mark.postgres
@pytest.mark.parametrize("guarded", [False, True])
def test_who_is_taken_over_while_it_waits_for_a_key_does_not_count_any_more(guarded):
    """Without the fence both count: whoever waited for the hot key, and who took the node over meanwhile."""
    begin({"a": []})
    old, waits, came = claim(seat(), 1)[0], threading.Event(), []
    asked = Change("incr", TOTAL, Writer(), "1")

    def hold_the_key():
        with transaction.atomic():
            state.change(connection, asked)
            waits.wait(10)

    def unfenced(connection, claim, entry, **_):
        return ("SELECT 1", [])

    def wait_for_the_key():
        came.append(count_as(old))

    holder = threading.Thread(target=_closing(hold_the_key))
    zombie = threading.Thread(target=_closing(wait_for_the_key))
    with mock.patch.object(journal, "keeping", journal.keeping if guarded else unfenced):
        holder.start()
        _until_locked("stateentry")
        zombie.start()
        _until_waiting()
        take_over(old)
        waits.set()
        holder.join()
        zombie.join()
    assert total()[0] == (1 if guarded else 2)
    assert (came == [None]) is guarded


def _closing(function):
    def run():
        try:
            function()
        finally:
            connection.close()

    return run


def _until_locked(table):
    _until(
        "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        f" WHERE c.relname = 'orchestration_{table}' AND l.mode = 'RowExclusiveLock'"
    )


def _until_waiting():
    _until(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )


def _until(query):
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute(query)
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.01)
    raise AssertionError(query)


def works(ctx):
    """Count in all scopes, read, wait, fail once, and count on."""
    seen = [ctx.storage.incr("n"), ctx.storage.set("a", "x"), ctx.storage.get("a")]
    ctx.sleep(5)
    seen.append(ctx.storage.compare_and_set("a", "y", 1))
    if ctx.attempt == 1:
        raise ValueError("once")
    return [*seen, ctx.storage.incr("n"), ctx.storage.delete("a"), ctx.storage.keys()]


async def works_too(ctx):
    return sorted(await asyncio.gather(*[ctx.storage.incr("n", scope="workflow") for _ in range(3)]))


def test_a_workflow_that_counts_ends_alike_wherever_a_worker_dies():
    retry = RetryPolicy(max_attempts=2, initial_interval=1)
    workflow = (
        WorkflowBuilder("counting").add_node("work", works, retry=retry).add_node("too", works_too).build()
    )
    tried = crash_everywhere(workflow, before=StateEntry.objects.all().delete, most=24)
    assert tried.result.output == {"work": [1, 1, "x", 2, 2, True, ["n"]], "too": [1, 2, 3]}
    assert tried.crashes == 24
