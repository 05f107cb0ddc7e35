"""Acting in bulk in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from .test_console import LONG, start

pytestmark = pytest.mark.e2e
HELD = """() => document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.defaultPrevented) document.body.dataset.held = "";
})"""
RUNNING = "/executions/?workflow=slow&status=running"


def test_executions_are_selected_with_the_keyboard_and_cancelled_together(page: Page, plain: Page) -> None:
    for _ in range(3):
        start(page, "slow")
    page.goto(RUNNING)
    bar = page.locator("#bulk")
    expect(bar).to_be_hidden()
    for key in "jxjx":
        page.keyboard.press(key)
    expect(bar.locator("output")).to_have_text("2 selected")
    expect(bar.locator("[value=resume]")).to_be_disabled()
    page.evaluate(HELD)
    expect(page.locator("body[data-held]")).to_be_attached()  # the list wanted to refresh itself
    expect(bar.locator("output")).to_have_text("2 selected")
    bar.locator("[value=cancel]").click()
    expect(page.locator("h1")).to_have_text("Cancel 2 executions?")
    page.fill("#reason", "no longer needed")
    page.fill("#confirm", "cancel 2")
    page.keyboard.press("Enter")
    expect(page.locator("#progress .status.big")).to_have_text("Finished", timeout=LONG)
    expect(page.locator(".bulk-counts")).to_have_text(re.compile(r"Done\s*2\s*Refused\s*0\s*To go\s*0"))
    page.click("text=These executions")
    expect(page.locator("#list .c-id a.row")).to_have_count(2)
    # The third one, in a browser without JavaScript.
    plain.goto(RUNNING)
    plain.check("input[name=id]")
    plain.click("#bulk [value=terminate]")
    plain.fill("#confirm", "terminate 1")
    plain.click(".bulk-form button.danger")
    expect(plain.locator("h1")).to_have_text("Terminate 1 execution")
    here = plain.url
    page.goto(here)
    expect(page.locator("#progress .status.big")).to_have_text("Finished", timeout=LONG)
