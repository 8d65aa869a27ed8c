"""Bar files of every common layout, written and read back: the same bars, whatever wrote them."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bar_layouts import LAYOUTS, MT5_HEAD, Bar, Written, frame_of, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from bt_neuro.errors import BarsError
from bt_neuro.market.bars import Bars, read_bars
from bt_neuro.market.check import describe, render
from bt_neuro.market.timeframe import parse_timeframe, timeframe_name

PRICES = ["open", "high", "low", "close"]


def save(tmp_path: Path, content: bytes | str, name: str = "EURUSD.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def assert_same_bars(bars: Bars, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(bars.frame[["datetime", *PRICES]], expected, check_exact=True)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read_without_an_option(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    written = walk(daily=layout.daily)
    bars = read_bars(save(tmp_path, layout.write(written)))
    assert_same_bars(bars, frame_of(written))
    assert bars.format == layout.format
    assert bars.clock == layout.clock
    assert bars.timeframe == pd.Timedelta(days=1) if layout.daily else pd.Timedelta(hours=1)
    assert bars.point == 1e-5
    assert ("spread" in bars.frame) == layout.spread
    if layout.volume:
        np.testing.assert_array_equal(bars.frame["volume"] // 1, [bar.volume for bar in written])


def random_bars(rng: np.random.Generator, start: datetime, daily: bool) -> list[Bar]:
    """Any valid bars of a market: irregular gaps, any shape of bar, opens at or near the last close."""
    n = int(rng.integers(40, 60))
    step = timedelta(days=1) if daily else timedelta(hours=1)
    times = start + step * np.cumsum(rng.choice([1, 2, 3], n, p=[0.8, 0.1, 0.1]))
    moves = rng.integers(-99, 99, n)
    closes = int(rng.integers(20_000, 900_000)) + np.cumsum(moves)
    opens = closes - moves + rng.integers(-3, 4, n)
    highs = np.maximum(opens, closes) + rng.integers(0, 50, n) * rng.integers(0, 2, n)
    lows = np.minimum(opens, closes) - rng.integers(0, 50, n) * rng.integers(0, 2, n)
    volumes = rng.integers(1, 10 ** rng.integers(1, 10), n)
    columns = (opens, highs, lows, closes, volumes)
    return [Bar(*row) for row in zip(times, *(column.tolist() for column in columns), strict=True)]


@given(
    name=st.sampled_from(list(LAYOUTS)),
    seed=st.integers(0, 2**32),
    start=st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)),
)
@settings(max_examples=80, deadline=None)
def test_any_bars_come_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, start: datetime
) -> None:
    layout = LAYOUTS[name]
    start = start.replace(hour=0 if layout.daily else start.hour, minute=0, second=0, microsecond=0)
    written = random_bars(np.random.default_rng(seed), start, layout.daily)
    bars = read_bars(save(tmp_path_factory.mktemp("bars"), layout.write(written)))
    assert_same_bars(bars, frame_of(written))


class TestTimes:
    SHORT = Written("{t:%d/%m/%Y %H:%M},{o},{h},{l},{c},{v}", "Date,Open,High,Low,Close,Volume\n")

    def test_the_whole_column_decides_on_day_and_month(self, tmp_path: Path) -> None:
        written = walk(200, daily=True, start=datetime(2023, 1, 2))  # its first row above 12 is the tenth
        for row in ("{t:%d/%m/%Y},{o},{h},{l},{c},{v}", "{t:%m/%d/%Y},{o},{h},{l},{c},{v}"):
            layout = Written(row, "Date,Open,High,Low,Close,Volume\n")
            assert_same_bars(read_bars(save(tmp_path, layout.write(written))), frame_of(written))

    def test_hours_of_the_first_days_of_a_month_cannot_be_months(self, tmp_path: Path) -> None:
        written = walk(150, start=datetime(2024, 4, 1))
        assert_same_bars(read_bars(save(tmp_path, self.SHORT.write(written))), frame_of(written))

    @pytest.mark.parametrize(
        ("tz", "first"),
        [
            (None, "2024-01-15 00:00"),
            ("Europe/Athens,UTC", "2024-01-14 22:00"),
            ("Europe/Athens,America/New_York", "2024-01-14 17:00"),
        ],
    )
    def test_tz_moves_the_clock(self, tmp_path: Path, tz: str | None, first: str) -> None:
        bars = read_bars(save(tmp_path, LAYOUTS["MetaTrader 5"].write(walk())), tz=tz)
        assert bars.frame["datetime"].iloc[0] == pd.Timestamp(first)
        assert bars.clock == (tz.partition(",")[2] if tz else "file")

    def test_tz_needs_no_source_where_the_file_says_it(self, tmp_path: Path) -> None:
        bars = read_bars(save(tmp_path, LAYOUTS["Dukascopy, local"].write(walk())), tz="America/New_York")
        assert bars.frame["datetime"].iloc[0] == pd.Timestamp("2024-01-14 19:00")

    def test_start_and_end_are_told_on_the_clock_of_the_result(self, tmp_path: Path) -> None:
        path = save(tmp_path, LAYOUTS["Dukascopy, GMT"].write(walk()))
        bars = read_bars(path, tz="Asia/Tokyo", start="2024-01-16 10:00", end="2024-01-16")
        assert bars.frame["datetime"].iloc[[0, -1]].astype(str).tolist() == [
            "2024-01-16 10:00:00",
            "2024-01-16 23:00:00",
        ]

    @pytest.mark.parametrize(
        "cell",
        [
            "{t:%Y-%m-%d %H:%M:%S}",
            "{t:%Y/%m/%d %H:%M}",
            "{t:%Y.%m.%d %H:%M:%S.%f}",
            "{t:%Y%m%dT%H%M%S}",
            "{t:%Y%m%d%H%M}",
            "{t:%d.%m.%Y %H:%M}",
            "{t:%d-%m-%Y %H:%M}",
            "{t:%m-%d-%Y %H:%M}",
            "{t:%d/%m/%y %H:%M}",
            "{t:%b %d; %Y %H:%M}",
            "{t:%d %b %Y %H:%M}",
            "{t:%d-%b-%Y %H:%M:%S}",
            "{t:%m/%d/%Y %I:%M %p}",
            "{t:%m/%d/%Y %I:%M:%S %p}",
            "{t:%Y-%m-%d %H:%M:%S}+00",
            "{t:%Y-%m-%d %H:%M:%S} UTC",
            "{s}.0",
            "{ms}",
            "{ms}000",
            "{ns}",
        ],
    )
    def test_every_way_to_write_a_time(self, tmp_path: Path, cell: str) -> None:
        cell = f'"{cell.replace(";", ",")}"' if ";" in cell else cell
        layout = Written(cell + ",{o},{h},{l},{c},{v}", "when,open,high,low,close,volume\n")
        assert_same_bars(read_bars(save(tmp_path, layout.write(walk()))), frame_of(walk()))

    def test_unix_times_may_gain_a_digit(self, tmp_path: Path) -> None:
        written = walk(start=datetime(2001, 9, 8))
        for cell in ("{s}", "{ms}", "{ns}"):
            layout = Written(cell + ",{o},{h},{l},{c}", "time,open,high,low,close\n")
            assert_same_bars(read_bars(save(tmp_path, layout.write(written))), frame_of(written))


class TestNumbers:
    @pytest.mark.parametrize(
        ("price", "volume", "expected"),
        [
            ("1234.5", "1500", (1234.5, 1500)),
            ('"1,234.50"', '"1,500"', (1234.5, 1500)),
            ('"1234,5"', '"1,5K"', (1234.5, 1500)),
            ('"1.234,50"', '"1,50M"', (1234.5, 1.5e6)),
            ("1.2345e-05", "1.5e+03", (1.2345e-05, 1500)),
            ("1234", "2.5b", (1234, 2.5e9)),
        ],
    )
    def test_styles(self, tmp_path: Path, price: str, volume: str, expected: tuple[float, float]) -> None:
        rows = (f"2024-01-{day},{price},{price},{price},{price},{volume}\n" for day in range(10, 20))
        bars = read_bars(save(tmp_path, "Date,Open,High,Low,Close,Volume\n" + "".join(rows)))
        assert set(bars.frame["close"]) == {expected[0]}
        assert set(bars.frame["volume"]) == {expected[1]}

    def test_missing_volumes_count_as_0_and_are_told(self, tmp_path: Path) -> None:
        rows = (f"2024-01-{day},1.1,1.2,1.0,1.1,{'-' if day == 12 else 5}\n" for day in range(10, 20))
        bars = read_bars(save(tmp_path, "Date,Open,High,Low,Close,Vol.\n" + "".join(rows)))
        assert bars.frame["volume"].tolist() == [5, 5, 0, 5, 5, 5, 5, 5, 5, 5]
        assert "1 row without volume; it counts as 0." in bars.notes

    def test_columns_told_by_order_are_told_of(self, tmp_path: Path) -> None:
        bars = read_bars(save(tmp_path, LAYOUTS["unknown words and order"].write(walk())))
        note = "Told by order and consistency, not by name: open cc, high dd, low ee, close bb."
        assert note in bars.notes

    def test_lines_of_blanks_and_separators_are_no_rows(self, tmp_path: Path) -> None:
        text = LAYOUTS["MetaTrader 4"].write(walk()).decode()
        bars = read_bars(save(tmp_path, text.replace("\r\n", "\r\n   \r\n,,,\r\n\r\n", 3) + ",,,,,,\n"))
        assert_same_bars(bars, frame_of(walk()))
        assert bars.dropped == {}


class TestResample:
    def test_hours_become_days(self, tmp_path: Path) -> None:
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
        [("W1", "2024-01-15"), ("MN1", "2024-01-01"), ("H4", "2024-01-15"), ("H1", "2024-01-15")],
    )
    def test_periods_begin_where_the_calendar_says(self, tmp_path: Path, name: str, first: str) -> None:
        bars = read_bars(save(tmp_path, LAYOUTS["MetaTrader 5"].write(walk())), resample=name)
        assert bars.frame["datetime"].iloc[0] == pd.Timestamp(first)

    @pytest.mark.parametrize("name", ["M1", "M15", "H1", "H4", "D1", "W1", "MN1"])
    def test_names_of_timeframes_are_read_as_they_are_written(self, name: str) -> None:
        assert timeframe_name(parse_timeframe(name)) == name


class TestWeekends:
    def week(self, flat_volume: int) -> bytes:
        """Nine days of hours, in which the weekend repeats Friday's close."""
        bars = []
        for bar in walk(216):
            bars.append(bar)
            if bar.time.weekday() == 4 and bar.time.hour == 23:
                last = bar.close
                flat = (bar.time + timedelta(hours=i) for i in range(1, 49))
                bars += [Bar(time, last, last, last, last, flat_volume) for time in flat]
        return LAYOUTS["Dukascopy, GMT"].write(bars).replace(b".5", b"")

    def test_flat_weekends_are_dropped_with_a_count(self, tmp_path: Path) -> None:
        bars = read_bars(save(tmp_path, self.week(flat_volume=0)))
        assert bars.dropped == {"flat and without volume at a weekend": 48}
        assert_same_bars(bars, frame_of(walk(216)))
        assert bars.gaps.count == 0
        assert bars.gaps.weekends == 1

    def test_keep_flat_and_traded_weekends_stay(self, tmp_path: Path) -> None:
        assert len(read_bars(save(tmp_path, self.week(flat_volume=0)), keep_flat=True)) == 264
        assert len(read_bars(save(tmp_path, self.week(flat_volume=3)))) == 264

    def test_volume_that_is_always_0_says_nothing_of_weekends(self, tmp_path: Path) -> None:
        text = LAYOUTS["HistData MetaTrader"].write(
            [Bar(b.time + timedelta(days=5), *[b.open] * 4, 0) for b in walk(30)]
        )
        bars = read_bars(save(tmp_path, text))
        assert len(bars) == 30
        assert "Volume is 0 in every bar." in bars.notes


