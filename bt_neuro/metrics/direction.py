"""Skill in direction: positions of an account against returns of its market."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.metrics.bootstrap import block_bootstrap, interval_metrics
from bt_neuro.metrics.classification import Metrics

Array = NDArray[np.floating]


class Held(NamedTuple):
    """Positions of an account and returns of its market, (n,) each, from the first predicted bar on.

    Attributes
    ----------
    exposure : value of the position at the bar's open, over the equity at the close before; negative if short
    market : return of the price from the bar's open to the next open, over which the position is held
    market_close : return of the price from the close before to the bar's close
    traded : value bought or sold at the bar's open, over the equity at the close before
    days : number of the bar's date, as `daily_returns` counts them
    """

    exposure: Array
    market: Array
    market_close: Array
    traded: Array
    days: NDArray[np.intp]

    @property
    def mean_exposure(self) -> float:
        """Mean size of the exposure, long or short; 0 on bars without a position."""
        return float(np.abs(self.exposure).mean()) if len(self.exposure) else 0.0


def held_positions(equity: pd.DataFrame, bars: pd.DataFrame, account: Account, first_bar: int) -> Held:
    """Return the positions of an account while it could trade, up to the bar of its ruin.

    Parameters
    ----------
    equity : as in ``equity.csv``
    bars : as `read_bars` returns them; row = number of the bar
    account : cash at the start, and money of a unit
    first_bar : the first bar with a prediction

    Notes
    -----
    A position at the close of a bar counts from its open, where orders execute. Orders that execute within a
    bar count from its open too. Nothing is held across missing bars, as between folds.
    """
    values = equity["equity"].to_numpy(dtype=float)
    gone = np.flatnonzero(values <= 0)
    rows = slice(0, gone[0] + 1 if len(gone) else len(values))
    bar = equity["bar"].to_numpy()[rows]
    position = equity["position"].to_numpy(dtype=float)[rows] * account.multiplier
    opens, closes = (bars[name].to_numpy(dtype=float) for name in ("open", "close"))
    before = np.concatenate([[account.cash], values[rows][:-1]])
    follows = np.concatenate([[False], np.diff(bar) == 1])
    leads = np.append(follows[1:], False)
    ends = np.where(leads, opens[np.minimum(bar + 1, len(opens) - 1)], closes[bar])
    starts = np.where(follows, closes[np.maximum(bar - 1, 0)], opens[bar])
    days = equity["datetime"].iloc[rows].dt.normalize()
    could = bar >= first_bar
    return Held(
        exposure=(position * opens[bar] / before)[could],
        market=(ends / opens[bar] - 1)[could],
        market_close=(closes[bar] / starts - 1)[could],
        traded=(np.abs(np.diff(position, prepend=0.0)) * opens[bar] / before)[could],
        days=np.unique(days, return_inverse=True)[1][could],
    )


def rotation_test(exposure: Array, market: Array) -> tuple[float | None, int]:
    """Return the p-value of the gross return among circular shifts of the positions, and their number.

    Parameters
    ----------
    exposure, market : (n,), as in `Held`

    Returns
    -------
    p_value : (1 + shifts at least as good) / (n shifts + 1), of all n - 1 shifts; None below two bars
    shifts : number of shifts

    Notes
    -----
    A shift keeps positions and market and destroys their relation. An account that is always short does as
    well at all shifts, in a falling market too: p = 1. All shifts come from one Fourier transform. Shifts
    shorter than a holding time change little, which makes p somewhat too large.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> market = rng.normal(0, 0.001, 2_000)
    >>> rotation_test(np.sign(market), market)
    (0.0005, 1999)
    >>> rotation_test(np.full(2_000, -1.0), market - 0.001)
    (1.0, 1999)
    """
    n = len(exposure)
    if n < 2:
        return None, 0
    sums = np.fft.irfft(np.fft.rfft(exposure).conj() * np.fft.rfft(market), n)
    # Equal sums differ by rounding.
    rounding = 1e-9 * math.sqrt(float((exposure**2).sum() * (market**2).sum()))
    return (1 + int((sums[1:] >= sums[0] - rounding).sum())) / n, n - 1


def direction_metrics(held: Held, daily: Array, days_a_year: float) -> Metrics:
    """Return the account's excess over passive exposure, and its rotation test.

    Parameters
    ----------
    held : of `held_positions`
    daily : the account's returns from day to day, of `daily_returns`
    days_a_year : to annualise

    Returns
    -------
    dict
        - ``mean_exposure_pct``
        - ``always_long_return_pct``, ``always_short_return_pct``: that exposure held each day, without costs
        - ``passive``: "long" or "short", the better of them
        - ``excess_a_year_pct``, ``_low``, ``_high``: mean daily return less that of the better one,
          annualised, with the interval of a block bootstrap of the days
        - ``rotation_p_value``, ``rotations``: of `rotation_test`
        - ``turnover_a_year``: value traded over equity
    """
    share = held.mean_exposure
    market = _daily_market(held, len(daily))
    passive = {"long": share * market, "short": -share * market}
    best = max(passive, key=lambda side: float(passive[side].sum()))
    excess = block_bootstrap(np.stack([daily - passive[best], np.ones(len(daily))], axis=1))
    p_value, rotations = rotation_test(held.exposure, held.market)
    return {
        "mean_exposure_pct": 100 * share,
        "always_long_return_pct": _compounded(passive["long"]),
        "always_short_return_pct": _compounded(passive["short"]),
        "passive": best,
        **interval_metrics("excess_a_year", excess, "_pct", 100 * days_a_year),
        "rotation_p_value": p_value,
        "rotations": rotations,
        "turnover_a_year": float(held.traded.sum()) / len(daily) * days_a_year if len(daily) else None,
    }


def _daily_market(held: Held, days: int) -> Array:
    growth = np.ones(days)
    np.multiply.at(growth, held.days, 1 + held.market_close)
    return growth - 1


def _compounded(returns: Array) -> float:
    return 100 * (float(np.prod(np.maximum(1 + returns, 0))) - 1)


def trade_costs(trades: pd.DataFrame, account: Account, point: float) -> Metrics:
    """Return ``break_even_cost_points`` and ``cost_points`` of a round trip of one unit; None without trades.

    Costs are those of trades: spread, commission and swap. Slippage lies in the prices of the fills.
    """
    units = float(trades["size"].sum()) * account.multiplier
    names = {"break_even_cost_points": "gross", "cost_points": "costs"}
    return {
        name: float(trades[column].sum()) / units / point if units else None for name, column in names.items()
    }


def long_short_metrics(trades: pd.DataFrame) -> Metrics:
    """Return the closed trades of each side: number, win rate, profit before and after costs.

    Keys start with ``long_`` and ``short_``.
    """
    metrics: Metrics = {}
    for side in ("long", "short"):
        rows = trades[trades["side"] == side]
        metrics |= {
            f"{side}_trades": len(rows),
            f"{side}_win_rate_pct": 100 * float((rows["net"] > 0).mean()) if len(rows) else None,
            f"{side}_profit_before_costs": float(rows["gross"].sum()),
            f"{side}_profit_after_costs": float(rows["net"].sum()),
        }
    return metrics
