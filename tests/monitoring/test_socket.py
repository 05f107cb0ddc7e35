"""The WebSocket, from the outside: a real server process on the database under test."""

from __future__ import annotations

import json
import threading
import time
import uuid

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from orchestration.engine.decide import Result
from orchestration.engine.states import Outcome
from orchestration.models import Execution, ExecutionEvent
from orchestration.store import claim as claims
from orchestration.store import clock
from orchestration.store.leases import Line, begun, report_progress, write_lines
from orchestration.store.locked import Claimer
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle_alone
from security.models import UserSession as Session
from tests import factories
from tests.factories import Act

from .conftest import Elsewhere, cookie


def take(number: int) -> list[claims.Claim]:
    return claims.claim(Claimer(uuid.uuid4(), 4711, ("default",), "sync", 3600.0), number)


def end(held: claims.Claim) -> None:
    settle_alone(Settled(held, Result(held.key, Outcome.SUCCEEDED, "null")))


def line(number: int, message: str) -> Line:
    return Line(number, clock.now(), 20, message)


def everything(execution: Execution) -> list[int]:
    events = ExecutionEvent.objects.filter(execution=execution).order_by("seq")
    return list(events.values_list("seq", flat=True))


def test_the_first_frame_tells_all_there_is(watch, execution, alice) -> None:
    factories.play(execution, {"extract": Act(lines=[("warning", "slow disk")])})
    first = watch(execution, cookie(alice)).read(lambda seen: seen.frames).frames[0]
    assert first["status"] == "succeeded"
    assert first["why"] is None
    assert [event["seq"] for event in first["events"]] == everything(execution)
    assert {node["node"]: node["status"] for node in first["nodes"]} == dict.fromkeys(
        ["extract", "transform", "load"], "succeeded"
    )
    assert [(found["level"], found["message"]) for found in first["lines"]] == [("warning", "slow disk")]
    assert "reset" not in first


def test_who_comes_back_gets_exactly_the_events_and_lines_that_were_missed(watch, execution, alice) -> None:
    session = cookie(alice)
    (held,) = take(1)
    begun(held, 0, "worker-1")
    write_lines(held, [line(1, "seen")])
    before = watch(execution, session).read(lambda seen: seen.messages == ["seen"])
    before.connection.close()
    at = before.frames[-1]
    write_lines(held, [line(2, "missed")])
    end(held)
    factories.play(execution)
    after = watch(execution, session, after=at["seq"], line=at["line"]).read(lambda seen: seen.frames)
    assert before.seqs + after.seqs == everything(execution)
    assert after.messages == ["missed"]


def test_two_watchers_see_the_same_and_progress_arrives(watch, execution, alice) -> None:
    two = [watch(execution, cookie(alice)) for _ in range(2)]
    for watcher in two:
        watcher.read(lambda seen: seen.frames)
    (held,) = take(1)
    begun(held, 0, "worker-1")
    for watcher in two:
        watcher.read(lambda seen: seen.nodes.get("extract") == "running")
    report_progress(held, {"fraction": 0.4, "text": "reading", "at": "2026-01-31T12:00:00Z"})
    for watcher in two:
        watcher.read(lambda seen: seen.frames[-1]["nodes"] and seen.frames[-1]["nodes"][0]["progress"])
        assert watcher.frames[-1]["nodes"][0]["progress"]["text"] == "reading"
    assert two[0].seqs == two[1].seqs


def test_a_thousand_quick_events_arrive_in_order_without_gap_at_ten_frames_a_second(watch, alice) -> None:
    edges = {"read": (), **{f"part-{number}": ["read"] for number in range(340)}}
    busy = factories.start_execution(factories.make_workflow("wide", edges), alice)
    watcher = watch(busy, cookie(alice)).read(lambda seen: seen.frames)
    with Elsewhere(lambda: factories.play(busy, seats=50, gap=0.0001)):
        watcher.read(lambda seen: seen.frames[-1]["status"] == "succeeded", 60)
    assert watcher.seqs == everything(busy)
    assert len(watcher.seqs) > 1000
    assert set(watcher.nodes.values()) == {"succeeded"}
    at = watcher.arrivals
    assert at[-1] - at[0] >= 0.09 * (len(at) - 1)


def test_a_restless_node_is_shown_ten_times_a_second_and_its_last_word_arrives(
    watch, execution, alice
) -> None:
    watcher = watch(execution, cookie(alice))
    (held,) = take(1)
    begun(held, 0, "worker-1")

    def report() -> None:
        for count in range(1, 201):
            report_progress(held, {"fraction": count / 200, "text": str(count), "at": "2026-01-31T12:00:00Z"})
            time.sleep(0.01)

    def last(seen) -> str | None:
        return next((node["progress"] or {}).get("text") for node in seen.frames[-1]["nodes"])

    watcher.read(lambda seen: seen.nodes.get("extract") == "running")
    with Elsewhere(report):
        watcher.read(lambda seen: seen.frames[-1]["nodes"] and last(seen) == "200", 30)
    at = watcher.arrivals
    assert len(at) > 10
    assert min(later - earlier for earlier, later in zip(at, at[10:], strict=False)) >= 0.9


