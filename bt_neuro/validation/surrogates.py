"""Surrogate markets: the bars of a file with their direction or their order drawn at random."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.numbers import point_digits
from bt_neuro.bars.reader import Bars
from bt_neuro.errors import NeuroError, did_you_mean

Array = NDArray[np.floating]

KINDS = ("sign", "hour", "bars")


class _Moves(NamedTuple):
    """Logarithms of each bar's prices, relative to others: (n,) each."""

    gap: Array  # open to the close before; 0 of the first bar
    up: Array  # high to open
    down: Array  # low to open
    body: Array  # close to open


def surrogate(
    bars: Bars,
    kind: str,
    number: int,
    *,
    seed: int = 0,
    coin_times: NDArray[np.datetime64] | None = None,
) -> Bars:
    """Return the bars of a surrogate market.

    Parameters
    ----------
    bars : the market
    kind : "sign", "hour" or "bars"; see Notes
    number : of the surrogate, from 1 on
    seed : of all surrogates; equal seeds, kinds and numbers give equal bars
    coin_times : ascending times, those of the bars among them, of each of which "sign" tosses one coin; the bars'
        own by default. Markets that share them are mirrored together, and stay correlated

    Returns
    -------
    Bars
        Times, spreads and first open are those of the market. Prices are multiples of the file's point, and
        low <= open, close <= high.

    Notes
    -----
    Moves are ratios of prices, so prices stay positive. Rounding errors do not accumulate.

    ===== ============================================ =====================================================
    kind  keeps                                        destroys
    ===== ============================================ =====================================================
    sign  size, volume and order of all bars: ranges,  direction, trends and drift: each bar is mirrored with
          sessions, volatility                         its gap by a coin
    hour  each hour's bars, with their gaps, volumes   the order of weeks: dependence on the bars before,
          and mean direction; the last close           volatility
    bars  all bars, all gaps, the last close           the order of both, apart from each other: also
                                                       sessions, and the hours of gaps
    ===== ============================================ =====================================================

    "hour" permutes bars of the same hour of the same weekday. "bars" is the permutation of T. Masters,
    Permutation and Randomization Tests for Trading System Development, 2020. Both keep the first bar.

    Examples
    --------
    >>> from bt_neuro.bars.reader import read_bars
    >>> bars = read_bars("data/SYNTHETIC_EURUSD_H1.csv")
    >>> bars.frame[["open", "high", "low", "close"]].iloc[0].tolist()
    [1.10007, 1.10012, 1.09962, 1.09983]
    >>> surrogate(bars, "sign", 1).frame[["open", "high", "low", "close"]].iloc[0].tolist()
    [1.10007, 1.10052, 1.10002, 1.10031]
    """
    require_kind(kind)
    frame = bars.frame
    rng = np.random.default_rng([seed, number, KINDS.index(kind)])
    moves, volume = _moves(frame), frame["volume"].to_numpy()
    if kind == "sign":
        own = frame["datetime"].to_numpy("datetime64[us]")
        times = own if coin_times is None else coin_times
        coins = rng.integers(0, 2, len(times))
        moves = _mirrored(moves, coins[np.searchsorted(times, own)] == 1)
    else:
        order, gaps = _orders(frame["datetime"], kind, rng)
        moves = _Moves(moves.gap[gaps], moves.up[order], moves.down[order], moves.body[order])
        volume = volume[order]
    prices = _prices(moves, float(frame["open"].iloc[0]), bars.point)
    note = f"Surrogate {number}: {kind}, seed {seed}."
    return replace(bars, frame=frame.assign(**prices, volume=volume), notes=(*bars.notes, note))


def _moves(frame: pd.DataFrame) -> _Moves:
    opened, high, low, close = np.log(frame[["open", "high", "low", "close"]].to_numpy(dtype=float)).T
    gap = np.zeros(len(frame))
    gap[1:] = opened[1:] - close[:-1]
    return _Moves(gap, high - opened, low - opened, close - opened)


def _mirrored(moves: _Moves, down: NDArray[np.bool_]) -> _Moves:
    return _Moves(
        np.where(down, -moves.gap, moves.gap),
        np.where(down, -moves.down, moves.up),
        np.where(down, -moves.up, moves.down),
        np.where(down, -moves.body, moves.body),
    )


def require_kind(kind: str) -> None:
    if kind not in KINDS:
        raise NeuroError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.{did_you_mean(kind, KINDS)}")


def _orders(
    times: pd.Series, kind: str, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which bar comes at each place, and whose gap: permutations that keep the first."""
    order = np.arange(len(times))
    if kind == "bars":
        return _shuffled(order, order[1:], rng), _shuffled(order, order[1:], rng)
    hours = (times.dt.day_of_week * 24 + times.dt.hour).to_numpy()
    for hour in range(7 * 24):
        order = _shuffled(order, 1 + np.flatnonzero(hours[1:] == hour), rng)
    return order, order


def _shuffled(
    order: NDArray[np.intp], places: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    shuffled = order.copy()
    shuffled[places] = rng.permutation(order[places])
    return shuffled


def _prices(moves: _Moves, first_open: float, point: float) -> dict[str, Array]:
    ends = np.log(first_open) + np.cumsum(moves.gap + moves.body)
    opened = ends - moves.body
    # Each price of a bar from its open alone: equal prices stay equal, and none changes places in rounding.
    logs = {
        "open": opened,
        "high": opened + moves.up,
        "low": opened + moves.down,
        "close": opened + moves.body,
    }
    digits = point_digits(point)
    steps = {name: np.maximum(np.round(np.exp(log) / point), 1) for name, log in logs.items()}
    return {name: np.round(number * point, digits) for name, number in steps.items()}
