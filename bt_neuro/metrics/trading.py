"""Account metrics: returns before and after costs, drawdown, ratios, significance and trades."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bt_neuro.account.account import Account
from bt_neuro.metrics.bootstrap import block_bootstrap, interval_metrics
from bt_neuro.metrics.classification import Metrics, percent
from bt_neuro.metrics.direction import direction_metrics, held_positions, long_short_metrics, trade_costs
from bt_neuro.metrics.sharpe import probabilistic_sharpe_ratio, sharpe_ratio
from bt_neuro.metrics.verdict import MINIMUM_DAYS, NO_SKILL, money_verdict

Array = NDArray[np.floating]
YEAR_S = 365.25 * 86_400
ANNUALISED = (
    *("sharpe_ratio_daily_annualised", "sortino_ratio_daily_annualised", "calmar_ratio_whole_run"),
    *("annual_return_pct", "turnover_a_year"),
    *(
        f"{name}{end}_pct"
        for name in ("mean_return_a_year", "excess_a_year")
        for end in ("", "_low", "_high")
    ),
)
DRAWDOWN = tuple(f"max_drawdown_{name}" for name in ("pct", "peak", "trough", "recovered"))
RATIOS = (*ANNUALISED, "probabilistic_sharpe_ratio_pct", "rotation_p_value")  # mean nothing after ruin


def money_metrics(
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    bars: pd.DataFrame,
    account: Account,
    point: float,
    first_bar: int | None,
) -> Metrics:
    """Return every metric of the account; undefined ones are None.

    Parameters
    ----------
    equity, trades : as in ``equity.csv`` and ``trades.csv``
    bars : as `read_bars` returns them, for the spread column
    account : cash and costs
    point : price of one point of spread
    first_bar : the first bar that had a prediction, where buy and hold begins too

    Returns
    -------
    dict
        Keys end in units: ``_pct``, ``_bars``, and the period and scale of each ratio. Money is in units of
        the account.
    """
    start, end = account.cash, float(equity["equity"].iloc[-1]) if len(equity) else account.cash
    years = years_of(equity)
    if start <= 0:  # a fold after ruin
        equity, trades = equity[:0], trades[:0]
    multiple, free = ((growth(equity, start, costs=c)[-1] if len(equity) else 1.0) for c in (True, False))
    daily = daily_returns(equity, start)
    days_a_year = len(daily) / years if years else 0.0
    fall, lost = max_drawdown(equity, start), lost_at(equity)
    yearly = 100 * (multiple ** (1 / years) - 1) if len(daily) >= MINIMUM_DAYS and multiple > 0 else None
    held = held_positions(equity, bars, account, len(bars) if first_bar is None else first_bar)
    direction = direction_metrics(held, daily, days_a_year)
    metrics = {
        "equity_start": start,
        "equity_end": end,
        "deposits": float(equity["deposits"].sum()) if "deposits" in equity else 0.0,
        "return_pct": 100 * (float(multiple) - 1),
        "return_before_costs_pct": 100 * (float(free) - 1),
        "annual_return_pct": yearly,
        **buy_and_hold(equity, bars, account, point, first_bar),
        "exposure_pct": 100 * float((equity["position"] != 0).mean()) if len(equity) else None,
        **fall,
        "has_costs": has_costs(bars, account, trades),
        "zero_spread_pct": zero_spread(bars, account),
        "lost_at": lost,
        "sharpe_ratio_daily_annualised": sharpe_ratio(daily, days_a_year),
        "sortino_ratio_daily_annualised": sortino_ratio(daily, days_a_year),
        "calmar_ratio_whole_run": (
            yearly / fall["max_drawdown_pct"] if yearly is not None and fall["max_drawdown_pct"] else None
        ),
        **direction,
        **significance(daily, days_a_year, len(trades), direction),
        "open_trades": int(equity["position"].iloc[-1] != 0) if len(equity) else 0,
        **trade_metrics(trades),
        **trade_costs(trades, account, point),
        **long_short_metrics(trades),
    }
    if len(daily) < MINIMUM_DAYS:  # too few to annualise: a huge number
        metrics |= dict.fromkeys(ANNUALISED)
    if lost is not None:
        metrics |= dict.fromkeys(RATIOS)
        metrics["money_verdict"] = f"{NO_SKILL}: all money was lost"
    return metrics


def growth_metrics(equity: pd.DataFrame, cash: float) -> Metrics:
    """Return the metrics of an account that follow from its growth alone, as `money_metrics` does.

    Parameters
    ----------
    equity : as in ``equity.csv``
    cash : before the first bar

    Returns
    -------
    dict
        ``return_pct``, the drawdown, ``sharpe_ratio_daily_annualised`` (None after ruin, or of too few days)
        and ``lost_at``. Of an account that starts without money all are None.
    """
    if cash <= 0:
        return dict.fromkeys(("return_pct", *DRAWDOWN, "sharpe_ratio_daily_annualised", "lost_at"))
    daily, lost = daily_returns(equity, cash), lost_at(equity)
    is_defined = lost is None and len(daily) >= MINIMUM_DAYS
    return {
        "return_pct": return_pct(equity, cash),
        **max_drawdown(equity, cash),
        "sharpe_ratio_daily_annualised": (
            sharpe_ratio(daily, len(daily) / years_of(equity)) if is_defined else None
        ),
        "lost_at": lost,
    }


def return_pct(equity: pd.DataFrame, cash: float) -> float:
    """Return the growth of the starting money over all bars, in per cent; 0 without bars."""
    return 100 * (float(growth(equity, cash)[-1]) - 1) if len(equity) else 0.0


def years_of(equity: pd.DataFrame) -> float:
    """Return the years from the first row to the last."""
    if not len(equity):
        return 0.0
    return float((equity["datetime"].iloc[-1] - equity["datetime"].iloc[0]).total_seconds() / YEAR_S)


def growth(equity: pd.DataFrame, cash: float, *, costs: bool = True) -> Array:
    """Return the growth of the starting money at each bar, without deposits.

    Parameters
    ----------
    equity : as in ``equity.csv``
    cash : before the first bar
    costs : False adds each bar's costs to its equity, as if the same fills had cost nothing

    Notes
    -----
    Returns of bars are compounded, so the return is time-weighted. After ruin it stays at the ruined value.
    """
    values = equity["equity"].to_numpy(dtype=float)
    paid = np.asarray(equity.get("costs", np.zeros(len(equity))), dtype=float)
    deposits = np.asarray(equity.get("deposits", np.zeros(len(equity))), dtype=float)
    if costs and not deposits.any():
        return values / cash
    before = np.concatenate([[cash], values[:-1]]) + deposits
    gained = values if costs else values + paid
    alive = np.logical_and.accumulate(before > 0)
    return np.cumprod(np.divide(gained, before, out=np.ones_like(values), where=alive))


def daily_returns(equity: pd.DataFrame, cash: float) -> Array:
    """Return the growth from the last bar of a date to that of the next; the first from `cash`.

    Dates without bars, and dates after ruin, have no return.
    """
    value = pd.Series(cash * growth(equity, cash), equity.index)
    evening = value.groupby(equity["datetime"].dt.normalize()).last().to_numpy(dtype=float)
    gone = np.flatnonzero(evening <= 0)
    if len(gone):
        evening = evening[: gone[0] + 1]
    before = np.concatenate([[cash], evening[:-1]])
    return evening / before - 1


def has_costs(bars: pd.DataFrame, account: Account, trades: pd.DataFrame) -> bool:
    """Return whether trades have costs; without closed trades, whether one would."""
    if len(trades):  # a strategy may set other costs
        return bool(trades["costs"].any() or account.slippage or account.slippage_range)
    spread = bars.get("spread", 0.0) if account.spread is None else account.spread
    fees = account.commission or account.commission_lot or account.commission_minimum
    return bool(np.any(spread) or fees or account.slippage or account.slippage_range)


def zero_spread(bars: pd.DataFrame, account: Account) -> float | None:
    """Return the share of bars, in percent, whose spread is 0 in the file; None if it is not used."""
    if account.spread is not None or "spread" not in bars or not len(bars):
        return None
    return 100 * float((bars["spread"] == 0).mean())


def lost_at(equity: pd.DataFrame) -> str | None:
    """Return the time at which the equity fell to 0 and trading ended, or None."""
    gone = equity.loc[equity["equity"] <= 0, "datetime"]
    return str(gone.iloc[0]) if len(gone) else None


def max_drawdown(equity: pd.DataFrame, cash: float = 1.0) -> Metrics:
    """Return the deepest drawdown of the growth, and the times of peak, trough and recovery.

    The starting money is a peak too, which counts as that of the first bar.
    """
    values = growth(equity, cash)
    peaks = np.maximum.accumulate(np.maximum(values, 1.0))
    falls = 1 - values / peaks
    if not len(values) or not falls.any():
        return {**dict.fromkeys(DRAWDOWN), "max_drawdown_pct": 0.0}
    trough = int(falls.argmax())
    peak = int(values[: trough + 1].argmax())
    whole_again = np.flatnonzero(values[trough:] >= peaks[trough])
    times = equity["datetime"]
    return {
        "max_drawdown_pct": 100 * float(falls[trough]),
        "max_drawdown_peak": str(times.iloc[peak]),
        "max_drawdown_trough": str(times.iloc[trough]),
        "max_drawdown_recovered": str(times.iloc[trough + whole_again[0]]) if len(whole_again) else None,
    }


def buy_and_hold(
    equity: pd.DataFrame, bars: pd.DataFrame, account: Account, point: float, first_bar: int | None
) -> Metrics:
    """Return the result of one unit held from the first prediction to the last close.

    It is given before costs, and after commission, half a spread and slippage, paid once to enter and once to
    leave. Nothing is held across missing bars, as between folds.
    """
    held = equity["bar"].to_numpy()
    held = held[held >= first_bar] if first_bar is not None else held[:0]
    if not len(held):
        return {"buy_and_hold_return_pct": None, "buy_and_hold_after_costs_pct": None}
    before = after = 1.0
    for part in np.split(held, np.flatnonzero(np.diff(held) > 1) + 1):
        ends = [int(part[0]), int(part[-1])]
        first, last = (float(bars["close"].iloc[bar]) for bar in ends)
        enter, leave = (
            price * account.commission + (0.5 * _spread(bars, account, bar) + account.slippage) * point
            for price, bar in zip((first, last), ends, strict=True)
        )
        before, after = before * last / first, after * (last - leave) / (first + enter)
    return {
        "buy_and_hold_return_pct": 100 * (before - 1),
        "buy_and_hold_after_costs_pct": 100 * (after - 1),
    }


def _spread(bars: pd.DataFrame, account: Account, bar: int) -> float:
    if account.spread is not None:
        return account.spread
    return float(bars["spread"].iloc[bar]) if "spread" in bars else 0.0


def sortino_ratio(returns: ArrayLike, periods_a_year: float) -> float | None:
    """Return the annualised Sortino ratio with target 0; None without a loss (Sortino and van der Meer 1991).

    Examples
    --------
    >>> round(sortino_ratio([0.02, -0.01, 0.02, -0.01], periods_a_year=252), 3)
    11.225
    """
    r = np.asarray(returns, dtype=float)
    downside = math.sqrt(float((np.minimum(r, 0) ** 2).mean())) if len(r) else 0.0
    return float(r.mean()) / downside * math.sqrt(periods_a_year) if downside > 1e-12 else None


def significance(daily: Array, days_a_year: float, trades: int, direction: Metrics) -> Metrics:
    """Return the significance of the net return: a probability, an interval and a verdict.

    ``probabilistic_sharpe_ratio_pct`` is the probability that the true Sharpe ratio is above 0. The interval
    of the mean daily return, annualised without compounding, comes from a block bootstrap.

    Parameters
    ----------
    daily, days_a_year : daily returns and their number a year
    trades : number of closed trades
    direction : of `direction_metrics`
    """
    probability = probabilistic_sharpe_ratio(daily)
    mean = block_bootstrap(np.stack([daily, np.ones_like(daily)], axis=1))
    return {
        "days": len(daily),
        "probabilistic_sharpe_ratio_pct": percent(probability),
        **interval_metrics("mean_return_a_year", mean, "_pct", 100 * days_a_year),
        "money_verdict": money_verdict(
            days=len(daily),
            trades=trades,
            probability=probability,
            mean=mean,
            excess_low=direction["excess_a_year_low_pct"],
            passive=direction["passive"],
            rotation_p_value=direction["rotation_p_value"],
        ),
    }


def trade_metrics(trades: pd.DataFrame) -> Metrics:
    """Return the totals of the closed trades; the win rate is of trades, the hit rate of signals."""
    closed = len(trades)
    if not closed:
        names = ("win_rate_pct", "profit_before_costs", "profit_after_costs", "costs", "profit_factor")
        more = ("best_trade_pct", "worst_trade_pct", "mean_trade_bars")
        return {"trades": 0, **dict.fromkeys(names + more)}
    net = trades["net"]
    lost = float(net[net <= 0].sum())
    return {
        "trades": closed,
        "win_rate_pct": 100 * float((net > 0).mean()),
        "profit_before_costs": float(trades["gross"].sum()),
        "profit_after_costs": float(net.sum()),
        "costs": float(trades["costs"].sum()),
        "profit_factor": -float(net[net > 0].sum()) / lost if lost else None,
        "best_trade_pct": float(trades["net_pct"].max()),
        "worst_trade_pct": float(trades["net_pct"].min()),
        "mean_trade_bars": float(trades["bars"].mean()),
    }
