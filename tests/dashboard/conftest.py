"""Fixtures: a real browser, and engines whose dashboard it opens.

The browser lives as long as a module: its driver runs an event loop in this thread, which tests elsewhere would find.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.dashboard.browser import CHROMIUM, launch
from tests.dashboard.engines import Engines


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; skips where it is missing."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Starts engines that last as long as a module."""
    engines = Engines(tmp_path_factory.mktemp("engines"))
    yield engines
    engines.end()
