"""Bar files of every common layout, written and read back: the same bars, whatever wrote them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bar_layouts import LAYOUTS, MT5_HEAD, Bar, assert_same_bars, frame_of, save, walk

from bt_neuro.bars.describe import describe, render
from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import BarsError

PRICES = ["open", "high", "low", "close"]


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


class TestRemarks:
    """What is doubtful but possible is kept, and told."""

    @pytest.mark.parametrize(
        ("prices", "remark"),
        [
            ("1.1000,1.1020,1.0990,1.1021", "with open or close outside high and low by rounding"),
            ("1.1000,1.7020,1.0990,1.1020", "with a high or low a fifth away from open and close"),
            ("1.8000,1.8020,1.0990,1.1020", "opening far from the close before"),
        ],
    )
    def test_prices(self, tmp_path: Path, prices: str, remark: str) -> None:
        rows = [f"2024-01-{day},1.1000,1.1023,1.0987,1.1011\n" for day in range(10, 30)]
        rows[5] = f"2024-01-15,{prices}\n"
        bars = read_bars(save(tmp_path, "time,open,high,low,close\n" + "".join(rows)))
        assert len(bars) == 20
        assert f"1 bar {remark}, the first at 2024-01-15 00:00:00; kept." in bars.notes

    def test_a_file_cut_in_its_last_price(self, tmp_path: Path) -> None:
        text = LAYOUTS["broker, Z"].write(walk())
        note = "The last line has no line end; if the file was cut there, its close is short of digits."
        assert note not in read_bars(save(tmp_path, text)).notes
        assert note in read_bars(save(tmp_path, text[:-2])).notes


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
            "Note        Times name their zone: UTC.\n"
            "Note        The file runs from the newest bar to the oldest; it was reversed."
        )

    def test_values_are_plain_json(self, tmp_path: Path) -> None:
        known = describe(read_bars(save(tmp_path, LAYOUTS["Yahoo, empty days"].write(walk(daily=True)))))
        assert json.loads(json.dumps(known)) == known
        assert known["dropped_rows"] == {"without prices": 1}
        assert known["columns"] == {role: role.title() for role in ("date", *PRICES, "volume")}
        assert known["first_bar"]["datetime"] == "2024-01-15 00:00:00"


def test_a_year_of_minutes_is_read(tmp_path: Path) -> None:
    n = 372_000
    days = pd.date_range("2020-01-01", periods=n // 1440 + 1).strftime("%Y.%m.%d")
    rest = [
        f"{i // 60:02d}:{i % 60:02d}:00\t1.10001\t1.10012\t1.09991\t1.10003\t5\t0\t7" for i in range(1440)
    ]
    rows = [f"{day}\t{minute}" for day in days for minute in rest][:n]
    path = save(tmp_path, MT5_HEAD + "\n".join(rows) + "\n")
    bars = read_bars(path)  # in 0.6 s where nothing else runs
    assert len(bars) == n


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