class TestGaps:
    def test_gaps_are_counted_and_weekends_apart(self, tmp_path: Path) -> None:
        written = walk(240)
        holiday = [bar for bar in written if bar.time.day not in (17, 18)]
        bars = read_bars(save(tmp_path, LAYOUTS["MetaTrader 4"].write(holiday[:50] + holiday[53:])))
        gaps = bars.gaps
        assert (gaps.count, gaps.bars, gaps.weekends) == (2, 51, 1)
        assert (gaps.longest, gaps.longest_from) == (pd.Timedelta(hours=49), pd.Timestamp("2024-01-16 23:00"))


class TestCheck:
    def test_text(self, tmp_path: Path) -> None:
        path = save(tmp_path, LAYOUTS["Dukascopy, local"].write(walk(72)[::-1]))
        bars = read_bars(path)
        assert render(bars).replace(str(path), "FILE") == (
            "File        FILE\n"
            "Format      Dukascopy, comma-separated UTF-8\n"
            "Columns     date Local time, open Open, high High, low Low, close Close, volume Volume\n"
            "Timeframe   H1\n"
            "Clock       UTC\n"
            "Bars        72\n"
            "Point       0.00001\n"
            "First       2024-01-15 00:00:00, open 1.09999, high 1.09999, low 1.09949, close 1.09949, "
            "volume 100\n"
            "Last        2024-01-17 23:00:00, open 1.1002, high 1.10023, low 1.09968, close 1.09971, "
            "volume 171\n"
            "Gaps        none besides 0 weekends\n"
            "Dropped     nothing\n"
            f"SHA-256     {bars.sha256}\n"
            "Note        Times are in UTC, as their offsets or Unix seconds say.\n"
            "Note        The file runs from the newest bar to the oldest; it was turned round."
        )

    def test_values_are_plain_json(self, tmp_path: Path) -> None:
        known = describe(read_bars(save(tmp_path, LAYOUTS["Yahoo, empty days"].write(walk(daily=True)))))
        assert json.loads(json.dumps(known)) == known
        assert known["dropped_rows"] == {"without prices": 1}
        assert known["columns"] == {role: role.title() for role in ("date", *PRICES, "volume")}
        assert known["first_bar"]["datetime"] == "2024-01-15 00:00:00"


