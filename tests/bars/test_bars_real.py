"""The kinds of bar files as traders have them; skipped where the folder of real files is absent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from paths import SHARED

from bt_neuro.bars.describe import describe
from bt_neuro.bars.reader import read_bars
from bt_neuro.bars.timeframe import timeframe_name
from bt_neuro.errors import BarsError

FORMATS = SHARED / "formats"
pytestmark = pytest.mark.skipif(not FORMATS.is_dir(), reason=f"no real bar files in {FORMATS}")


@dataclass(frozen=True)
class Real:
    """What a file holds, found by hand; `refused` begins its refusal, --repair then gives the rest."""

    format: str
    bars: int
    timeframe: str
    first: str
    last_close: float
    clock: str = "file"
    volume: bool = True
    dropped: int = 0
    refused: str = ""


FILES = {
    "dirty_investing_ru_EURUSD_D1": Real(
        "investing.com", 262, "D1", "2020-09-29 00:00", 1.1665, volume=False),
    "dirty_prices_scaled_1e5_EURUSD_D1": Real(
        "MetaTrader 5 export", 2400, "D1", "2012-12-04 00:00", 109305.00000000001),
    "dirty_semicolon_decimal_comma_EURUSD_D1": Real(
        "table with a header", 3503, "D1", "2003-03-25 00:00", 1.35457, volume=False),
    "dirty_spanish_header_EURUSD_M5": Real(
        "MetaTrader 4 rows under a header", 1999, "M5", "2012-12-14 22:55", 1.32644),
    "dirty_wrong_instrument_EURUSD": Real("Yahoo", 1433, "D1", "2011-01-03 00:00", 43.459999),
    "dirty_zero_rows_1970_EURUSD60": Real(
        "MetaTrader 4 rows under a header", 2667, "H1", "2020-07-20 16:00", 1.21746, dropped=3332,
        refused="3,332 rows with zero or negative prices: line 2: 1970.01.01 00:00, open 0.000000,"),
    "dukascopy_gmt_EURUSD_D1": Real(
        "Dukascopy", 939, "D1", "2017-12-15 00:00", 1.21543, "UTC", dropped=158),
    "dukascopy_local_time_EURUSD_H1": Real(
        "Dukascopy", 120, "H1", "2021-10-10 21:00", 1.15983, "UTC", dropped=24),
    "histdata_ascii_EURUSD_M1": Real(
        "HistData ASCII", 5000, "M1", "2018-01-01 17:00", 1.20469, "Etc/GMT+5", volume=False),
    "histdata_mt_EURUSD_M1": Real(
        "HistData MetaTrader", 5000, "M1", "2020-06-01 00:00", 1.13226, "Etc/GMT+5", volume=False),
    "iso_utc_no_volume_EURUSD_H1": Real(
        "TradingView or a broker's API", 2999, "H1", "2017-12-29 21:00", 1.16968, "UTC", volume=False),
    "mt4_history_EURUSD60": Real("MetaTrader 4 history", 2451, "H1", "2017-02-01 21:00", 1.11923),
    "mt4_with_header_EURUSD60": Real(
        "MetaTrader 4 rows under a header", 2999, "H1", "2010-10-07 13:00", 1.41568),
    "mt5_export_EURUSD_H1": Real("MetaTrader 5 export", 3608, "H1", "2025-06-23 00:00", 1.17099),
    "mt5_utf16_noheader_XAUUSD_D1": Real(
        "MetaTrader 5 rows without a header", 996, "D1", "2021-03-22 00:00", 3319.17),
    "pandas_index_EURUSD_H1": Real("pandas", 5000, "H1", "2017-04-19 09:00", 1.22904),
    "tradingview_extra_columns_XAUUSD_M5": Real(
        "TradingView or a broker's API", 300, "M5", "2024-05-24 10:45", 2348.51, "UTC", volume=False),
    "tradingview_unix_time_EURUSD_D1": Real(
        "TradingView or a broker's API", 1277, "D1", "2020-04-01 21:00", 1.04009, "UTC", volume=False),
    # 97 days whose close lies up to 1.3 % outside high and low, one low of 0.18, 29 days without prices
    "yahoo_EURUSD_D1": Real(
        "Yahoo", 4612, "D1", "2003-12-01 00:00", 1.1152, volume=False, dropped=127,
        refused="97 rows with open or close outside high and low: line 104: 2004-04-21, open 1.184806,"),
    "yfinance_multiheader_EURUSD_D1": Real(
        "yfinance", 2773, "D1", "2015-01-01 00:00", 1.177024483680725, volume=False, dropped=80,
        refused="80 rows with open or close outside high and low: line 21: 2015-01-26, open 1.11408"),
}  # fmt: skip


def test_no_file_is_left_out() -> None:
    assert sorted(path.stem for path in FORMATS.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_real_file(name: str) -> None:
    path, real = FORMATS / f"{name}.csv", FILES[name]
    if real.refused:
        with pytest.raises(BarsError) as refused:
            read_bars(path)
        assert str(refused.value).startswith(f"{path}: {real.refused}")
        assert "--repair" in str(refused.value).splitlines()[1]
    bars = read_bars(path, repair="all" if real.refused else False)
    known = describe(bars)
    assert (bars.format, len(bars), timeframe_name(bars.timeframe)) == (
        real.format,
        real.bars,
        real.timeframe,
    )
    assert bars.frame["datetime"].iloc[0] == pd.Timestamp(real.first)
    assert known["last_bar"]["close"] == real.last_close
    assert bars.clock == real.clock
    assert bool(bars.frame["volume"].any()) == real.volume
    assert sum(bars.dropped.values()) == real.dropped


def test_two_tools_tell_the_same_prices_of_one_market() -> None:
    pandas_hours = read_bars(FORMATS / "pandas_index_EURUSD_H1.csv").frame
    api_hours = read_bars(FORMATS / "iso_utc_no_volume_EURUSD_H1.csv").frame
    both = pandas_hours.merge(api_hours, on="datetime", suffixes=("_one", "_other"))
    assert len(both) > 500
    for price in ("open", "high", "low", "close"):
        assert np.median(np.abs(both[f"{price}_one"] - both[f"{price}_other"])) < 2e-4
