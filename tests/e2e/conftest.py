"""The whole product, as `manage.py up` starts it, and a browser in front of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.browser import launch

# A refused form answers 400 on purpose; a request is cut off when its page is left or its question is overtaken.
EXPECTED = ("Failed to load resource", "htmx:afterRequest", "htmx:sendAbort", "htmx:abort", "htmx:sendError")
LEFT = "WebSocket is closed before the connection is established"  # its page was left
FLOWS = """
import time

from orchestration import RetryPolicy, WorkflowBuilder


def wait(ctx):
    ctx.log.info("waiting until it is cancelled")
    while not ctx.is_cancelled():
        time.sleep(0.05)


def fail(ctx):
    ctx.log.error("row 7 cannot be read")
    raise ValueError("row 7 is not a number")


def ok(ctx):
    return {"node": ctx.node_id}


def late(ctx):
    time.sleep(1)
    raise TimeoutError("no answer")


def briefly(ctx):
    time.sleep(0.02)


SHOPS = [f"shop-{number:02}" for number in range(40)]
wide = (
    WorkflowBuilder("wide").add_node("open", ok)
    .parallel(SHOPS, [briefly] * 40, depends_on=["open"]).add_node("sum", ok, depends_on=SHOPS).build()
)
slow = WorkflowBuilder("slow").add_node("wait", wait).add_node("after", ok, depends_on=["wait"]).build()
failing = (
    WorkflowBuilder("failing").add_node("good", ok).add_node("bad", fail, depends_on=["good"])
    .add_node("never", ok, depends_on=["bad"]).build()
)
rescued = (
    WorkflowBuilder("rescued")
    .add_node("call", late, retry=RetryPolicy(max_attempts=2, initial_interval="4s"))
    .add_node("desk", ok, on_error=True)
    .add_node("after", ok, depends_on=["call"]).build()
)
twice = RetryPolicy(max_attempts=2, initial_interval=0)
undone = (
    WorkflowBuilder("undone").add_node("charge", ok, compensate=ok)
    .add_node("call", fail, depends_on=["charge"], retry=twice, fallback="desk")
    .add_node("desk", fail).build()
)
PAID = {
    "type": "object", "required": ["amount"],
    "properties": {
        "amount": {"type": "number", "minimum": 1, "title": "Amount"},
        "way": {"enum": ["card", "cash"], "title": "Paid by"},
    },
}


def numbers(ctx):
    return list(range(1, 401))


def seventh(ctx):
    time.sleep(0.005)
    if ctx.item % 77 == 0:
        raise ValueError(f"{ctx.item} is a multiple of 77")
    return {"item": ctx.item, "square": ctx.item * ctx.item}


mapping = (
    WorkflowBuilder("mapping").add_node("list", numbers).map("squares", seventh, over="list")
    .add_node("sum", ok, depends_on=["squares"]).build()
)
paying = WorkflowBuilder("paying", signals={"paid": PAID}).wait_for_signal("pay", "paid").build()
FORM = {
    "type": "object", "required": ["window"],
    "properties": {
        "window": {"enum": ["tonight", "tomorrow"], "title": "When"},
        "told": {"type": "boolean", "title": "Support has been told", "default": False},
    },
}
releasing = (
    WorkflowBuilder("releasing").add_node("build", ok)
    .approval("go-live", text="All tests passed.", form=FORM, depends_on=["build"]).build()
)
quick = WorkflowBuilder("quick").add_node("go", ok).build()
nest = WorkflowBuilder("nest").child("egg", "paying").build()


def brood(ctx):
    asked = [("failing", {}), ("nest", {}), ("waiting-room", {}), *[("quick", {}) for _ in range(6)]]
    return len(ctx.run_children(asked, return_exceptions=True))


room = WorkflowBuilder("waiting-room").wait_for_signal("pay", "paid", depends_on=()).build()
parent = WorkflowBuilder("parent").add_node("brood", brood).add_node("after", ok, depends_on=["brood"]).build()
def told(ctx):
    return ctx.get_event("placed")["data"]["order"]


listening = WorkflowBuilder("listening").on_event("placed", told, filter="order > 1").build()
asking = WorkflowBuilder("asking").add_node("pay", fail, on_exhausted="pause").build()
"""
BROKEN = "from orchestration import WorkflowBuilder\n\nWorkflowBuilder(\n"


@dataclass
class Site:
    """A running igon7."""

    origin: str
    password: str
    environment: dict[str, str]

    def manage(self, *line: str) -> None:
        """Run a command beside it, as the shell's user."""
        command = [sys.executable, "manage.py", *line]
        subprocess.run(command, cwd=settings.BASE_DIR, env=self.environment, check=True, capture_output=True)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start everything on a database of its own, with workflows that wait, fail, or cannot be loaded."""
    var = tmp_path_factory.mktemp("site")
    (var / "flows").mkdir()
    (var / "flows" / "flows.py").write_text(FLOWS)
    (var / "flows" / "unfinished.py").write_text(BROKEN)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment = kept | {
        "IGON7_VAR": str(var),
        "IGON7_ENV_FILE": os.devnull,
        "IGON7_NO_VENV": "1",
        "IGON7_WORKFLOWS": str(var / "flows"),
    }
    log = var / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=settings.BASE_DIR, env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        yield Site(f"http://127.0.0.1:{port}", _password(process, log), environment)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _password(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while "igon7 is up" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    found = re.search(r"password: (\S+)", log.read_text())
    assert found, log.read_text()
    return found[1]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@dataclass
class Watched:
    """What went wrong in a page: errors of the console, and requests that left the host."""

    origin: str
    errors: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self.request)

    def console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning") or LEFT in message.text:
            return
        if not message.text.startswith(EXPECTED):
            self.errors.append(message.text)

    def request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.strays.append(request.url)


def log_in(context: BrowserContext, site: Site) -> Page:
    page = context.new_page()
    page.goto(f"{site.origin}/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", site.password)
    page.click("button.primary")
    page.wait_for_url(f"{site.origin}/")
    return page


@pytest.fixture
def page(site: Site, browser: Browser) -> Iterator[Page]:
    """A logged-in page; at the end of the test nothing may have been refused, broken or sent elsewhere."""
    context = browser.new_context(base_url=site.origin, timezone_id="Europe/Paris")
    watched = Watched(site.origin)
    page = log_in(context, site)
    watched.listen(page)
    yield page
    context.close()
    assert watched.errors == []
    assert watched.strays == []


@pytest.fixture
def plain(site: Site, browser: Browser) -> Iterator[Page]:
    """A logged-in page of a browser without JavaScript."""
    context = browser.new_context(base_url=site.origin, java_script_enabled=False)
    yield log_in(context, site)
    context.close()
