"""The relay inside one process: what it asks of the database, and what it keeps for the slow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from monitoring import live
from monitoring.frames import Frame
from monitoring.live import ExecutionGone, Relay, Subscription
from orchestration.models import Execution, ExecutionEvent
from tests import factories


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """Every statement of a relay's thread."""
    statements: list[str] = []

    def listen(connection: Any, **_: Any) -> None:
        if threading.current_thread().name.startswith("live-relay"):
            connection.execute_wrappers.append(note)

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    connection_created.connect(listen)
    yield statements
    connection_created.disconnect(listen)


async def _until_idle(relay: Relay) -> None:
    for _ in range(200):
        if relay.is_idle and not any(
            thread.name.startswith("live-relay") for thread in threading.enumerate()
        ):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the relay did not stop")


async def _soon(subscription: Subscription) -> Frame:
    return await asyncio.wait_for(subscription.next(), 10)


def test_nothing_runs_and_nothing_is_asked_while_nobody_watches(
    execution: Execution, asked: list[str]
) -> None:
    factories.play(execution)

    async def scene() -> None:
        relay = Relay()
        assert relay.is_idle
        for _ in range(2):  # it starts again for the next one
            subscription = relay.subscribe(execution.pk, 0, 0, "en")
            assert (await _soon(subscription)).events
            assert not relay.is_idle
            relay.unsubscribe(subscription)
            await _until_idle(relay)
        asked.clear()
        await asyncio.sleep(0.5)
        assert asked == []

    asyncio.run(scene())


@pytest.mark.alone  # on a busy machine it looks less often than it may
def test_watching_what_does_not_move_costs_next_to_nothing(execution: Execution, asked: list[str]) -> None:
    factories.play(execution)

    async def scene() -> None:
        relay = Relay()
        subscriptions = [relay.subscribe(execution.pk, 0, 0, "en") for _ in range(5)]
        for subscription in subscriptions:
            await _soon(subscription)
        await asyncio.sleep(0.3)
        asked.clear()
        await asyncio.sleep(1)
        if connection.vendor == "sqlite":
            assert set(asked) == {"PRAGMA data_version"}
        assert 3 <= len(asked) <= 45
        for subscription in subscriptions:
            relay.unsubscribe(subscription)
        await _until_idle(relay)

    asyncio.run(scene())


@pytest.mark.alone  # the quick one has to take each look's frame before the next look
def test_a_watcher_who_takes_nothing_is_kept_little_for_and_misses_nothing(
    alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LIMIT", 40)
    edges = {"read": (), **{f"part-{number}": ["read"] for number in range(60)}}
    busy = factories.start_execution(factories.make_workflow("wide", edges), alice)

    async def scene() -> list[int]:
        relay = Relay()
        slow = relay.subscribe(busy.pk, 0, 0, "en")
        quick = relay.subscribe(busy.pk, 0, 0, "en")
        seen = [event["seq"] for event in (await _soon(slow)).events]
        working = asyncio.create_task(asyncio.to_thread(_play, busy))
        largest = 0
        while (frame := await _soon(quick)).status == "running":
            largest = max(largest, frame.size)
            # What is kept is within the limit, or what a single look found.
            assert slow._pending is None or slow._pending.size <= max(40, largest)
        await working
        status = "running"
        while status == "running":
            frame = await _soon(slow)
            assert not frame.reset
            seen += [event["seq"] for event in frame.events]
            status = frame.status
        relay.unsubscribe(slow)
        relay.unsubscribe(quick)
        await _until_idle(relay)
        return seen

    seen = asyncio.run(scene())
    events = ExecutionEvent.objects.filter(execution=busy).order_by("seq")
    assert seen == list(events.values_list("seq", flat=True))


def test_an_execution_that_is_deleted_ends_the_watching(execution: Execution) -> None:
    async def scene() -> None:
        relay = Relay()
        subscription = relay.subscribe(execution.pk, 0, 0, "en")
        await _soon(subscription)
        await asyncio.to_thread(_in_thread, Execution.objects.filter(pk=execution.pk).delete)
        with pytest.raises(ExecutionGone):
            await _soon(subscription)
        relay.unsubscribe(subscription)
        await _until_idle(relay)

    asyncio.run(scene())


def test_the_sentence_is_in_each_watchers_language(execution: Execution) -> None:
    async def scene() -> None:
        relay = Relay()
        both = [relay.subscribe(execution.pk, 0, 0, language) for language in ("en", "fr")]
        english, french = [(await _soon(one)).as_json(one.language) for one in both]
        assert english["why"]
        assert french["why"]
        for one in both:
            relay.unsubscribe(one)
        await _until_idle(relay)

    asyncio.run(scene())


def _play(execution: Execution) -> None:
    _in_thread(lambda: factories.play(execution, seats=20, gap=0.0001))


def _in_thread(work: Any) -> None:
    try:
        work()
    finally:
        connection.close()
