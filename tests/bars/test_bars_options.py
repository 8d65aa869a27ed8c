"""What the options make of a file: --from, --to, --tz and --resample, and what they refuse."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bar_layouts import LAYOUTS, save, walk

from bt_neuro.bars.reader import read_bars
from bt_neuro.bars.timeframe import parse_timeframe, timeframe_name
from bt_neuro.errors import BarsError


@pytest.mark.parametrize(
    ("tz", "first"),
    [
        (None, "2024-01-15 00:00"),
        ("Europe/Athens,UTC", "2024-01-14 22:00"),
        ("Europe/Athens,America/New_York", "2024-01-14 17:00"),
    ],
)
def test_tz_moves_the_clock(tmp_path: Path, tz: str | None, first: str) -> None:
    bars = read_bars(save(tmp_path, LAYOUTS["MetaTrader 5"].write(walk())), tz=tz)
    assert bars.frame["datetime"].iloc[0] == pd.Timestamp(first)
    assert bars.clock == (tz.partition(",")[2] if tz else "file")


def test_tz_needs_no_source_where_the_file_says_it(tmp_path: Path) -> None:
    bars = read_bars(save(tmp_path, LAYOUTS["Dukascopy, local"].write(walk())), tz="America/New_York")
    assert bars.frame["datetime"].iloc[0] == pd.Timestamp("2024-01-14 19:00")


def test_start_and_end_are_told_on_the_clock_of_the_result(tmp_path: Path) -> None:
    path = save(tmp_path, LAYOUTS["Dukascopy, GMT"].write(walk()))
    bars = read_bars(path, tz="Asia/Tokyo", start="2024-01-16 10:00", end="2024-01-16")
    assert bars.frame["datetime"].iloc[[0, -1]].astype(str).tolist() == [
        "2024-01-16 10:00:00",
        "2024-01-16 23:00:00",
    ]


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("2024-01-15", "2024-01-15 23:00"),
        ("20240115", "2024-01-15 23:00"),
        (date(2024, 1, 15), "2024-01-15 23:00"),
        ("2024-01-15 15:00", "2024-01-15 15:00"),
        ("2024-01-15 15", "2024-01-15 15:00"),
        ("20240115T1500", "2024-01-15 15:00"),
        (pd.Timestamp("2024-01-15 02:00"), "2024-01-15 02:00"),
    ],
)
def test_a_day_is_whole_and_a_time_is_the_last(tmp_path: Path, end: Any, last: str) -> None:
    bars = read_bars(save(tmp_path, LAYOUTS["MetaTrader 5"].write(walk(48))), end=end)
    assert bars.frame["datetime"].iloc[-1] == pd.Timestamp(last)


def test_hours_become_days(tmp_path: Path) -> None:
    path = save(tmp_path, LAYOUTS["MetaTrader 5"].write(walk(48)))
    fine, days = read_bars(path).frame, read_bars(path, resample="D1")
    assert days.timeframe == pd.Timedelta(days=1)
    assert days.frame["datetime"].tolist() == [pd.Timestamp("2024-01-15"), pd.Timestamp("2024-01-16")]
    first, day = fine[:24], days.frame.iloc[0]
    assert day["open"] == first["open"].iloc[0]
    assert day["close"] == first["close"].iloc[-1]
    assert (day["high"], day["low"]) == (first["high"].max(), first["low"].min())
    assert day["volume"] == first["volume"].sum()
    assert day["spread"] == 7


@pytest.mark.parametrize(
    ("name", "first"),
    [("W1", "2024-01-15"), ("MN1", "2024-02-01"), ("H4", "2024-01-15"), ("H1", "2024-01-15")],
)
def test_periods_begin_where_the_calendar_does(tmp_path: Path, name: str, first: str) -> None:
    bars = read_bars(save(tmp_path, LAYOUTS["MetaTrader 5"].write(walk(24 * 60))), resample=name)
    assert bars.frame["datetime"].iloc[0] == pd.Timestamp(first)


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ({}, "2024-01-15", "2024-02-09"),
        ({"start": "2024-01-15 01:00", "end": "2024-02-09 22:00"}, "2024-01-16", "2024-02-08"),
    ],
)
def test_days_that_begin_late_or_end_early_are_left_out(
    tmp_path: Path, options: dict[str, str], first: str, last: str
) -> None:
    path = save(tmp_path, LAYOUTS["MetaTrader 5"].write(walk(24 * 20)))
    bars = read_bars(path, resample="D1", **options)
    times = bars.frame["datetime"]
    assert [times.iloc[0], times.iloc[-1]] == [pd.Timestamp(first), pd.Timestamp(last)]
    left = "Left out 46 H1 bars at the ends, where they make no whole D1 bar."
    assert (left in bars.notes) == bool(options)


@pytest.mark.parametrize("name", ["M1", "M15", "H1", "H4", "D1", "W1", "MN1"])
def test_names_of_timeframes_are_read_as_they_are_written(name: str) -> None:
    assert timeframe_name(parse_timeframe(name)) == name


HOURS = LAYOUTS["pandas"].write(walk(30))
SPRING = HOURS.replace(b"2024-01-15", b"2024-03-31").replace(b"2024-01-16", b"2024-04-01")
AUTUMN = HOURS.replace(b"2024-01-15", b"2024-10-27").replace(b"2024-01-16", b"2024-10-28")


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        (
            HOURS,
            {"start": "2025-01-01"},
            "no bar lies between --from and --to.\n"
            "The file runs from 2024-01-15 00:00:00 to 2024-01-16 05:00:00; give a part of that.",
        ),
        (
            HOURS,
            {"start": "31.01.2024"},
            "--from '31.01.2024' is no time.\nWrite 2024-01-31 or '2024-01-31 15:00', without a zone.",
        ),
        (
            HOURS,
            {"end": "2024-01-31 15:00+01:00"},
            "--to '2024-01-31 15:00+01:00' is no time.\n"
            "Write 2024-01-31 or '2024-01-31 15:00', without a zone.",
        ),
        (
            HOURS,
            {"tz": "Europe/Atens,UTC"},
            "'Europe/Atens' is no time zone. Did you mean Europe/Athens?\n"
            "Give --tz a name such as Europe/Athens or UTC.",
        ),
        (HOURS, {"tz": ""}, "'' is no time zone.\nGive --tz a name such as Europe/Athens or UTC."),
        (
            HOURS,
            {"tz": "UTC"},
            "the times name no zone, so they cannot be moved to UTC.\n"
            "Name the zone of the file's clock: --tz FROM,UTC, such as --tz Europe/Athens,UTC.",
        ),
        (
            LAYOUTS["broker, Z"].write(walk()),
            {"tz": "Europe/Athens,Asia/Tokyo"},
            "the times name their zone, UTC, so they cannot be in Europe/Athens.\n"
            "Give --tz Asia/Tokyo alone.",
        ),
        (
            SPRING,
            {"tz": "Europe/Berlin,UTC"},
            "there is no 2024-03-31 02:00:00 in Europe/Berlin, where clocks are put forward.\n"
            "Give --tz another FROM.",
        ),
        (
            AUTUMN,
            {"tz": "UTC,Europe/Berlin"},
            "2024-10-27 02:00:00 comes twice in Europe/Berlin, where clocks are put back.\n"
            "Move to UTC instead.",
        ),
        (
            HOURS,
            {"resample": "M5"},
            "M5 bars cannot be built from H1 bars.\nGive --resample a multiple of H1.",
        ),
        (HOURS, {"resample": "D1"}, "30 H1 bars make less than two whole D1 bars.\nGive a longer file."),
        (HOURS, {"resample": "H7"}, "'H7' is no timeframe.\nWrite M5, M15, H1, H4, D1, W1 or MN1."),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, content: bytes, options: dict[str, str], text: str) -> None:
    path = save(tmp_path, content)
    with pytest.raises(BarsError) as refused:
        read_bars(path, **options)
    assert str(refused.value) == f"{path}: {text}"


@pytest.mark.parametrize(
    ("prices", "spread", "point"),
    [
        (["1.14920", "1.14980", "1.14800", "1.14850"], "50", 1e-5),  # zeros that MetaTrader writes count
        (["1.1492", "1.1498", "1.1480", "1.1485"], "5", 1e-4),
        (["1.149200", "1.149800", "1.148000", "1.148510"], None, 1e-5),  # others pad: prices tell
    ],
)
def test_the_point_is_what_prices_are_written_in(tmp_path, prices, spread, point):
    header = ["time", "open", "high", "low", "close", *(["spread"] if spread else [])]
    rows = [[f"2020-01-0{day}", *prices, *([spread] if spread else [])] for day in range(1, 6)]
    text = "\n".join(",".join(row) for row in [header, *rows])
    bars = read_bars(save(tmp_path, text.encode()))
    assert bars.point == pytest.approx(point)


def test_the_noise_of_32_bits_is_no_decimal(tmp_path):
    prices = {name: [1.1492, 1.14931, 1.14919, 1.1485] for name in ("open", "high", "low", "close")}
    frame = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=4), **prices}).astype(
        dict.fromkeys(prices, "float32")
    )
    path = tmp_path / "bars.parquet"
    frame.to_parquet(path)
    assert read_bars(path).point == pytest.approx(1e-5)


def test_a_part_of_a_file_has_the_point_of_the_whole(tmp_path):
    closes = ["1.1000"] * 50 + ["1.10001"] * 50
    rows = [
        f"{day.date()},1.10,1.11,1.09,{close}"
        for day, close in zip(pd.date_range("2020-01-01", periods=100), closes, strict=True)
    ]
    file = save(tmp_path, "\n".join(["time,open,high,low,close", *rows]).encode())
    assert read_bars(file, end="2020-01-31").point == read_bars(file).point == pytest.approx(1e-5)
