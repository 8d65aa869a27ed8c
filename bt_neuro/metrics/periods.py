"""Parts of an account's life: returns by month and year, the deepest drawdowns, the Sharpe ratio over time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bt_neuro.metrics.trading import growth

DAYS_A_YEAR = 365.25


def period_returns(equity: pd.DataFrame, cash: float, unit: str) -> pd.Series:
    """Return the growth in percent within each period, by its `pandas.Period`.

    Parameters
    ----------
    equity : as in ``equity.csv``
    cash : before the first bar
    unit : "M" for months, "Y" for years

    Examples
    --------
    >>> times = pd.to_datetime(["2023-12-30", "2023-12-31", "2024-01-02"])
    >>> frame = pd.DataFrame({"datetime": times, "equity": [100.0, 110.0, 99.0]})
    >>> period_returns(frame, 100, "Y").round(1).tolist()
    [10.0, -10.0]
    """
    values = pd.Series(growth(equity, cash), pd.DatetimeIndex(equity["datetime"]))
    ends = values.groupby(values.index.to_period(unit)).last()
    return 100 * (ends / ends.shift(fill_value=1.0) - 1)


def worst_drawdowns(equity: pd.DataFrame, cash: float, most: int = 5) -> pd.DataFrame:
    """Return the deepest falls from one peak to the next, the deepest first.

    Parameters
    ----------
    equity, cash : as in `period_returns`
    most : number of rows

    Returns
    -------
    DataFrame
        ``depth_pct``, ``peak``, ``trough``, ``recovered`` (NaT while it lasts), ``days`` from the peak to the
        recovery or the last bar.

    Examples
    --------
    >>> times = pd.date_range("2024-01-01", periods=5)
    >>> frame = pd.DataFrame({"datetime": times, "equity": [100.0, 90.0, 100.0, 120.0, 60.0]})
    >>> worst_drawdowns(frame, 100)[["depth_pct", "days"]].round(1).values.tolist()
    [[50.0, 1.0], [10.0, 2.0]]
    """
    values, times = growth(equity, cash), equity["datetime"].to_numpy()
    rows = []
    peaks = np.maximum.accumulate(np.maximum(values, 1.0))  # the starting money is a peak too
    below = np.flatnonzero(values < peaks)
    for part in np.split(below, np.flatnonzero(np.diff(below) > 1) + 1) if len(below) else []:
        trough, after = part[values[part].argmin()], part[-1] + 1
        has_recovered = after < len(values)
        end = times[after] if has_recovered else times[-1]
        peak = times[part[0] - 1] if part[0] else times[0]
        rows.append(
            {
                "depth_pct": 100 * (1 - values[trough] / peaks[trough]),
                "peak": peak,
                "trough": times[trough],
                "recovered": end if has_recovered else pd.NaT,
                "days": (end - peak) / np.timedelta64(1, "D"),
            }
        )
    columns = ["depth_pct", "peak", "trough", "recovered", "days"]
    deepest = sorted(rows, key=lambda row: row["depth_pct"], reverse=True)[:most]
    return pd.DataFrame(deepest, columns=columns)


def rolling_sharpe(equity: pd.DataFrame, cash: float, days: int) -> pd.Series:
    """Return the annualised Sharpe ratio of the last `days` daily returns, by date; NaN without variation.

    Dates without bars have no return.
    """
    values = pd.Series(growth(equity, cash), pd.DatetimeIndex(equity["datetime"]))
    daily = values.groupby(values.index.normalize()).last()
    returns = (daily / daily.shift(fill_value=1.0) - 1)[daily.shift(fill_value=1.0) > 0]
    span = (returns.index[-1] - returns.index[0]).days if len(returns) > 1 else 0
    a_year = len(returns) / span * DAYS_A_YEAR if span else 0.0
    deviation = returns.rolling(days).std()
    ratio = returns.rolling(days).mean() / deviation.where(deviation > 1e-12)
    return math.sqrt(a_year) * ratio