@pytest.mark.postgres
def test_lines_committed_in_another_order_than_numbered_all_arrive_once(watch, alice) -> None:
    both = factories.start_execution(factories.make_workflow("pair", {"a": (), "b": ()}), alice)
    slow, quick = take(2)
    session = cookie(alice)
    watcher = watch(both, session).read(lambda seen: seen.frames)
    held_back, go_on = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            write_lines(slow, [line(1, "low id, late commit")])
            held_back.set()
            assert go_on.wait(20)

    with Elsewhere(write_slowly):
        assert held_back.wait(20)
        write_lines(quick, [line(1, "high id, early commit")])
        watcher.read(lambda seen: seen.messages)
        late = watch(both, session).read(lambda seen: seen.messages)
        go_on.set()
        watcher.read(lambda seen: len(seen.messages) == 2)
        late.read(lambda seen: len(seen.messages) == 2)
    write_lines(quick, [line(2, "afterwards")])
    for seen in (watcher, late):
        seen.read(lambda seen: "afterwards" in seen.messages)
        assert seen.messages == ["high id, early commit", "low id, late commit", "afterwards"]
    early = late.frames[0]["line"]
    again = watch(both, session, line=early).read(lambda seen: seen.frames)
    assert "low id, late commit" in again.messages


def test_a_socket_without_a_login_is_closed_with_4401(watch, execution) -> None:
    assert watch(execution).closed(3)[0] == 4401
    assert watch(execution, "nonsense").closed(3)[0] == 4401


def test_a_socket_from_another_site_is_refused(server, execution, alice) -> None:
    headers = {"Cookie": f"sessionid={cookie(alice)}"}
    url = f"ws://127.0.0.1:{server.port}/ws/executions/{execution.pk}/"
    with pytest.raises(InvalidStatus):
        connect(url, origin=Origin("http://evil.test"), additional_headers=headers, legacy=True)


def test_who_may_not_view_the_execution_is_refused_with_4403_and_the_unknown_with_4404(
    watch, execution, alice
) -> None:
    bob = factories.person("bob", staff=False)
    assert watch(execution, cookie(bob)).closed(3)[0] == 4403
    assert watch(uuid.uuid4(), cookie(alice)).closed(3)[0] == 4404


@pytest.mark.parametrize("query", [{"after": "-1"}, {"after": "x"}, {"line": "9" * 40}, {"line": "1.5"}])
def test_a_bad_query_is_refused_with_4400_and_named(watch, execution, alice, query) -> None:
    code, reason = watch(execution, cookie(alice), **query).closed(3)
    assert code == 4400
    assert next(iter(query)) in reason


def test_the_socket_closes_within_three_seconds_when_permission_login_or_account_end(
    watch, execution, alice
) -> None:
    def ends_with(user: User, code: int, how) -> None:
        session = cookie(user)
        watcher = watch(execution, session).read(lambda seen: seen.frames)
        how(session)
        assert watcher.closed(3)[0] == code

    bob, carol = factories.person("bob"), factories.person("carol")
    ends_with(bob, 4403, lambda _: bob.groups.clear())
    ends_with(alice, 4401, lambda session: Session.objects.filter(session_key=session).delete())
    ends_with(carol, 4401, lambda _: User.objects.filter(pk=carol.pk).update(is_active=False))


def test_messages_are_ignored_but_a_ping_and_a_huge_one_closes_the_socket(watch, execution, alice) -> None:
    watcher = watch(execution, cookie(alice)).read(lambda seen: seen.frames)
    for text in ("", "[", '{"type": "execution.cancel"}', "null"):
        watcher.connection.send(text)
    watcher.connection.send(b"\x00\xff")
    watcher.connection.send('{"type": "ping"}')
    assert list(json.loads(watcher.connection.recv(timeout=3))) == ["at"]
    watcher.connection.send("x" * 5000)
    assert watcher.closed(3)[0] == 1009


def test_a_position_of_another_log_starts_anew(watch, execution, alice) -> None:
    factories.play(execution, {"load": Act(lines=[("info", "done")])})
    for query in ({"after": 10**6}, {"line": 10**6}):
        first = watch(execution, cookie(alice), **query).read(lambda seen: seen.frames)
        assert first.frames[0]["reset"] is True
        assert first.seqs == everything(execution)
        assert first.messages == ["done"]
