"""Future bars, hidden from a strategy's `next` or replaced by perturbed ones."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.plugin.learned_feed import feeds_of

Floats = NDArray[np.float64]

EXAGGERATION = 100.0  # a thousandth up becomes a tenth down
LARGEST_MOVE = np.log(1000.0)  # of a perturbed price from the last true close


class FutureMask:
    """Other values in all lines beyond the present bar of their feed, at every bar.

    Indicators are computed from true bars before. Only values that `next` reads ahead, from a line or its
    array, change. Each step of a line is reversed and multiplied by 100; times run at twice their pace. Where
    bars are loaded one by one, as beside a live or resampled feed, the lines hold none ahead.
    """

    def __init__(self) -> None:
        self._feeds: list[tuple[Any, list[_HiddenLine]]] | None = None

    def show_bar(self, cerebro: bt.Cerebro) -> None:
        """Show the bars that have just closed; the first call hides all others."""
        if self._feeds is None:
            self._feeds = [_hidden(cerebro, data) for data in cerebro.datas] if cerebro._dopreload else []
        for data, lines in self._feeds:
            if (bars := len(data)) > 0:
                for line in lines:
                    line.shown[bars - 1] = line.true[bars - 1]


class _HiddenLine(NamedTuple):
    shown: array[float]
    true: array[float]


def _hidden(cerebro: bt.Cerebro, data: Any) -> tuple[Any, list[_HiddenLine]]:
    lines = [
        _HiddenLine(line, _hide(line, alias in ("datetime", "opened"), begun=len(data) > 0))
        for line, alias in _filled_lines(cerebro, data)
    ]
    # Cerebro reads the true time of the next bar, for timers and to pick the feed that comes next.
    times = next(line.true for line in lines if line.shown is data.lines.datetime.array)
    data.advance_peek = lambda: times[len(data)] if len(data) < len(times) else float("inf")
    return data, lines


def _hide(line: array[float], is_time: bool, begun: bool) -> array[float]:
    kept, true = line[:], np.array(line)
    if is_time:
        hidden = 2 * true - true[0] + 1.0  # ascending, and later than every true time before it
    else:
        steps = np.diff(true, prepend=true[0])
        hidden = np.roll(true, 1) - EXAGGERATION * np.where(steps == 0, 1.0, steps)
    line[begun:] = array("d", hidden[begun:])
    return kept


def _filled_lines(cerebro: bt.Cerebro, data: Any) -> Iterator[tuple[array[float], str]]:
    """Yield the array and name of each line that holds values for all bars of a feed."""
    indicators = [
        indicator
        for strategy in cerebro.runningstrats
        for indicator in indicators_of(strategy)
        if any(feed is data for feed in feeds_of(indicator, cerebro.datas)[:1])  # == compares prices
    ]
    lines = {
        id(line.array): (line.array, alias)
        for owner in (data, *indicators)
        for line, alias in lines_of(owner)
    }
    bars = data.buflen()
    yield from ((values, alias) for values, alias in lines.values() if len(values) == bars)


def indicators_of(owner: Any) -> Iterator[Any]:
    """Yield all indicators and operations on lines of an owner, and theirs."""
    for indicator in getattr(owner, "_lineiterators", {}).get(bt.LineIterator.IndType, ()):
        yield indicator
        yield from indicators_of(indicator)


def lines_of(owner: Any) -> Iterator[tuple[Any, str]]:
    """Yield lines and their names; an operation on lines is one line without a name."""
    if isinstance(owner, bt.LineSeries):
        for index, alias in enumerate(owner.lines.getlinealiases()):
            yield owner.lines[index], alias
    else:
        yield owner, ""


def perturbed(frame: pd.DataFrame, cut: int) -> pd.DataFrame:
    """Return the first `cut` bars, followed by at most as many perturbed ones.

    Each later price is mirrored in the last true close and moved up to a hundred times as far. The first
    perturbed close always lies on the other side. Larger volumes and spreads become smaller, smaller ones
    larger, and times run at half their pace. The bars stay valid, so indicators compute without errors.

    Examples
    --------
    >>> hours = pd.date_range("2024-01-01", periods=4, freq="h")
    >>> bars = pd.DataFrame({"datetime": hours, "open": [1.10, 1.10, 1.11, 1.12], "high": 1.13, "low": 1.09,
    ...                      "close": [1.10, 1.11, 1.12, 1.10], "volume": 900})
    >>> perturbed(bars, 2)[["high", "low", "close"]].round(3)
        high    low  close
    0  1.130  1.090  1.100
    1  1.130  1.090  1.110
    2  2.341  0.134  0.251
    3  2.341  0.134  1.235
    """
    past, future = frame[:cut], frame[cut : 2 * cut]
    last, first = past.iloc[-1], future.iloc[0]
    other_side = 0.5 if first["close"] >= last["close"] else 2.0
    # The mirror turns the highest price into the lowest.
    mirrored = {"open": "open", "high": "low", "low": "high", "close": "close"}
    changed = {
        name: other_side * _mirrored(future[source].to_numpy(float), float(last["close"]))
        for name, source in mirrored.items()
    }
    for name in ("volume", "spread"):
        if name in frame:
            true, before = future[name].to_numpy(float), float(last[name])
            changed[name] = np.where(true > before, before / 10.0, 10.0 * before + 1000.0)
    times = last["datetime"] + 2 * (future["datetime"] - last["datetime"])
    return pd.concat([past, pd.DataFrame({"datetime": times, **changed})], ignore_index=True)


def _mirrored(prices: Floats, centre: float) -> Floats:
    move = EXAGGERATION * np.log(prices / centre)
    # Not clipped: equal highs and lows would make some indicators divide by 0.
    return np.asarray(centre * np.exp(-move / (1.0 + np.abs(move) / LARGEST_MOVE)))
