"""Failures in a real browser: an attempt to come counts down, who catches a failure is drawn live, a person decides."""

import time

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Site, log_in
from .test_console import LONG, start

pytestmark = pytest.mark.e2e


def test_a_failure_is_followed_live_from_its_retry_to_who_caught_it(page: Page) -> None:
    start(page, "rescued")
    loaded = page.evaluate("performance.timeOrigin")
    page.click('.gnode[data-node="call"]')
    expect(page.locator("#x-inspector .planned").first).to_contain_text("Attempt 2 of 2 in", timeout=LONG)
    counting = page.locator("#x-why time[data-left]")
    expect(counting).to_have_text("2 s", timeout=LONG)
    expect(counting).to_have_text(
        "1 s", timeout=LONG
    )  # by itself: the sentence comes from the server less often
    expect(page.locator('.gcalled[data-from="call"][data-to="desk"]')).to_have_count(1, timeout=LONG)
    expect(page.locator("#x-inspector")).to_contain_text("“desk” gave its result.", timeout=LONG)
    expect(page.locator(".attempts tbody tr:not(.note)")).to_have_count(2)
    expect(page.locator("#x-inspector details summary").first).to_have_text("Traceback")
    page.click("#x-inspector .called-name")
    expect(page.locator("#x-inspector h2")).to_have_text("desk")
    expect(page.locator("#x-inspector")).to_contain_text("because of TimeoutError: no answer")
    assert page.evaluate("performance.timeOrigin") == loaded


@pytest.mark.parametrize("scripted", [True, False])
def test_what_asks_is_decided_on_a_phone_with_a_script_or_without(
    site: Site, browser: Browser, scripted: bool
) -> None:
    context = browser.new_context(
        base_url=site.origin, viewport={"width": 390, "height": 844}, java_script_enabled=scripted
    )
    page = log_in(context, site)
    start(page, "asking")
    here = page.url
    ask = page.locator(".ask").filter(has=page.locator(f'a[href="{here.removeprefix(site.origin)}"]'))
    until = time.monotonic() + LONG / 1000
    page.goto("/attention/")
    while not ask.count():
        assert time.monotonic() < until
        page.wait_for_timeout(200)
        page.reload()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    ask.locator("[name=reason]").fill("seen on the statement")
    ask.locator("[name=result]").fill('{"paid": 1}')
    ask.locator("text=Supply the result").click()
    page.wait_for_url("**/attention/")
    expect(ask).to_have_count(0)
    page.goto(f"{here}?node=pay")
    expect(page.locator("#x-inspector")).to_contain_text("supplied its result. Reason: seen on the statement")
    context.close()
