"""Small files in the layouts of real tools; skipped where their folder is absent.

The repository has twins of each kind: in `bar_layouts`, in `test_bars_refused` and in `test_bars_units`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pytest
from paths import SHARED

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import BarsError

SMALL = SHARED / "small"
pytestmark = pytest.mark.skipif(not SMALL.is_dir(), reason=f"no small bar files in {SMALL}")


@dataclass(frozen=True)
class Small:
    """Expected reading: number of bars, first bar, time and close of the last; or the refusal."""

    bars: int = 10
    first: tuple[str, float, float, float, float, float] | None = None
    last: tuple[str, float] | None = None
    clock: str = "file"
    format: str = ""
    note: str = ""
    refused: str = ""


EUR = ("2021-03-09 03:00", 1.21001, 1.21015, 1.20989, 1.21009, 233.0)
ES = ("2021-03-09 14:30", 3871.02, 3871.14, 3870.77, 3870.87, 102.0)
DAY = ("2021-03-15 00:00", 2345.02, 2345.14, 2344.72, 2344.81, 177.0)
EUR_END, ES_END, DAY_END = (
    ("2021-03-09 12:00", 1.20982),
    ("2021-03-09 14:39", 3870.71),
    ("2021-03-26", 2344.85),
)

FILES = {
    "ninjatrader_minute": Small(first=ES, last=ES_END, format="NinjaTrader", note="at which bars closed"),
    "sierra_bar_and_study": Small(first=ES, last=ES_END),
    "two_symbols_in_turn": Small(refused="a file must hold one instrument, got EURUSD, GBPUSD."),
    "polygon_two_tickers": Small(refused="a file must hold one instrument, got AAA, BBB."),
    "compact_hour": Small(first=EUR, last=EUR_END),
    "date_symbol_generic": Small(first=ES, last=ES_END, format="table with a header"),
    "spread_in_price": Small(first=EUR, last=EUR_END, note="The spread is written in price"),
    "chunks_newest_first": Small(
        bars=11, first=("2021-03-09 03:00", 1.30999, 1.31003, 1.30984, 1.30998, 788.0),
        last=("2021-03-09 13:00", 1.3106), note="put in order"),
    "akshare_volume": Small(first=DAY, last=DAY_END),
    "alphavantage_pandas": Small(first=EUR, last=EUR_END),
    "tradestation_up_down": Small(
        first=("2021-03-23 14:29", 3871.02, 3871.14, 3870.77, 3870.87, 153.0), note="sum of Up and Down"),
    "kabu_shift_jis": Small(first=ES, last=ES_END),
    "cp1251_volume": Small(first=ES, last=ES_END),
    "finam_unpadded_clock": Small(
        first=("2021-03-09 05:00", 1.21, 1.21027, 1.20985, 1.21013, 773.0), last=("2021-03-09 14:00", 1.21074)),
    "yfinance_flat_ticker": Small(first=DAY, last=DAY_END),
    "yfinance_two_tickers": Small(refused="a file must hold one instrument, got AAA, BBB."),
    "zone_name": Small(first=EUR, last=EUR_END, clock="US/Eastern"),
    "barchart_footer": Small(first=DAY, last=DAY_END, note="Downloaded from Barchart.com"),
    "yahoo_dividend_line": Small(bars=5, first=DAY, last=("2021-03-19", 2344.92), note="0.24 Dividend"),
    "noheader_date_clock": Small(first=ES, last=ES_END),
    "investing_ja_date": Small(first=(*DAY[:5], 1770.0), last=DAY_END),
    "excel_es_ampm": Small(first=EUR, last=EUR_END),
    "space_separated": Small(first=EUR, last=EUR_END),
    "ccxt_list": Small(bars=4, first=EUR, last=("2021-03-09 06:00", 1.20981), clock="UTC"),
    "yahoo_close_outside": Small(refused="2 rows with open or close outside high and low"),
    "databento_raw": Small(first=ES, last=ES_END, clock="UTC", note="divided by 1,000,000,000"),
}  # fmt: skip


def test_no_file_is_left_out() -> None:
    assert sorted(path.stem for path in SMALL.glob("*.csv")) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_small_file(name: str) -> None:
    path, small = SMALL / f"{name}.csv", FILES[name]
    if small.refused:
        for repair in (False, True):
            with pytest.raises(BarsError) as refused:
                read_bars(path, repair=repair)
            assert str(refused.value).startswith(f"{path}: {small.refused}")
        return
    bars = read_bars(path)
    assert len(bars) == small.bars
    assert bars.dropped == {}
    assert bars.clock == small.clock
    assert small.format in ("", bars.format)
    assert any(small.note in note for note in bars.notes) or not small.note
    row = bars.frame.iloc[0]
    if small.first:
        assert row["datetime"] == pd.Timestamp(small.first[0])
        assert tuple(row[["open", "high", "low", "close", "volume"]]) == small.first[1:]
    if small.last:
        assert (bars.frame["datetime"].iloc[-1], bars.frame["close"].iloc[-1]) == (
            pd.Timestamp(small.last[0]),
            small.last[1],
        )


@pytest.mark.parametrize(
    ("name", "symbol", "first"),
    [
        ("two_symbols_in_turn", "gbpusd", ("2021-03-09 08:00", 1.39173)),
        ("polygon_two_tickers", "BBB", ("2021-03-09 03:00", 2.42002)),
        ("yfinance_two_tickers", "BBB", ("2021-03-15", 4690.04)),
    ],
)
def test_a_symbol_is_picked(name: str, symbol: str, first: tuple[str, float]) -> None:
    frame = read_bars(SMALL / f"{name}.csv", symbol=symbol).frame
    assert (frame["datetime"].iloc[0], frame["open"].iloc[0]) == (pd.Timestamp(first[0]), first[1])
    with pytest.raises(BarsError, match=r"--symbol must be one of .*, got 'CCC'"):
        read_bars(SMALL / f"{name}.csv", symbol="CCC")


def test_widening_keeps_the_bars_of_yahoo() -> None:
    bars = read_bars(SMALL / "yahoo_close_outside.csv", repair="widen")
    assert len(bars) == 10
    assert bars.frame["low"].iloc[3] == 2340.39
    assert bars.frame["high"].iloc[6] == 2348.09