def test_a_year_of_minutes_takes_no_time(tmp_path: Path) -> None:
    n = 372_000
    days = pd.date_range("2020-01-01", periods=n // 1440 + 1).strftime("%Y.%m.%d")
    rest = [
        f"{i // 60:02d}:{i % 60:02d}:00\t1.10001\t1.10012\t1.09991\t1.10003\t5\t0\t7" for i in range(1440)
    ]
    rows = [f"{day}\t{minute}" for day in days for minute in rest][:n]
    path = save(tmp_path, MT5_HEAD + "\n".join(rows) + "\n")
    read_bars(path, end="2020-01-02")  # imports and caches
    start = time.perf_counter()
    assert len(read_bars(path)) == n
    assert time.perf_counter() - start < 5  # 0.6 s where nothing else runs; the rest is for busy machines


def test_bars_know_when_they_are_too_few(tmp_path: Path) -> None:
    path = save(tmp_path, LAYOUTS["MetaTrader 4"].write(walk(40)))
    bars = read_bars(path)
    bars.require(40, "the warm-up")
    with pytest.raises(BarsError) as refused:
        bars.require(130, "the warm-up, 130 bars")
    assert (
        str(refused.value)
        == f"{path}: 40 bars are too few for the warm-up, 130 bars.\nGive a longer file, or ask for less."
    )
