"""Any bars in any layout, disturbed as real files are: the same bars, or a refusal; never others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from bar_layouts import LAYOUTS, POINT, Bar, Written, assert_same_bars, frame_of, random_bars, save

from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import BarsError


@dataclass
class File:
    """Parts of a file before they are joined, and the random numbers that change them."""

    layout: Written
    bars: list[Bar]
    head: str
    rows: list[str]
    tail: str
    rng: np.random.Generator

    def write(self) -> bytes:
        return self.layout.join(self.head, self.rows, self.tail)

    def add_column(self, names: list[str], cells: list[list[str]]) -> None:
        """Add columns behind the others; every line of the head gets as many cells as the rows."""
        sign = self.layout.separator
        lines = self.head.splitlines()
        width = self.rows[0].count(sign)
        for i, line in enumerate(lines):
            if line.count(sign) == width or (sign == "," and line.count(",") >= 4):
                lines[i] = sign.join(
                    [line, *(names if i == len(lines) - 1 or "Price" in line else [""] * len(names))]
                )
        self.head = "".join(line + "\n" for line in lines)
        self.rows = [sign.join([row, *added]) for row, added in zip(self.rows, cells, strict=True)]

    def in_order_of_rows(self) -> list[Bar]:
        return self.bars[::-1] if self.layout.newest_first else self.bars

    def price(self, points: float) -> str:
        text = f"{points / POINT:.5f}"
        return text.replace(".", ",") if self.layout.decimal_comma else text


def chunks(file: File) -> None:
    """Parts of a file in another order."""
    cuts = np.sort(file.rng.integers(1, len(file.rows), file.rng.integers(1, 4)))
    parts = np.split(np.arange(len(file.rows)), cuts)
    file.rng.shuffle(parts)
    file.rows = [file.rows[i] for part in parts for i in part]


def shuffled(file: File) -> None:
    file.rng.shuffle(file.rows)


def reversed_rows(file: File) -> None:
    file.rows.reverse()


def duplicates(file: File) -> None:
    at = int(file.rng.integers(1, len(file.rows)))
    file.rows[at:at] = file.rows[max(0, at - 5) : at]


def joined_files(file: File) -> None:
    """Two files in one, the second with its header."""
    if file.layout.is_text and file.head:
        at = int(file.rng.integers(1, len(file.rows)))
        file.rows[at:at] = file.head.splitlines()


def footer(file: File) -> None:
    if file.layout.is_text:
        footers = ("Downloaded from a site", "* prices are indicative", "Total", "--")
        file.tail = f"{file.tail}{footers[file.rng.integers(len(footers))]}\n"


def title(file: File) -> None:
    if file.layout.is_text:
        file.head = f"EURUSD history\n\n{file.head}"


def named_study(file: File) -> None:
    """Averages of the bar, under names that resemble those of prices."""
    pairs = [["EMA", "Close MA"], ["Last", "Adj Close"], ["Open", "High"], ["Price", "Volume MA"]]
    names = pairs[file.rng.integers(len(pairs))]
    studies = [
        [file.price((b.high + b.low) / 2), file.price((b.open + b.close) / 2)]
        for b in file.in_order_of_rows()
    ]
    file.add_column(names, studies)


def study_bars(file: File) -> None:
    """Four columns that are bars of their own: averages as of Heikin-Ashi, or another market."""
    fours = (
        ["Open", "High", "Low", "Close"],
        ["HA Open", "HA High", "HA Low", "HA Close"],
        ["a", "b", "c", "d"],
    )
    unnamed = (
        not file.head or "aa" in file.head or "mid" in file.head or "bid" in file.head.lower()
    )  # named columns are then taken for the bars, as by any reader
    names = fours[2 if unnamed else file.rng.integers(len(fours))]
    factor = float(file.rng.choice([1.0, 1.7]))
    cells, last = [], file.bars[0].open
    for bar in file.in_order_of_rows():
        close = (bar.open + bar.high + bar.low + bar.close) / 4
        four = (last, max(bar.high, last, close), min(bar.low, last, close), close)
        cells.append([file.price(value * factor) for value in four])
        last = (last + close) / 2
    file.add_column(names, cells)


def signals(file: File) -> None:
    """A column of words that are no instruments."""
    words = file.rng.choice(["buy", "sell", ""], len(file.rows)).tolist()
    file.add_column(["signal"], [[word] for word in words])


def second_symbol(file: File) -> None:
    """Rows of another instrument, in turn or mixed; a column names both, or they share times."""
    factor = float(file.rng.choice([0.5, 1.15, 1.7]))
    others = [
        Bar(b.time, *(round(p * factor) for p in (b.open, b.high, b.low, b.close)), b.volume)
        for b in file.bars
    ]
    half = len(file.bars) // 2
    named = file.rng.random() < 0.7
    if named and file.rng.random() < 0.5:  # one after the other, at other times
        file.bars, others = file.bars[:half], others[half:]
    if named:
        name = str(file.rng.choice(["symbol", "Ticker", "pair", "xyz"]))
        own, foreign = file.layout.rows(file.bars), file.layout.rows(others)
        file.rows = own + foreign
        file.add_column([name], [["EURUSD"]] * len(own) + [["GBPUSD"]] * len(foreign))
    else:
        file.rows += file.layout.rows(others)
    if file.rng.random() < 0.3:
        file.rng.shuffle(file.rows)


DISTURBANCES: dict[str, Callable[[File], None]] = {
    change.__name__: change
    for change in (
        chunks, shuffled, reversed_rows, duplicates, joined_files, footer, title, named_study, study_bars, signals,
        second_symbol,
    )
}  # fmt: skip
COLUMNS = {"named_study", "study_bars", "signals", "second_symbol"}


def disturbed(name: str, seed: int, start: datetime, changes: list[str]) -> tuple[bytes, list[Bar]]:
    layout = LAYOUTS[name]
    rng = np.random.default_rng(seed)
    start = start.replace(hour=0 if layout.daily else start.hour, minute=0, second=0, microsecond=0)
    bars = random_bars(rng, start, layout.daily)
    file = File(layout, bars, layout.head, layout.rows(bars), layout.tail, rng)
    for change in sorted(
        changes, key=lambda change: change not in COLUMNS
    ):  # columns first: rows still in order
        DISTURBANCES[change](file)
    return file.write(), file.bars


def check(folder: Path, name: str, seed: int, start: datetime, changes: list[str]) -> Bars | None:
    content, bars = disturbed(name, seed, start, changes)
    try:
        found = read_bars(save(folder, content))
    except BarsError as error:
        lines = str(error).splitlines()
        return None if len(lines) == 2 else pytest.fail(f"fault and remedy must be two lines: {error}")
    assert "second_symbol" not in changes, "two instruments were read as one"
    assert_same_bars(found, frame_of(bars))
    return found


# A column beside them is no longer the layout that shows closing times.
KEEPS_CLOSING = {"NinjaTrader", "TradeStation", "TradeStation, open interest"}


def case(seed: int) -> tuple[str, int, datetime, list[str]]:
    """Return a layout, a seed of bars, their start and up to three disturbances, at most one of columns."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(sorted(LAYOUTS)))
    changes = rng.permutation(sorted(DISTURBANCES)).tolist()
    most = 0 if name in KEEPS_CLOSING else 1
    columns = [change for change in changes if change in COLUMNS][:most]
    chosen = [change for change in changes if change not in COLUMNS or change in columns]
    start = datetime(1990, 1, 1) + timedelta(hours=int(rng.integers(34 * 365 * 24)))
    return name, seed, start, chosen[: int(rng.integers(4))]


