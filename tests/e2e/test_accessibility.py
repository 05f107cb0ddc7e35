"""What axe-core finds on the console's pages, in light and in dark; `tests/vendor` has it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Site, log_in
from .test_console import LONG, start

pytestmark = pytest.mark.e2e
AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js"
UNFOLD = "() => document.querySelectorAll('main details:not(.menu)').forEach((each) => { each.open = true; })"
LOOK = "async (only) => (await axe.run(document, {resultTypes: ['violations'], ...only})).violations"
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}  # what may differ in the dark

SCHEMES: tuple[tuple[Literal["light", "dark"], dict[str, list[str]]], ...] = (
    ("light", {}),
    ("dark", COLOURS),
)


def complaints(page: Page, only: dict[str, list[str]]) -> list[str]:
    """Return what axe has against the page as it is: the rule, where, and why."""
    found: list[dict[str, Any]] = page.evaluate(LOOK, only)
    return [
        f"{page.url} {each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


@pytest.fixture(scope="module")
def places(site: Site, browser: Browser) -> list[str]:
    """Make something of everything there is to see, and return the addresses."""
    context = browser.new_context(base_url=site.origin)
    page = log_in(context, site)
    start(page, "asking")
    asking = page.url
    site.manage("run", "releasing")
    start(page, "paying")
    paying = page.url
    start(page, "parent")
    expect(page.locator("#x-why")).to_contain_text("2 of 9", timeout=LONG)
    parent = page.url
    page.goto(f"{parent}children/?view=tree")
    family = [
        f"{parent}children/",
        page.url,
        parent,
        page.locator(".family ul ul a").first.evaluate("a => a.href"),
    ]
    start(page, "undone")
    expect(page.locator("#x-header .status.big")).to_have_text("Failed", timeout=LONG)
    undone = page.url
    page.goto(f"/bulk/?verb=rerun&id={undone.split('/')[-2]}")
    page.fill("#confirm", "rerun 1")
    page.click(".bulk-form button.primary")
    page.wait_for_url(re.compile("/bulk/[0-9a-f-]{36}/"))
    expect(page.locator("#progress .status.big")).to_have_text("Finished", timeout=LONG)
    act = page.url
    start(page, "mapping")
    expect(page.locator("#x-header .status.big")).to_have_text("Failed", timeout=LONG)
    mapped = [f"{page.url}?node=squares", f"{page.url}items/squares/", f"{page.url}?node=squares&index=76"]
    page.goto("/events/emit/?name=placed")
    page.click(".plan-form button.primary")
    page.wait_for_url(re.compile("/events/[0-9a-f-]{36}/"))
    event = page.url
    page.goto(asking)
    expect(page.locator("#x-header")).to_contain_text("needs attention", timeout=LONG)
    context.close()
    nodes = [f"{undone}?node={node}" for node in ("call", "undo:charge", "")]
    plans = [f"{undone}plan/fork/?node=call"]
    views = [f"{undone}?view={view}" for view in ("timeline", "nodes")]
    bulk = ["/bulk/?verb=cancel&all=1", "/bulk/?verb=fork&all=1", "/bulk/?verb=fork&all=1&option.node=call"]
    signals = [f"{paying}signals/{query}" for query in ("", "?name=paid", "?name=paid&as=json")]
    bulk += ["/bulk/?verb=signal&all=1", "/bulk/?verb=signal&all=1&option.name=paid"]
    fixed = [
        "/",
        "/attention/",
        "/approvals/",
        "/executions/",
        "/workflows/",
        "/workflows/undone/",
        "/workers/",
        "/bulk/",
    ]
    fixed += ["/events/", "/events/emit/", event, "/workflows/listening/"]
    site.manage("state", "set", "limit", '{"rows": 500}', "--ttl", "1h")
    fixed += ["/state/", "/state/?q=nothing", "/state/value/?key=limit", "/state/?workflow=undone"]
    more = [act, f"{asking}?node=pay", f"{undone}?do=retry"]
    fixed += [
        "/account/",
        "/account/second-factor/",
        "/account/password/",
        "/secrets/",
        "/people/",
        "/people/simulate/",
        "/audit/",
    ]
    return [*fixed, *family, *mapped, *nodes, *views, *plans, *signals, *bulk, *more]


def test_axe_finds_nothing_on_any_page_in_light_or_in_dark(
    site: Site, browser: Browser, places: list[str]
) -> None:
    context = browser.new_context(base_url=site.origin, reduced_motion="reduce")
    page, axe, found = log_in(context, site), AXE.read_text(), []
    for place in places:
        page.goto(place)
        page.evaluate(UNFOLD)
        page.evaluate(axe)
        for scheme, only in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found += [f"{scheme}: {each}" for each in complaints(page, only)]
    context.close()
    assert found == [], "\n".join(found)
