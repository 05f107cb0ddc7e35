"""The console in a real browser, in front of the whole product."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Site, log_in

pytestmark = pytest.mark.e2e
LONG = 60_000  # ms; a busy machine


def start(page: Page, workflow: str) -> None:
    page.goto(f"/workflows/{workflow}/")
    page.click("form.start button.primary")
    page.wait_for_url("**/executions/*/")


def status(page: Page) -> str:
    return page.locator("#x-header .status.big").inner_text()


def test_the_sample_runs_from_its_form_to_its_report_on_a_live_page(page: Page) -> None:
    page.click("text=Start flight-delays")
    page.fill("[name='input.top']", "99")
    page.click("form.start button.primary")
    expect(page.locator(".wrong")).to_have_text("Ensure this value is less than or equal to 50.")
    page.fill("[name='input.top']", "7")
    page.click("form.start button.primary")
    page.wait_for_url("**/executions/*/")
    loaded = page.evaluate("performance.timeOrigin")
    assert page.locator(".gnode").count() == 20  # unstarted ones too
    expect(page.locator("#x-live")).to_contain_text("Live · updated", timeout=LONG)
    expect(page.locator("#line-list")).to_contain_text("27,004 flights", timeout=LONG)
    expect(page.locator("#x-header .status.big")).to_have_text("Succeeded", timeout=LONG)
    expect(page.locator('.gnode[data-status="succeeded"]')).to_have_count(20)
    expect(page.locator(".x-progress")).to_have_text(re.compile("20 of 20 nodes"))
    expect(page).to_have_title(re.compile("^Succeeded · flight-delays"))
    assert page.evaluate("performance.timeOrigin") == loaded  # it never had to be loaded again
    with page.expect_download() as download:
        page.click(".artifacts >> text=.html")
    assert download.value.path().read_text().startswith("<!doctype html>")
    assert page.locator("dd:has-text('UTC')").count() == 0  # times are in the person's zone


def test_one_selected_node_is_shared_by_all_panes_and_the_address(page: Page) -> None:
    start(page, "failing")
    expect(page.locator("#x-why")).to_have_text(
        "“bad” failed: ValueError: row 7 is not a number", timeout=LONG
    )
    page.reload()
    expect(page.locator("#x-inspector h2")).to_have_text("bad")  # opens on the first failing node
    expect(page.locator(".line-list .text")).to_have_text(["row 7 cannot be read"])
    expect(page.locator("#x-inspector pre").first).to_contain_text("Traceback (most recent call last)")
    page.click('.gnode[data-node="good"]')
    expect(page.locator("#x-inspector h2")).to_have_text("good")
    expect(page.locator("#no-lines")).to_be_visible()
    page.click('[data-view-link="timeline"]')
    expect(page.locator('.t-row[aria-current="true"]')).to_contain_text("good")
    assert page.url.endswith("?node=good&view=timeline")
    page.go_back()
    expect(page.locator('.gnode[aria-current="true"]')).to_have_attribute("data-node", "good")
    page.keyboard.press("Escape")
    expect(page.locator("#x-inspector h2")).to_have_text("Execution")


def test_many_alike_nodes_are_one_row_of_the_timeline_that_opens_in_place(page: Page) -> None:
    start(page, "wide")
    expect(page.locator("#x-header .status.big")).to_contain_text("Succeeded", timeout=LONG)
    page.click('[data-view-link="timeline"]')
    expect(page.locator(".t-row")).to_have_count(3)
    group = page.locator(".t-group")
    expect(group).to_contain_text("×40")
    group.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".t-inside")).to_have_count(40)
    expect(group).to_be_focused()
    page.locator('.t-row[data-node-link="shop-07"]').click()
    expect(page.locator("#x-inspector h2")).to_have_text("shop-07")
    group.click()
    expect(page.locator(".t-inside")).to_have_count(1)  # the selected one stays


def test_the_graph_is_walked_with_the_arrow_keys(page: Page) -> None:
    start(page, "failing")
    page.locator('.gnode[data-node="good"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.node") == "never"
    page.keyboard.press("Enter")
    expect(page.locator("#x-inspector h2")).to_have_text("never")


def test_an_execution_is_cancelled_through_its_dialog(page: Page) -> None:
    start(page, "slow")
    expect(page.locator('.gnode[data-node="wait"][data-status="running"]')).to_be_visible(timeout=LONG)
    page.click("#do-cancel")
    dialog = page.locator("dialog:modal")
    expect(dialog).to_contain_text("Cancel this execution?")
    expect(dialog.locator("[data-foresee]")).to_contain_text("Are asked to stop")
    dialog.locator("[name=reason]").fill("no longer needed")
    dialog.locator("button.danger").click()
    expect(page.locator("#x-header .status.big")).to_have_text("Cancelled", timeout=LONG)
    expect(page.locator("#x-why")).to_have_text("Cancelled by admin: no longer needed")


def test_the_list_is_worked_with_the_keyboard_and_back_keeps_its_filters(page: Page) -> None:
    start(page, "failing")
    expect(page.locator("#x-header .status.big")).to_have_text("Failed", timeout=LONG)
    page.goto("/executions/")
    page.keyboard.press("/")
    page.keyboard.type("row 7")
    page.wait_for_url(re.compile(r"/executions/\?q=row(\+|%20)7$"))
    expect(page.locator(".chip")).to_contain_text("row 7")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}/"))
    page.go_back()
    expect(page.locator("#q")).to_have_value("row 7")


def test_status_filters_are_chosen_and_taken_away(page: Page) -> None:
    start(page, "failing")
    expect(page.locator("#x-header .status.big")).to_have_text("Failed", timeout=LONG)
    page.goto("/executions/")
    page.click("summary:has-text('Status')")
    page.check("[name=status][value=failed]")
    expect(page.locator(".chip")).to_contain_text("Failed")
    words = page.locator("#list .c-status .status").all_inner_texts()
    assert words
    assert set(words) == {"Failed"}
    page.click(".chip")
    page.wait_for_url(re.compile("/executions/[?]?$"))


def test_a_broken_module_is_named_with_its_line(page: Page) -> None:
    for place in ("/", "/workflows/"):
        page.goto(place)
        expect(page.locator(".banner.bad")).to_contain_text("unfinished.py:3")


def test_the_theme_is_kept(page: Page) -> None:
    page.click("[data-theme-toggle]")
    page.click("[data-theme-toggle]")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.goto("/executions/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_everything_works_without_javascript(plain: Page) -> None:
    start(plain, "slow")
    expect(plain.locator(".gnode")).to_have_count(2)
    plain.click("#do-terminate")
    assert plain.url.endswith("?do=terminate")
    plain.fill("#dialog-terminate [name=reason]", "by hand")
    plain.click("#dialog-terminate button.danger")
    assert status(plain) == "Terminated"
    expect(plain.locator("#x-why")).to_have_text("Terminated by admin: by hand")
    plain.click(".tabs >> text=Nodes")
    plain.click(".nodes >> text=wait")
    expect(plain.locator("#x-inspector h2")).to_have_text("wait")
    plain.goto("/executions/")
    plain.fill("#q", "nothing like it")
    plain.click("button:has-text('Apply')")
    expect(plain.locator("#list")).to_contain_text("No execution matches")


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_no_page_is_wider_than_its_window(site: Site, browser: Browser, width: int) -> None:
    context = browser.new_context(base_url=site.origin, viewport={"width": width, "height": 844})
    page = log_in(context, site)
    start(page, "failing")
    expect(page.locator("#x-header .status.big")).to_have_text("Failed", timeout=LONG)
    here = page.url
    places = [
        "/",
        "/attention/",
        "/executions/",
        "/workflows/",
        "/workflows/flight-delays/",
        "/workers/",
        "/nowhere/",
        "/bulk/?verb=retry&all=1",
    ]
    for url in [*places, here, f"{here}?view=timeline", f"{here}?view=nodes", f"{here}?do=retry"]:
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, url
    context.close()
