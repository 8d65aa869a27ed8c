"""Skill in direction: an account's positions against the market's returns."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.metrics.bootstrap import Interval, block_bootstrap

Array = NDArray[np.floating]
Figures = dict[str, Any]

MINIMUM_DAYS = 30  # of returns; below this no verdict is given
MINIMUM_TRADES = 30  # closed ones; likewise
SIGNIFICANT = 0.95  # of the probabilistic Sharpe ratio; 1 less it, of the rotation test
PROFIT, NO_SKILL = "the profit is more than luck", "no skill in money"


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


def held_positions(equity: pd.DataFrame, bars: pd.DataFrame, cash: float, first_bar: int) -> Held:
    """Return what an account held while it could trade, up to the bar where its equity was gone.

    Parameters
    ----------
    equity : as in ``equity.csv``
    bars : as `read_bars` returns them; row = number of the bar
    cash : at the start
    first_bar : the first bar with a prediction

    Notes
    -----
    Orders execute at opens, and a position is counted from the open of the bar at whose close it was there.
    An order that executes within a bar is counted from its open too. Across missing bars, as between the
    folds of a walk-forward, nothing is held.
    """
    values = equity["equity"].to_numpy(dtype=float)
    gone = np.flatnonzero(values <= 0)
    rows = slice(0, gone[0] + 1 if len(gone) else len(values))
    bar, position = equity["bar"].to_numpy()[rows], equity["position"].to_numpy(dtype=float)[rows]
    opens, closes = (bars[name].to_numpy(dtype=float) for name in ("open", "close"))
    before = np.concatenate([[cash], values[rows][:-1]])
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
    """Return how probable the account's gross return is if its positions are shifted in time, and n shifts.

    Parameters
    ----------
    exposure, market : (n,), as in `Held`

    Returns
    -------
    p_value : (1 + shifts at least as good) / (n shifts + 1), of all n - 1 circular shifts against the market;
        None below two bars
    shifts : their number

    Notes
    -----
    A shift keeps the positions, their order and their lengths, and all of the market; only what one has to do
    with the other is lost. An account that is always short therefore does as well at all shifts, in a falling
    market too: p = 1. All shifts come from one Fourier transform. Shifts by less than a holding time are much
    like none, which makes p a little larger than it need be.

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


def direction_figures(held: Held, daily: Array, days_a_year: float) -> Figures:
    """Return the account beside always long and always short at its own mean exposure, and its rotation test.

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
    excess = block_bootstrap(np.stack([daily - passive[best], np.ones(len(daily))], axis=1), _mean)
    p_value, rotations = rotation_test(held.exposure, held.market)
    a_year = 100 * days_a_year
    return {
        "mean_exposure_pct": 100 * share,
        "always_long_return_pct": _compounded(passive["long"]),
        "always_short_return_pct": _compounded(passive["short"]),
        "passive": best,
        "excess_a_year_pct": a_year * excess.value if excess else None,
        "excess_a_year_low_pct": a_year * excess.low if excess else None,
        "excess_a_year_high_pct": a_year * excess.high if excess else None,
        "rotation_p_value": p_value,
        "rotations": rotations,
        "turnover_a_year": float(held.traded.sum()) / len(daily) * days_a_year if len(daily) else None,
    }


def _daily_market(held: Held, days: int) -> Array:
    growth = np.zeros(days)
    np.add.at(growth, held.days, np.log1p(held.market_close))
    return np.expm1(growth)


def _compounded(returns: Array) -> float:
    return 100 * (float(np.prod(np.maximum(1 + returns, 0))) - 1)


def _mean(sums: Array) -> Array:
    mean: Array = sums[..., 0] / sums[..., 1]
    return mean


def trade_costs(trades: pd.DataFrame, point: float) -> Figures:
    """Return ``break_even_cost_points`` and ``cost_points``: of a round trip of one unit, in points.

    The first is the cost at which the closed trades would have made nothing; None without trades.
    """
    units = float(trades["size"].sum())
    names = {"break_even_cost_points": "gross", "cost_points": "costs"}
    return {
        name: float(trades[column].sum()) / units / point if units else None for name, column in names.items()
    }


def sides(trades: pd.DataFrame) -> Figures:
    """Return number, win rate, profit before and after costs of ``long`` and of ``short`` trades."""
    figures: Figures = {}
    for side in ("long", "short"):
        rows = trades[trades["side"] == side]
        figures[side] = {
            "trades": len(rows),
            "win_rate_pct": 100 * float((rows["net"] > 0).mean()) if len(rows) else None,
            "profit_before_costs": float(rows["gross"].sum()),
            "profit_after_costs": float(rows["net"].sum()),
        }
    return figures


def money_verdict(
    *,
    days: int,
    trades: int,
    probability: float | None,
    mean: Interval | None,
    excess_low: float | None,
    passive: str,
    rotation_p_value: float | None,
) -> str:
    """Return in plain words whether the net return is skill.

    All must agree: the probabilistic Sharpe ratio, which accounts for skew and fat tails; the bootstrap of
    the mean, which accounts for days that are alike; the excess over the better of always long and always
    short at the same mean exposure; and the rotation test.

    Parameters
    ----------
    days, trades : numbers of daily returns and of closed trades
    probability : that the true Sharpe ratio is above 0
    mean : daily return
    excess_low : lower bound of the mean return less that of the better passive side
    passive : "long" or "short", that side
    rotation_p_value : of `rotation_test`

    Examples
    --------
    >>> good = dict(days=900, trades=80, probability=0.99, mean=Interval(0.01, 0.001, 0.02), passive="short",
    ...             excess_low=0.001, rotation_p_value=0.01)
    >>> money_verdict(**good)
    'the profit is more than luck'
    >>> money_verdict(**good | {"excess_low": -0.001})
    'no skill in money: the profit is not clearly above that of always short at the same exposure'
    >>> money_verdict(**good | {"rotation_p_value": 0.4})
    'no skill in money: the same positions at other times did as well (p = 0.40)'
    >>> money_verdict(**good | {"probability": 0.8})
    'no skill in money'
    >>> money_verdict(**good | {"trades": 12})
    'too few trades to judge the money: 12 of 30'
    """
    if days < MINIMUM_DAYS:
        return f"too few days to judge the money: {days} of {MINIMUM_DAYS}"
    if trades < MINIMUM_TRADES:
        return f"too few trades to judge the money: {trades} of {MINIMUM_TRADES}"
    if probability is None or mean is None or excess_low is None or rotation_p_value is None:
        return NO_SKILL
    if mean.high < 0 and probability < 1 - SIGNIFICANT:
        return f"{NO_SKILL}: the loss is more than bad luck"
    if mean.low <= 0 or probability <= SIGNIFICANT:
        return NO_SKILL
    if excess_low <= 0:
        return f"{NO_SKILL}: the profit is not clearly above that of always {passive} at the same exposure"
    if rotation_p_value > 1 - SIGNIFICANT:
        return f"{NO_SKILL}: the same positions at other times did as well (p = {rotation_p_value:.2f})"
    return PROFIT
