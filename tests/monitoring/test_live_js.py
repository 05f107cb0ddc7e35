"""static/js/live.js in a real browser, against a server that is killed and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, sync_playwright

from orchestration.models import Execution, ExecutionEvent
from orchestration.store.leases import begun, write_lines
from security.models import UserSession as Session
from tests import factories
from tests.browser import launch

from .conftest import Server, cookie
from .test_socket import end, line, take

pytestmark = pytest.mark.e2e
_MODULE = settings.BASE_DIR / "static" / "js" / "live.js"
_NO_SOCKETS = """window.WebSocket = class {
    constructor() { setTimeout(() => this.onclose({ code: 1006 })); }
    close() {}
}"""
_HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
_FOLLOW = """async ([module, id, polls]) => {
    const { connect } = await import(module);
    window.seqs = []; window.lines = []; window.states = []; window.details = []; window.last = null;
    window.following = connect({
        url: `/ws/executions/${id}/`, pollUrl: polls ? `/executions/${id}/frame/` : null,
        onFrame: (frame) => {
            window.seqs.push(...frame.events.map((event) => event.seq));
            window.lines.push(...frame.lines.map((line) => line.message));
            window.last = frame;
        },
        onState: (state, detail) => {
            if (window.states.at(-1) !== state) window.states.push(state);
            window.details.push(detail);
        },
    });
}"""


@pytest.fixture
def page(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    # Playwright keeps an event loop in this thread, and Django then takes every query for a blunder.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.route("**/live.js", lambda route: route.fulfill(path=_MODULE))
        yield page
        browser.close()


def follow(page: Page, server: Server, execution: Execution, session: str, *, polls: bool) -> None:
    if session:
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": server.origin}])
    # Any document of the server will do, with its Content-Security-Policy.
    page.goto(f"{server.origin}/nothing-here/")
    page.evaluate(_FOLLOW, ["/live.js", str(execution.pk), polls])


def until(page: Page, condition: str) -> None:
    # Not wait_for_function, which the Content-Security-Policy stops: it is an eval.
    deadline = time.monotonic() + 20
    while not page.evaluate(f"() => {condition}"):
        assert time.monotonic() < deadline, (condition, told(page, "states"), told(page, "details"))
        page.wait_for_timeout(20)


def told(page: Page, what: str) -> Any:
    return page.evaluate(f"window.{what}")


def everything(execution: Execution) -> list[int]:
    events = ExecutionEvent.objects.filter(execution=execution).order_by("seq")
    return list(events.values_list("seq", flat=True))


def test_a_page_comes_back_after_the_server_and_misses_nothing(page, server, execution, alice) -> None:
    follow(page, server, execution, cookie(alice), polls=False)
    until(page, "window.states.at(-1) === 'live'")
    (held,) = take(1)
    begun(held, 0, "worker-1")
    write_lines(held, [line(1, "before")])
    until(page, "window.lines.length === 1")
    server.kill()
    until(page, "window.states.at(-1) === 'reconnecting'")
    write_lines(held, [line(2, "meanwhile")])
    end(held)
    server.start()
    until(page, "window.lines.length === 2")
    factories.play(execution)
    until(page, "window.last.status === 'succeeded'")
    assert told(page, "seqs") == everything(execution)
    assert told(page, "lines") == ["before", "meanwhile"]
    assert told(page, "states") == ["live", "reconnecting", "live"]


def test_a_page_without_sockets_polls_and_ends_with_the_login(page, server, execution, alice) -> None:
    page.add_init_script(_NO_SOCKETS)
    session = cookie(alice)
    follow(page, server, execution, session, polls=True)
    until(page, "window.states.at(-1) === 'polling'")
    factories.play(execution)
    until(page, "window.last.status === 'succeeded'")
    assert told(page, "seqs") == everything(execution)
    Session.objects.filter(session_key=session).delete()
    until(page, "window.states.at(-1) === 'closed'")
    assert told(page, "details.at(-1).code") == 4401


def test_a_page_stops_for_good_when_it_is_refused_or_left(page, server, execution, alice) -> None:
    follow(page, server, execution, "", polls=True)
    until(page, "window.states.at(-1) === 'closed'")
    assert told(page, "details.at(-1).code") == 4401
    follow(page, server, execution, cookie(alice), polls=True)
    until(page, "window.states.at(-1) === 'live'")
    assert "WebSocket" in server.said
    page.evaluate("window.following.close()")
    assert told(page, "states") == ["live", "closed"]


def test_a_hidden_page_lets_go_and_catches_up_when_it_is_seen_again(page, server, execution, alice) -> None:
    follow(page, server, execution, cookie(alice), polls=True)
    until(page, "window.states.at(-1) === 'live'")
    page.evaluate(_HIDE, True)
    factories.play(execution)
    assert told(page, "last.status") == "running"
    page.evaluate(_HIDE, False)
    until(page, "window.last.status === 'succeeded'")
    assert told(page, "seqs") == everything(execution)
