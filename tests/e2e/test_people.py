"""What executions are told by people, in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from .test_console import LONG, start

pytestmark = pytest.mark.e2e


def test_an_operator_sends_a_declared_signal_and_the_execution_goes_on(page: Page) -> None:
    start(page, "paying")
    here = page.url
    page.click("#do-signal")
    page.wait_for_url("**/signals/**")
    page.click("form.start .chip:has-text('paid')")
    page.fill("[name='input.amount']", "0")
    page.click("form.start button.primary")
    expect(page.locator(".wrong")).to_have_text("Ensure this value is greater than or equal to 1.")
    page.fill("[name='input.amount']", "12.5")
    page.select_option("[name='input.way']", label="cash")
    page.click("form.start button.primary")
    expect(page.locator(".toasts")).to_have_text("The signal “paid” is kept.")
    expect(page.locator(".signals li").first).to_contain_text("from admin")
    expect(page.locator(".signals li").first).to_contain_text("Read by pay", timeout=LONG)  # the list goes on
    page.goto(here)
    expect(page.locator("#x-header .status.big")).to_have_text("Succeeded", timeout=LONG)
    expect(page.locator("#x-inspector")).to_contain_text("12.5")


def test_a_signal_is_sent_without_a_script(plain: Page) -> None:
    start(plain, "paying")
    here = plain.url
    plain.click("#do-signal")
    plain.click("form.start .chip:has-text('paid')")
    plain.fill("[name='input.amount']", "7")
    plain.click("form.start button.primary")
    expect(plain.locator(".signals li").first).to_contain_text("from admin")
    plain.goto(f"{here}signals/")
    expect(plain.locator(".signals li").first).to_contain_text("7")
