"""The twelve features: against formulas by hand, backtrader's own indicators, and every way of running."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from modes import hours, random_hours, run, run_modes

from bt_neuro.errors import BarsError, StrategyError
from bt_neuro.plugin.features import article_features
from bt_neuro.plugin.feed import BarsFeed

NAMES = [
    "close_open", "high_open", "low_open", "volume", "hour", "weekday", "month",
    "rsi", "cci", "atr", "macd", "macd_signal",
]  # fmt: skip
WARM_UP = 34  # 26 bars of the slow average, 9 of the signal, one of them shared


class Record(bt.Strategy):
    """Reads every feature at index 0 of every bar."""

    def __init__(self) -> None:
        self.features = self.make()
        self.rows: list[list[float]] = []
        self.bars: list[int] = []

    def make(self) -> dict[str, Any]:
        return article_features(self.data)

    def next(self) -> None:
        self.rows.append([line[0] for line in self.features.values()])
        self.bars.append(len(self))

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=list(self.features), index=self.bars)


def features(bars: pd.DataFrame, **mode: Any) -> pd.DataFrame:
    return run(Record, bars, mode).table()


def by_hand(bars: pd.DataFrame) -> pd.DataFrame:
    """The same figures from their definitions, each bar from its whole past."""
    open_, high, low, close = (bars[name].to_numpy() for name in ("open", "high", "low", "close"))
    time = bars["datetime"].dt
    typical = pd.Series((high + low + close) / 3)
    change = np.diff(close)

    def wilder(moves: np.ndarray) -> np.ndarray:
        average = np.full(len(moves), np.nan)
        average[13] = moves[:14].mean()
        for i in range(14, len(moves)):
            average[i] = (13 * average[i - 1] + moves[i]) / 14
        return np.append(np.nan, average)

    up, down = wilder(np.maximum(change, 0)), wilder(np.maximum(-change, 0))
    ranges = pd.DataFrame(
        {"bar": high - low, "up": np.append(np.nan, abs(high[1:] - close[:-1])),
         "down": np.append(np.nan, abs(low[1:] - close[:-1]))}
    ).max(axis=1)  # fmt: skip
    ema = {span: pd.Series(close).ewm(span=span, adjust=False).mean() for span in (12, 26)}
    macd = ema[12] - ema[26]
    deviation = typical.rolling(14).apply(lambda window: abs(window - window.mean()).mean(), raw=True)
    columns = [
        close - open_, high - open_, low - open_, bars["volume"] / 1000,
        time.hour, (time.day_of_week + 1) % 7, time.month,
        100 - 100 / (1 + up / down), (typical - typical.rolling(14).mean()) / (0.015 * deviation),
        ranges.rolling(14).mean(), macd, macd.rolling(9).mean(),
    ]  # fmt: skip
    table = pd.DataFrame({name: np.asarray(c, float) for name, c in zip(NAMES, columns, strict=True)})
    table.index += 1
    return table.loc[WARM_UP:]


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return random_hours(600)


def test_features_are_their_formulas(bars: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(features(bars), by_hand(bars), rtol=1e-9, atol=1e-12)


@run_modes
def test_every_way_of_running_gives_the_same_bits(bars: pd.DataFrame, mode: dict[str, Any]) -> None:
    got = features(bars[:200], **mode)
    assert got.index[0] == WARM_UP
    assert got.index[-1] == 200
    assert np.array_equal(got, features(bars[:200]))


@run_modes
def test_features_use_no_later_bar(bars: pd.DataFrame, mode: dict[str, Any]) -> None:
    perturbed = bars[:120].copy()
    perturbed.loc[80:, ["open", "high", "low", "close", "volume"]] *= 1000
    assert np.array_equal(features(perturbed, **mode).loc[:80], features(bars[:80], **mode))


class Oracle(Record):
    def make(self) -> dict[str, Any]:
        close, indicator = self.data.close, bt.ind
        macd = indicator.EMA(close, period=12) - indicator.EMA(close, period=26)
        return {
            "rsi": indicator.RSI(period=14),
            "atr": indicator.ATR(period=14, movav=indicator.SMA),
            "macd": macd,
            "macd_signal": indicator.SMA(macd, period=9),
        }


def test_features_agree_with_backtrader_where_backtrader_is_metatrader(bars: pd.DataFrame) -> None:
    ours, theirs = features(bars), run(Oracle, bars, {}).table()
    assert list(ours.index) == list(theirs.index)  # the same minimum period
    np.testing.assert_allclose(ours[["rsi", "atr"]], theirs[["rsi", "atr"]], rtol=1e-9)
    # Its averages begin with a mean of 12 and 26 closes, MetaTrader's with the first; (25 / 27)^450 is 1e-15.
    macd = ["macd", "macd_signal"]
    np.testing.assert_allclose(ours.loc[450:, macd], theirs.loc[450:, macd], atol=1e-12)


FLAT = [1.1] * 60
STILL_AFTER = [1.1, 1.2, 1.15] * 10 + FLAT


@pytest.mark.parametrize(
    ("opens", "rsi", "cci"),
    [
        pytest.param(FLAT, 50.0, 0.0, id="flat"),
        pytest.param([1.1 + 1e-5 * i for i in range(60)], 100.0, None, id="only up"),
        pytest.param([1.1 - 1e-5 * i for i in range(60)], 0.0, None, id="only down"),
        pytest.param(STILL_AFTER, None, 0.0, id="flat after moving"),
        pytest.param([0.1 + 0.2] * 60, 50.0, 0.0, id="flat at a price that rounds"),
    ],
)
@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}], ids=["default", "exactbars=1"])
def test_still_and_one_sided_prices(
    opens: list[float], rsi: float | None, cci: float | None, mode: dict[str, Any]
) -> None:
    got = features(hours(opens), **mode)
    assert np.isfinite(got.to_numpy()).all()
    last = got.iloc[-1]
    assert rsi is None or last["rsi"] == rsi
    assert cci is None or last["cci"] == cci


def test_calendar_is_metatraders() -> None:
    bars = random_hours(24 * 8)
    bars["datetime"] = pd.date_range("2023-12-28", periods=len(bars), freq="h")
    got = features(bars)
    assert set(got["weekday"]) == set(range(7))
    sunday = got[bars["datetime"].dt.day_name().set_axis(bars.index + 1).loc[WARM_UP:] == "Sunday"]
    assert set(sunday["weekday"]) == {0}
    assert set(sunday["month"]) == {12}
    assert list(sunday["hour"]) == list(range(24))


class Eastern(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=-5)

    def dst(self, _: datetime | None) -> timedelta:
        return timedelta()


@pytest.mark.parametrize("zone", [None, Eastern()], ids=["as stamped", "of a zone"])
@pytest.mark.parametrize("days", [0, 1], ids=["hours", "days"])
def test_calendar_is_that_of_the_feed(days: int, zone: tzinfo | None) -> None:
    class Compare(Record):
        def next(self) -> None:
            now = self.data.opened.datetime(0)
            said = [self.features[name][0] for name in ("hour", "weekday", "month")]
            self.rows.append([said, [now.hour, now.isoweekday() % 7, now.month]])

    cerebro, data = bt.Cerebro(stdstats=False), BarsFeed(bars=random_hours(24 * 45), tz=zone)
    if days:
        cerebro.resampledata(data, timeframe=bt.TimeFrame.Days)
    else:
        cerebro.adddata(data)
    cerebro.addstrategy(Compare)
    (ran,) = cerebro.run()
    assert len(ran.rows) > 5
    assert all(said == expected for said, expected in ran.rows)


def test_a_strategy_adds_lines_of_its_own(bars: pd.DataFrame) -> None:
    class Mine(Record):
        def make(self) -> dict[str, Any]:
            return {**super().make(), "slope": bt.ind.ROC(period=20), "calm": 1.0 - self.rsi_of()}

        def rsi_of(self) -> Any:
            return article_features(self.data)["rsi"] / 100.0

    got = run(Mine, bars[:100], {"exactbars": 1}).table()
    assert list(got) == [*NAMES, "slope", "calm"]
    close = bars["close"].set_axis(bars.index + 1)
    np.testing.assert_allclose(got["slope"], (close / close.shift(20) - 1).loc[WARM_UP:100], atol=1e-12)
    np.testing.assert_allclose(got["calm"], 1 - got["rsi"] / 100)


def test_memory_does_not_grow_with_the_bars(bars: pd.DataFrame) -> None:
    strategy = run(Record, bars, {"exactbars": 1})
    held = [len(line.array) for line in (*strategy.features.values(), *strategy.data.lines)]
    assert max(held) <= WARM_UP


def test_replayed_data_are_refused() -> None:
    cerebro = bt.Cerebro()
    with pytest.raises(BarsError, match="resampledata"):
        cerebro.replaydata(BarsFeed(bars=random_hours(50)), timeframe=bt.TimeFrame.Days)
    frame = random_hours(50).set_index("datetime")
    cerebro.replaydata(bt.feeds.PandasData(dataname=frame), timeframe=bt.TimeFrame.Weeks)
    cerebro.addstrategy(Record)
    with pytest.raises(StrategyError, match="resampledata"):
        cerebro.run()
