"""An event in a real browser: a trigger is enabled, an event sent, and the execution that it starts looked at."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .test_console import LONG

pytestmark = pytest.mark.e2e


def test_an_event_that_is_sent_starts_the_workflow_whose_trigger_is_enabled(page: Page) -> None:
    page.goto("/workflows/listening/#triggers")
    page.get_by_text("Enable or disable…").click()
    page.get_by_role("button", name="Enable", exact=True).click()
    expect(page.locator("#triggers")).to_contain_text("Enabled")
    page.goto("/events/")
    page.get_by_role("link", name="Emit…").click()
    page.fill("[name=name]", "placed")
    page.fill("[name=data]", '{"order": 17}')
    page.get_by_role("button", name="Emit", exact=True).click()
    expect(page.locator("#fate")).to_contain_text("started 1 execution", timeout=LONG)
    page.locator("#fate .receipts .link").click()
    expect(page.locator("#x-header .status.big")).to_have_text("Succeeded", timeout=LONG)
    expect(page.locator("#x-inspector")).to_contain_text("Started by")
