"""Chromium, driven by Playwright: named by MICROMOMENT_CHROMIUM or on the path, no download."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

VARIABLE = "MICROMOMENT_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str:
    """Give the browser's program; skips the test that asks where there is none."""
    named = os.environ.get(VARIABLE, "")
    if named and shutil.which(named) is None:
        pytest.fail(f"{VARIABLE}={named} is no program")
    found = next(filter(None, map(shutil.which, [named, *_NAMES] if named else _NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on the path, and {VARIABLE} names none")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium without a window."""
    program = find_chromium()
    # In a container the sandbox of a root's Chromium can't be set up.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
