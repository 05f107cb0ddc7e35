"""A real Chromium for tests of pages; where there is none, they are skipped and say so."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import Browser, Playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


def chromium_path() -> str | None:
    """Return where Chromium is, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def launch(playwright: Playwright) -> Browser:
    """Start Chromium, or skip the test that asks."""
    path = chromium_path()
    if path is None:
        pytest.skip("needs a browser: there is no chromium on PATH")
    return playwright.chromium.launch(executable_path=path, args=FLAGS)
