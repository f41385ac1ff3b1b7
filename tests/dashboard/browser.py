"""Chromium as a person's browser: pages that must not fail, and what they show."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright, expect

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)
SCREENSHOTS = Path(os.environ.get("CI_ARTIFACTS", Path(__file__).parents[2] / "out")) / "screenshots"
expect.set_options(timeout=30_000)
WALL = "#/"
_POLICY = re.compile(r"Content Security Policy|Trusted ?Type|Refused to", re.IGNORECASE)


def launch(playwright: Playwright) -> Browser:
    """A headless browser."""
    return playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))


class Visit:
    """One page of a context of its own, and what went wrong on it."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self._dialog(dialog.message, dialog.dismiss))
        self.page.on("console", lambda message: self._console(message.text))

    def _dialog(self, text: str, dismiss: Callable[[], None]) -> None:
        self.problems.append(f"dialog: {text}")
        dismiss()

    def _console(self, text: str) -> None:
        if _POLICY.search(text):
            self.problems.append(text)

    def go(self, place: str = WALL) -> Page:
        """Open a place of the page."""
        self.page.goto(f"{self.url}/{place}")
        return self.page

    def until(self, condition: str, argument: Any = None, timeout_s: float = 40.0) -> Any:
        """Wait for a JavaScript condition; returns its value."""
        handle = self.page.wait_for_function(condition, arg=argument, timeout=timeout_s * 1000, polling=50)
        return handle.json_value()

    def playing(self, way: str | None, camera: str | None = None, timeout_s: float = 60.0) -> None:
        """Wait until the tile of a camera (or the only one) plays this way, or (None) any."""
        self.until(
            """([way, camera]) => [...document.querySelectorAll('.tile')].some(tile =>
                 (camera === null || tile.dataset.camera === camera)
                 && (way === null ? tile.dataset.way !== '' : tile.dataset.way === way))""",
            [way, camera],
            timeout_s,
        )

    def shown(self) -> dict[str, str]:
        """What the overlay of the first tile tells of itself."""
        told: dict[str, str] = self.page.evaluate(
            "() => ({...document.querySelector('canvas.overlay').dataset})"
        )
        return told

    def screenshot(self, name: str) -> None:
        """Keep a picture of what is to be seen."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """A visit; what failed on the page fails the test."""
    visit = Visit(browser, url, **options)
    try:
        yield visit
    except BaseException:
        visit.screenshot("failed")
        raise
    finally:
        visit.context.close()
    assert not visit.problems, visit.problems
