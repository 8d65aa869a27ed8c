"""Damaged files: the same bars, or one of our errors; never another exception, never other prices."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from bar_layouts import LAYOUTS, POINT, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import BarsError

# What no reader can see: a digit that became another digit, was lost or was added, and a line that is
# gone as a whole. Everything else must be seen, so damage puts in and takes out anything but digits.
DIGITS = b"0123456789"
OTHER_BYTES = st.integers(0, 255).filter(lambda byte: byte not in DIGITS)
WALKS = {daily: walk(40, daily=daily) for daily in (False, True)}
FILES = {name: layout.write(WALKS[layout.daily]) for name, layout in LAYOUTS.items()}
# Feather has no checksum; a damaged key of a whole bar of OANDA leaves one without prices, dropped and noted.
TEXTS = [name for name in LAYOUTS if "Parquet" not in name and name not in ("Feather", "OANDA")]
# What a damaged header no longer proves is assumed, and a note says so: opening times, prices as written.
ASSUMED = {
    "taken for those at which bars opened": (pd.Timedelta(hours=1), 1),
    "whole numbers": (pd.Timedelta(0), 10**9),
}

Damage = Callable[[bytes], st.SearchStrategy[bytes]]

# Times the usual number of examples: the usual ones are always the same, more are others in every run.
TIMES = int(os.environ.get("BT_NEURO_EXAMPLES", "1"))


def examples(number: int) -> settings:
    return settings(max_examples=number * TIMES, derandomize=TIMES == 1)


@st.composite
def overwritten(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + bytes([draw(OTHER_BYTES)]) + data[at + 1 :]


@st.composite
def inserted(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + bytes(draw(st.lists(OTHER_BYTES, min_size=1, max_size=5))) + data[at:]


@st.composite
def lost(draw: st.DrawFn, data: bytes) -> bytes:
    places = [i for i, byte in enumerate(data) if byte not in DIGITS]
    at = draw(st.sampled_from(places))
    return data[:at] + data[at + 1 :]


@st.composite
def swapped_lines(draw: st.DrawFn, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    one, other = (draw(st.integers(0, len(lines) - 1)) for _ in "ab")
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


@st.composite
def repeated_line(draw: st.DrawFn, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    at = draw(st.integers(0, len(lines) - 1))
    return b"".join([*lines[:at], lines[at], *lines[at:]])


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


@st.composite
def garbage(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + draw(st.binary(min_size=1, max_size=2000)) + data[at + draw(st.integers(0, 2000)) :]


def read_or_refuse(tmp_path: Path, content: bytes, repair: bool = False) -> Bars | None:
    path = tmp_path / "damaged.csv"
    path.write_bytes(content)
    try:
        return read_bars(path, repair=repair)
    except BarsError:
        return None


def true_bars(name: str) -> dict[str, tuple[float, ...]]:
    rows = WALKS[LAYOUTS[name].daily]
    return {str(b.time): tuple(p / POINT for p in (b.open, b.high, b.low, b.close)) for b in rows}


def assert_only_true_bars(name: str, bars: Bars | None, all_of_them: bool) -> None:
    """Assert that every bar read is one that was written and, where no line is gone, that none is lost."""
    if bars is None:
        return
    true, frame = true_bars(name), bars.frame
    readings = [(pd.Timedelta(0), 1)]
    readings += [reading for note, reading in ASSUMED.items() if any(note in said for said in bars.notes)]
    columns = [frame[column].tolist() for column in ("open", "high", "low", "close")]
    for shift, scale in readings:
        times = (frame["datetime"] - shift).dt.strftime("%Y-%m-%d %H:%M:%S")
        rows = zip(times, zip(*columns, strict=True), strict=True)
        if all(true.get(time) == tuple(price / scale for price in prices) for time, prices in rows):
            assert len(bars) == len(true) or not all_of_them
            return
    raise AssertionError(f"other bars: {frame.head()}")


@pytest.mark.parametrize("damage", [overwritten, inserted, lost, swapped_lines, repeated_line])
@given(data=st.data(), name=st.sampled_from(TEXTS))
@examples(25)
def test_damage_within_a_file_is_seen(
    tmp_path_factory: pytest.TempPathFactory,
    damage: Damage,
    data: st.DataObject,
    name: str,
) -> None:
    content = data.draw(damage(FILES[name]))
    bars = read_or_refuse(tmp_path_factory.mktemp("damage"), content)
    assert_only_true_bars(name, bars, all_of_them=True)


@given(data=st.data(), name=st.sampled_from(TEXTS))
@examples(40)
def test_a_file_cut_anywhere_is_true_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    bars = read_or_refuse(tmp_path_factory.mktemp("damage"), data.draw(cut(FILES[name])))
    if bars is not None and not any("short of digits" in note for note in bars.notes):
        assert_only_true_bars(name, bars, all_of_them=False)


@given(
    data=st.data(),
    name=st.sampled_from(TEXTS),
    damage=st.sampled_from([overwritten, inserted, lost, swapped_lines]),
)
@examples(40)
def test_repair_keeps_only_true_bars(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str, damage: Damage
) -> None:
    content = data.draw(damage(FILES[name]))
    bars = read_or_refuse(tmp_path_factory.mktemp("damage"), content, repair=True)
    assert_only_true_bars(name, bars, all_of_them=False)


@given(
    data=st.data(), name=st.sampled_from(list(LAYOUTS)), damage=st.sampled_from([garbage, cut, overwritten])
)
@examples(60)
def test_nothing_raises_but_our_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str, damage: Damage
) -> None:
    read_or_refuse(tmp_path_factory.mktemp("damage"), data.draw(damage(FILES[name])))


@pytest.mark.parametrize(
    ("name", "true", "damaged"),
    [
        ("zone in a name", b"Volume\n", b"Volume"),  # header and first bar in one line
        ("MultiCharts", b"\n2024/01/16,15:00", b"\n2024/01/1615:00"),  # the last line is no footer
        ("Tiingo", b"date,close", b"date,clos"),  # adjusted prices have all four names
        (
            "Kraken",
            b"1.09952, 1.09974",
            b"109952, 1.09974",
        ),  # one price in the sample that decides on columns
        ("Barchart", b"2024-01-15,", b"2024-01-15"),
        ("blanks", b"1.09946", b"1.0994\t"),  # a blank of any kind in place of the last digit
        ("blanks and trailing separators", b"1.09946", b"1.0994 "),
        ("Sierra Chart", b"1.09946", b"1.0994\xa0"),
        ("currency before", b"1.09946", b"1.0994\x1d"),
        ("quoted lines", b"2024.01.15,00", b"2024.01.1A,00"),  # no zone of the first of January
    ],
)
def test_damage_that_was_once_not_seen(tmp_path: Path, name: str, true: bytes, damaged: bytes) -> None:
    content = FILES[name].replace(true, damaged, 1)
    assert content != FILES[name]
    assert_only_true_bars(name, read_or_refuse(tmp_path, content), all_of_them=True)


def test_the_check_itself_sees_a_wrong_price(tmp_path: Path) -> None:
    name = "MetaTrader 4"
    wrong = FILES[name].replace(b"1.09946", b"1.09947", 1)
    assert wrong != FILES[name]
    bars = read_or_refuse(tmp_path, wrong)
    with pytest.raises(AssertionError):
        assert_only_true_bars(name, bars, all_of_them=False)
    shorter = read_or_refuse(tmp_path, FILES[name].partition(b"\n")[2])
    with pytest.raises(AssertionError):
        assert_only_true_bars(name, shorter, all_of_them=True)
