"""A still picture of a page, taken by an installed browser: no second drawing that could differ."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from bt_neuro.errors import NeuroError

NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
    "msedge", "brave-browser", "brave",
)  # fmt: skip
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
SIZE = re.compile(r'<meta name="picture" content="(\d+,\d+)">')  # pixels, as base.html has them
LIMIT_S = 120


def find_browser() -> str | None:
    """Return the path of a browser that can take pictures by itself: Chrome or one of its kin."""
    found = [path for path in map(shutil.which, NAMES) if path]
    return next(iter([*found, *(place for place in PLACES if Path(place).exists())]), None)


def take_picture(page: Path, picture: Path) -> None:
    """Write the first view of a page as a PNG, as large as the page says.

    Raises
    ------
    NeuroError
        When there is no browser, or it took no picture.
    """
    browser = find_browser()
    if browser is None:
        raise NeuroError(
            "no browser to take the picture with.\nInstall Chromium, Chrome or Edge, or open report.html."
        )
    size = SIZE.search(page.read_text(encoding="utf-8"))
    if size is None:
        raise NeuroError(f"{page} is no page of a run.\nWrite it anew with bt-neuro report.")
    picture.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:  # one of its own: the user's may be open
        command = [
            browser,
            "--headless",
            "--hide-scrollbars",
            "--disable-gpu",
            f"--user-data-dir={profile}",
            f"--window-size={size[1]}",
            "--virtual-time-budget=20000",  # until all is drawn
            f"--screenshot={picture.resolve()}",
            page.resolve().as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses root otherwise, as in containers
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NeuroError(f"{browser} took no picture: {error}.\nOpen report.html itself.") from error
    if not picture.exists():
        last = (ran.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise NeuroError(f"{browser} took no picture: {last}.\nOpen report.html itself.")
