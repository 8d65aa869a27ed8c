"""Code blocks of the README and the documentation pages, and the folder that they run in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from paths import ROOT, SAMPLE

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = "command-line.md"  # by make docs, from the help texts
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RUN = {"python", "sh"}


@dataclass(frozen=True)
class Block:
    """One fenced block. One with a title is saved under that name and not run."""

    kind: str
    text: str
    title: str | None
    reason: str | None


def blocks(page: Path) -> list[Block]:
    return [
        Block(m["kind"], m["text"], m["title"], m["reason"]) for m in FENCE.finditer(page.read_text("utf-8"))
    ]


def prepare(folder: Path) -> None:
    """Lay what the pages assume: fourteen years of bars, few enough to be quick, and the checkout's files.

    The bars are daily, so that spans such as 2013-01-01..2014-12-31 exist in a file of 3,600 rows. ``feed``
    stands for the reader's own source of bars.
    """
    times = pd.bdate_range("2003-05-05", "2016-12-30")
    rng = np.random.default_rng(1)
    close = 1.2 * np.exp(np.cumsum(rng.normal(0, 0.006, len(times))))
    open_ = np.append(1.2, close[:-1])
    up, down = 1 + np.abs(rng.normal(0, 0.004, (2, len(times))))
    bars = {"high": np.maximum(open_, close) * up, "low": np.minimum(open_, close) / down, "close": close}
    table = pd.DataFrame({"open": open_, **bars, "volume": 1000, "spread": 12}).round(5)
    table.insert(0, "time", times.strftime("%Y-%m-%d"))
    for name in ("EURUSD_H1", "EURUSD_D1", "GBPUSD_H1"):
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "data").mkdir()
    shutil.copy(SAMPLE, folder / "data")
    shutil.copytree(ROOT / "strategies", folder / "strategies")
    (folder / "bin").mkdir()
    feed = folder / "bin" / "feed"
    feed.write_text("#!/bin/sh\nprintf '2017-01-0%s,1.2,1.21,1.19,1.2,1000\\n' 2 3 4 5\n")
    feed.chmod(0o755)


def shorter(text: str) -> str:
    """Return commands with smaller numbers of repetitions, and as many as tests can wait for."""
    text = re.sub(r"(--(?:trials|n|eras|steps|seeds)) \d+", r"\1 2", text)
    return re.sub(r"(permutation-test \S+)(?!.*--n )", r"\1 --n 2", text)


def run_block(block: Block, folder: Path) -> None:
    """Run a block as a reader would, and raise with its output when it fails."""
    if block.title is not None:
        (folder / block.title).write_text(block.text)
        return
    if block.kind == "sh":
        command = ["bash", "-euo", "pipefail", "-c", shorter(block.text)]
    else:
        (folder / "script.py").write_text(block.text)
        command = [sys.executable, "script.py"]
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    found_something = done.returncode == 3 and "-check " in block.text  # a check's answer, and no failure
    assert done.returncode == 0 or found_something, (
        f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    )


def run_page(page: Path, folder: Path) -> None:
    """Run the blocks of a page in their order."""
    prepare(folder)
    for block in blocks(page):
        if block.kind in RUN and block.reason is None:
            run_block(block, folder)


if __name__ == "__main__":  # python -m pages PAGE, with the installed package of this interpreter
    with tempfile.TemporaryDirectory() as temporary:
        run_page(Path(sys.argv[1]), Path(temporary))
        print(f"{Path(sys.argv[1]).name}: every block ran")
