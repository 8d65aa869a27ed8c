"""A run's figures, from its analyzers: plain numbers with units in their names, and one plain sentence."""

from __future__ import annotations

import math
from typing import Any

from bt_neuro.evaluate.scores import best_baseline, percent, verdict, wilson_interval
from bt_neuro.market.bars import Bars
from bt_neuro.plugin.strategy import NeuroStrategy

YEAR_S = 365.25 * 86_400


def metrics_of(
    ran: NeuroStrategy,
    bars: Bars,
    cash: float,
    equity: float,
    status: str,
    baselines: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Return every metric of a finished run, and the sentence that sums them up."""
    hits = ran.analyzers.hit_rate.get_analysis()
    money = ran.analyzers.equity.get_analysis()
    best = best_baseline(baselines)
    interval = wilson_interval(hits["hits"], hits["signals"]) or (None, None)
    first = money["first_bar"]  # after 0 only where the run was resumed: the account then starts there
    times = bars.frame["datetime"].iloc[: first + money["bars"]]
    years = (times.iloc[-1] - times.iloc[first]).total_seconds() / YEAR_S
    metrics = {
        "start": str(times.iloc[0]),
        "end": str(times.iloc[-1]),
        "bars": len(times),
        "account_start": str(times.iloc[first]),
        "account_bars": money["bars"],
        "predicted_bars": ran.analyzers.predictions.get_analysis()["rows"],
        "scored_bars": hits["scored_bars"],
        "signals": hits["signals"],
        "hits": hits["hits"],
        "hit_rate_pct": percent(hits["hit_rate"]),
        "hit_rate_low_pct": percent(interval[0]),
        "hit_rate_high_pct": percent(interval[1]),
        "window_hit_rate_pct": percent(hits["window_hit_rate"]),
        "coverage_pct": percent(hits["coverage"]),
        "mean_squared_error": hits["mean_squared_error"],
        "brier_score": hits["brier_score"],
        "buy": hits["buy"],
        "sell": hits["sell"],
        "labels": hits["labels"],
        "error": hits["error"],
        "forecast_pct": hits["forecast_pct"],
        "undefine_pct": hits["undefine_pct"],
        "baselines": baselines,
        "verdict": verdict(hits["hits"], hits["signals"], best),
        **_money(ran, money, cash, equity, years),
        "step_time": ran.analyzers.step_time.get_analysis(),
    }
    metrics["sentence"] = sentence(metrics, bars.path.name, status)
    return metrics


def _money(
    ran: NeuroStrategy, money: dict[str, Any], cash: float, equity: float, years: float
) -> dict[str, Any]:
    trades = ran.analyzers.trades.get_analysis()
    first, last = money["first_close"], money["last_close"]
    closed = trades["closed"]
    days_a_year = money["days"] / years if years else 0.0
    return {
        "equity_start": cash,
        "equity_end": equity,
        "return_pct": 100 * (equity / cash - 1),
        "buy_and_hold_return_pct": 100 * (last / first - 1) if first else None,
        "exposure_pct": 100 * money["exposure_bars"] / money["bars"] if money["bars"] else None,
        "max_drawdown_pct": money["max_drawdown_pct"],
        "max_drawdown_peak": money["max_drawdown_peak"],
        "max_drawdown_trough": money["max_drawdown_trough"],
        "sharpe_ratio": sharpe_ratio(money["daily_mean"], money["daily_deviation"], days_a_year),
        "trades": closed,
        "refused_orders": trades["refused_orders"],
        "open_trades": int(ran.position.size != 0),
        "win_rate_pct": 100 * trades["won"] / closed if closed else None,
        "profit_before_costs": trades["gross"] if closed else None,
        "profit_after_costs": trades["net"] if closed else None,
        "costs": trades["costs"] if closed else None,
        "profit_factor": -trades["won_net"] / trades["lost_net"] if trades["lost_net"] else None,
        "best_trade_pct": trades["best_pct"],
        "worst_trade_pct": trades["worst_pct"],
        "mean_trade_bars": trades["bars_held"] / closed if closed else None,
    }


def sharpe_ratio(daily_mean: float | None, daily_deviation: float | None, days_a_year: float) -> float | None:
    """Return the Sharpe ratio of daily returns, interest 0, annualised by the days a year that had bars.

    None where it is undefined: no return, or a deviation that is rounding noise.

    Examples
    --------
    >>> round(sharpe_ratio(0.001, 0.01, days_a_year=252), 3)
    1.587
    >>> sharpe_ratio(1e-17, 1e-17, days_a_year=252) is None
    True
    """
    if daily_mean is None or daily_deviation is None or daily_deviation < 1e-12:
        return None
    return daily_mean / daily_deviation * math.sqrt(days_a_year)


def sentence(metrics: dict[str, Any], file: str, status: str) -> str:
    """Return the run in one plain sentence."""
    m = metrics
    text = f"{file}, {m['start'][:10]} to {m['end'][:10]}, {m['bars']:,} bars"
    if status != "complete":
        text += f" ({status} before the end)"
    if not m["scored_bars"]:
        text += ": nothing could be scored"
    elif not m["signals"]:
        text += ": no signals"
    else:
        text += (
            f": {m['signals']:,} signals on {m['coverage_pct']:.1f} % of the bars, "
            f"{m['hit_rate_pct']:.1f} % of them hit "
            f"(95 % interval {m['hit_rate_low_pct']:.1f} to {m['hit_rate_high_pct']:.1f})"
        )
    best = best_baseline(m["baselines"])
    if m["signals"]:
        text += f", {m['verdict']}"
    if best is not None:
        text += f" (best baseline: {best[0]}, {100 * best[1]:.1f} %)"
    if m["account_bars"] < m["bars"]:
        text += f"; resumed at {m['account_start']} with a flat account"
    text += f"; the account returned {m['return_pct']:+.1f} % after costs"
    if m["buy_and_hold_return_pct"] is not None:
        text += f" against {m['buy_and_hold_return_pct']:+.1f} % for buy and hold"
    return text + "."
