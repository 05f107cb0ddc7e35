"""What executions are told by people, in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import Site, log_in
from .test_console import LONG, start

pytestmark = pytest.mark.e2e
PLACES = (
    "[...document.querySelectorAll('.rail :is(a, button)')].map((each) => each.getBoundingClientRect().right)"
)


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


def _first_of(page: Page, site: Site) -> Locator:
    """Let an execution ask, and return its card once it is there."""
    site.manage("run", "releasing")
    page.goto("/approvals/")
    card = page.locator(".ask").first
    for _ in range(100):
        if card.count():
            break
        page.wait_for_timeout(200)
        page.reload()
    return page.locator(f"#{card.get_attribute('id')}")


@pytest.mark.parametrize("scripted", [True, False])
def test_an_approver_decides_on_a_phone_with_a_script_or_without(
    site: Site, browser: Browser, scripted: bool
) -> None:
    context = browser.new_context(
        base_url=site.origin, viewport={"width": 390, "height": 844}, java_script_enabled=scripted
    )
    page = log_in(context, site)
    card = _first_of(page, site)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert max(page.evaluate(PLACES)) <= 390
    expect(card).to_contain_text("All tests passed.")
    for button in card.locator("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    here = card.locator("a.mono").get_attribute("href")
    assert here is not None
    expect(page.locator('.rail a[href="/approvals/"] .badge')).to_contain_text(re.compile(r"\d"))
    card.locator("select").select_option(label="tonight")
    card.locator("[name=reason]").fill("the tests are green")
    card.locator('button:has-text("Approve")').click()
    page.wait_for_url("**/approvals/")
    expect(card).to_have_count(0)
    expect(page.locator(".signals li").first).to_contain_text("the tests are green")
    page.goto(here)
    expect(page.locator("#x-inspector")).to_contain_text("tonight", timeout=LONG)
    card = _first_of(page, site)
    card.locator("[name=reason]").fill("not on a Friday")
    card.locator('button:has-text("Reject")').click()  # no answers are asked of who says no
    page.wait_for_url("**/approvals/")
    expect(page.locator(".signals li").first).to_contain_text("Rejected")
    context.close()


def test_the_inbox_fills_by_itself_and_never_under_the_hands_of_who_decides(site: Site, page: Page) -> None:
    card = _first_of(page, site)
    before = page.locator(".ask").count()
    card.locator("[name=reason]").fill("as I was say")
    site.manage("run", "releasing")
    page.wait_for_timeout(7000)  # longer than the list's own pace
    assert page.locator(".ask").count() == before
    expect(card.locator("[name=reason]")).to_have_value("as I was say")
    card.locator("[name=reason]").fill("")
    page.locator("h1").click()
    expect(page.locator(".ask")).to_have_count(before + 1, timeout=LONG)
