"""Costs of an account on given bars: spread by year, share of bars without a spread, a round trip."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bt_neuro.account.account import Account


def costs_used(account: Account, bars: pd.DataFrame, point: float) -> dict[str, Any]:
    """Return the costs that an account pays on some bars.

    Parameters
    ----------
    account : commission, spread and slippage
    bars : as `read_bars` returns them, with a column ``spread`` where the file has one
    point : price of one point

    Returns
    -------
    dict
        ``spread_source`` ("option", "file" or "none: 0"), ``mean_spread_points``, ``spread_points_by_year``,
        ``zero_spread_pct`` (share of bars whose spread is 0), ``round_trip_cost_pct`` (of the value: spread,
        slippage in points and commission of a position as large as the cash, at the mean close)

    Examples
    --------
    >>> bars = pd.DataFrame({"datetime": pd.to_datetime(["2024-01-01", "2025-01-01"]), "close": 1.0})
    >>> found = costs_used(Account(commission=1e-4), bars.assign(spread=[0.0, 10.0]), 1e-5)
    >>> found["spread_points_by_year"], found["zero_spread_pct"], round(found["round_trip_cost_pct"], 6)
    ({'2024': 0.0, '2025': 10.0}, 50.0, 0.025)
    """
    if account.spread is not None:
        source, spread = "option", pd.Series(account.spread, bars.index)
    elif "spread" in bars:
        source, spread = "file", bars["spread"]
    else:
        source, spread = "none: 0", pd.Series(0.0, bars.index)
    price, info = float(bars["close"].mean()), account.instrument(point)
    size = account.cash / (price * account.multiplier)
    commission = info.commission_of(size, price) / account.cash
    fee = max(commission, account.commission_minimum / account.cash)
    if account.commission_cap is not None:
        fee = min(fee, account.commission_cap)
    by_year = spread.groupby(bars["datetime"].dt.year).mean()
    return {
        "spread_source": source,
        "mean_spread_points": float(spread.mean()),
        "spread_points_by_year": {str(year): float(points) for year, points in by_year.items()},
        "zero_spread_pct": 100 * float((spread == 0).mean()),
        "round_trip_cost_pct": 100
        * (2 * fee + (float(spread.mean()) + 2 * account.slippage) * point / price),
    }
