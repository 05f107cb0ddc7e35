"""The pictures of the documentation: `.venv/bin/python -m tests.screenshots` makes them anew.

It starts igon7 on a database of its own, runs flight-delays to its end and photographs its page.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.browser import chromium_path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
SIZE: ViewportSize = {"width": 1440, "height": 960}
UP_WITHIN = 120.0


def main() -> None:
    """Write docs/images/execution.png. Exits with a sentence when there is no Chromium."""
    chromium = chromium_path()
    if chromium is None:
        sys.exit("There is no chromium on PATH.")
    with tempfile.TemporaryDirectory(prefix="igon7-pictures-") as var:
        environment = {**os.environ, "IGON7_VAR": var, "IGON7_ENV_FILE": os.devnull, "DATABASE_URL": ""}
        port = _free_port()
        up = _manage("up", "--port", str(port), environment=environment)
        try:
            password = _read_password(up)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                page = browser.new_page(
                    viewport=SIZE, color_scheme="light", timezone_id="UTC", locale="en-GB"
                )
                page.goto(f"http://localhost:{port}/")
                _log_in(page, password)
                _run_and_photograph(page)
                browser.close()
        finally:
            up.terminate()
            up.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _manage(*words: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def _read_password(up: subprocess.Popen[str]) -> str:
    """Return the administrator's password, once igon7 is up."""
    assert up.stdout is not None
    password, deadline = "", time.monotonic() + UP_WITHIN
    for line in up.stdout:
        if found := re.search(r"password: (\S+)", line):
            password = found[1]
        if "igon7 is up" in line:
            return password
        if time.monotonic() > deadline:
            break
    sys.exit("igon7 did not come up.")


def _log_in(page: Page, password: str) -> None:
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state("networkidle")


def _run_and_photograph(page: Page) -> None:
    origin = "/".join(page.url.split("/", 3)[:3])
    page.goto(f"{origin}/executions/?status=running")
    page.get_by_text("No execution matches").wait_for(timeout=120_000)  # what the first run starts has ended
    page.goto(f"{origin}/workflows/flight-delays/")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator('.status.big[data-status="succeeded"]').wait_for(timeout=60_000)
    page.reload()  # what came live came in the order of its ending; a page that is opened shows it in order
    page.get_by_role("button", name="Fit").click()
    page.locator("#x-live").filter(has_text="Ended").wait_for()
    page.screenshot(path=IMAGES / "execution.png")


if __name__ == "__main__":
    main()
