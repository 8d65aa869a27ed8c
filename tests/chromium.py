"""A page in a headless Chromium without network access, its requests and errors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

DRAWN = "html[data-drawn=all]"
# The chart's parts as they lie in the page: what is drawn, and the range it is drawn for.
CHART = """() => {
    const document = Bokeh.documents.find((one) => one.get_model_by_name("bars"))
    const named = (name) => Object.fromEntries(document.get_model_by_name(name).data.entries?.() ??
        Object.entries(document.get_model_by_name(name).data))
    const { start, end } = document.get_model_by_name("bars").x_range
    return { start, end, arrows: named("arrows"), candles: named("candles"), fractals: named("fractals"),
        account: named("account") }
}"""

SIGNALS_IN_PAGE = """() => Bokeh.documents.find((one) => one.get_model_by_name("table"))
    .get_model_by_name("table").get_array("signal").filter(Boolean).length"""


NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")


def find_browser() -> str | None:
    """Return the path of an installed Chromium, Chrome or Edge."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        reason = "needs Chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page in a tab of its own.

    Attributes
    ----------
    requests : addresses that the page requested, its own first; all others are blocked
    errors : errors of its scripts and of the console
    """

    def __init__(self, browser: Browser, file: Path, **options) -> None:
        self.tab: Page = browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **options})
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.address = file.resolve().as_uri()
        self.tab.route("**/*", self._route)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", self._on_console)
        self.tab.goto(self.address)

    def _on_console(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _route(self, route) -> None:
        self.requests.append(route.request.url)
        route.continue_() if route.request.url == self.address else route.abort()

    def drawn(self) -> Opened:
        self.tab.wait_for_selector(DRAWN, state="attached")
        return self

    def chart(self) -> dict:
        return self.tab.evaluate(CHART)

    def show(self, start: float, end: float) -> dict:
        """Move the range, and return what is then drawn."""
        self.tab.evaluate(f"show({start}, {end})")
        return self.chart()
