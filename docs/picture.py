"""Write a picture of a page, light enough for the docs: python docs/picture.py REPORT.html PICTURE.png."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

COLORS = 128  # a page has few: text, lines, and the shades between them
SIZE = {"width": 1280, "height": 1560}


def main(source, target):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport=SIZE)
        tab.goto(Path(source).resolve().as_uri())
        tab.wait_for_selector("html[data-drawn=all]", state="attached")
        screenshot = tab.screenshot()
        browser.close()
    with Image.open(io.BytesIO(screenshot)) as picture:
        few = picture.convert("RGB").quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(target, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
