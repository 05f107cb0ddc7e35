"""A map in a real browser: one card that counts, its items in a list, and one of them run again."""

import pytest
from playwright.sync_api import Page, expect

from .test_console import LONG, start

pytestmark = pytest.mark.e2e


def test_a_map_is_one_card_that_counts_and_its_items_are_a_list(page: Page) -> None:
    start(page, "mapping")
    loaded = page.evaluate("performance.timeOrigin")
    card = page.locator('.gnode[data-node="squares"]')
    expect(card.locator(".gcount")).to_have_text("400 / 400", timeout=LONG)
    expect(card).to_have_attribute("data-status", "failed", timeout=LONG)
    assert page.evaluate("performance.timeOrigin") == loaded
    expect(page.locator(".gnode")).to_have_count(3)
    card.click()
    inspector = page.locator("#x-inspector")
    expect(inspector).to_contain_text("77 is a multiple of 77", timeout=LONG)
    page.locator('[data-view-link="nodes"]').click()
    expect(page.locator("[data-node-row]")).to_have_count(3)
    inspector.locator("text=All items").click()
    expect(page.locator("tbody tr")).to_have_count(100)
    page.locator('[rel="next"]').click()
    expect(page.locator("tbody tr").first).to_contain_text("100")
    page.locator('.chip [data-status="failed"]').click()
    expect(page.locator("tbody tr")).to_have_count(5)
    page.locator("tbody tr a").first.click()
    expect(page.locator("#x-inspector h2")).to_have_text("squares[76]")
    page.locator("#x-inspector .plans a").click()
    expect(page.locator("h1")).to_contain_text("squares[76]")
