"""Second factors, in a real browser: set up on the way to what asks for one, and as a passkey."""

from __future__ import annotations

import re
import time
from base64 import b32decode
from collections.abc import Iterator

import pytest
from django_otp.oath import totp
from playwright.sync_api import Browser, Page, expect

from .conftest import Site, Watched

pytestmark = pytest.mark.e2e
MAKE = "from django.contrib.auth.models import User; User.objects.create_superuser({name!r}, password='wonderland')"
KEY = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
       "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip


@pytest.fixture
def newcomer(site: Site, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Make somebody who may do everything and has no second factor, and log in."""
    name = re.sub(r"\W", "", request.node.name)[-20:]
    site.manage("shell", "-c", MAKE.format(name=name))
    origin = site.origin.replace("127.0.0.1", "localhost")  # a passkey is for a name
    context, watched = browser.new_context(base_url=origin), Watched(origin)
    page = context.new_page()
    watched.listen(page)
    enter(page, name)
    page.wait_for_url(f"{origin}/")
    yield page
    context.close()
    assert (watched.errors, watched.strays) == ([], [])


def enter(page: Page, name: str) -> None:
    page.goto("/login/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", "wonderland")
    page.click("button.primary")


def leave(page: Page) -> None:
    page.click(".rail-who form button")
    page.wait_for_url("**/login/**")


def code_of(page: Page) -> str:
    page.click(".steps summary")
    secret = page.inner_text(".steps details .mono").replace(" ", "")
    return f"{totp(b32decode(secret + '=' * (-len(secret) % 8))):06}"


def test_a_second_factor_is_set_up_on_the_way_to_a_secret_and_the_secret_is_kept(newcomer: Page) -> None:
    page, name = newcomer, f"key-{time.time_ns()}"
    page.goto("/secrets/")
    form = page.locator("form.start")
    form.locator("[name=name]").fill(name)
    form.locator("[name=value]").fill("a-value-of-some-length")
    form.locator("button.primary").click()
    expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    page.fill("[name=code]", "000000")
    page.click("button.primary")
    expect(page.locator("#code-wrong")).to_contain_text("That code is not right")
    time.sleep(1.2)  # who tried a wrong code is made to wait
    page.fill("[name=code]", code_of(page))
    page.click("button.primary")
    expect(page.locator(".codes li")).to_have_count(10)
    page.click("a.button.primary")
    expect(page.get_by_role("heading", name="Do it now?")).to_be_visible()
    page.click("main button.primary")
    expect(page.locator("main")).to_contain_text(name)
    assert "a-value-of-some-length" not in page.content()


def test_a_passkey_is_made_answers_after_the_password_and_logs_in_alone(newcomer: Page) -> None:
    page = newcomer
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
    name = page.inner_text(".rail-who a")
    page.goto("/account/second-factor/")
    page.click("[data-passkey=register]")
    page.wait_for_url("**/account/")
    expect(page.locator("main")).to_contain_text("Passkey")
    leave(page)
    enter(page, name)
    page.wait_for_url("**/login/code/")
    page.click("[data-passkey=answer]")
    expect(page.locator(".rail-who")).to_contain_text(name)
    leave(page)
    page.click("[data-passkey=answer]")
    expect(page.locator(".rail-who")).to_contain_text(name)