def failures(seeds: range) -> list[str]:
    """Return the cases that raise anything, with what they raise; hypothesis takes as long as the reading."""
    found = []
    with TemporaryDirectory() as folder:
        for seed in seeds:
            try:
                check(Path(folder), *case(seed))
            except BaseException as error:  # noqa: BLE001  pytest's own failures too
                found.append(f"seed {seed}, {case(seed)}: {type(error).__name__} {str(error)[:300]}")
    return found


def test_same_bars_or_a_refusal() -> None:
    assert failures(range(100)) == []


@pytest.mark.slow
def test_same_bars_or_a_refusal_20_000_times() -> None:
    seeds = [range(first, first + 500) for first in range(1000, 21_000, 500)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        assert [failure for some in pool.map(failures, seeds) for failure in some] == []


@pytest.mark.parametrize(
    ("name", "seed", "changes"),
    [
        ("Yahoo, empty days", 59923, ["footer", "second_symbol", "joined_files"]),  # a name beside no price
        ("CSI", 55268, ["shuffled"]),  # years first or days first
        (
            "unknown words and order",
            7545,
            ["joined_files", "named_study", "chunks"],
        ),  # a header among the rows
    ],
)
def test_cases_that_were_once_misread(tmp_path: Path, name: str, seed: int, changes: list[str]) -> None:
    check(tmp_path, name, seed, datetime(2020, 6, 13), changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", ["", "chunks", "reversed_rows", "duplicates", "footer", "title", "signals"]
)
def test_usual_disturbances_are_no_reason_to_refuse(tmp_path: Path, change: str) -> None:
    """A reader that refuses everything would pass the property."""
    refused = []
    for name in sorted(set(LAYOUTS) - KEEPS_CLOSING):
        if check(tmp_path, name, 1, datetime(2023, 5, 1), [change] if change else []) is None:
            refused.append(name)
    assert len(refused) <= len(LAYOUTS) // 10, refused


@pytest.mark.parametrize("name", ["MetaTrader 4", "pandas", "Yahoo", "ccxt", "Sierra Chart"])
def test_the_check_itself_sees_other_prices(tmp_path: Path, name: str) -> None:
    content, bars = disturbed(name, 1, datetime(2023, 5, 1), [])
    bars[3] = replace(bars[3], high=bars[3].high + 1)
    with pytest.raises(AssertionError):
        assert_same_bars(read_bars(save(tmp_path, content)), frame_of(bars))
