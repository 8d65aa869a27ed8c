"""Make a picture of a page light enough for the docs: python docs/picture.py REPORT.png PICTURE.png."""

from __future__ import annotations

import sys

from PIL import Image

COLORS = 128  # a page has few: text, lines, and the shades between them


def main(source, target):
    with Image.open(source) as picture:
        picture.convert("RGB").quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            target, optimize=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
