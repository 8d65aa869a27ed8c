"""What a run looks like on the console: the sentence, then a flat block of figures."""

from __future__ import annotations

from typing import Any

from bt_neuro.evaluate.scores import percent

# label, metric, format; units stand in the label, as in backtesting.py
BLOCK: tuple[tuple[str, str, str], ...] = (
    ("Start", "start", "s"),
    ("End", "end", "s"),
    ("Bars", "bars", ",d"),
    ("Signals", "signals", ",d"),
    ("Hit Rate [%]", "hit_rate_pct", ".2f"),
    ("Coverage [%]", "coverage_pct", ".2f"),
    ("Hit Rate, last 1000 signals [%]", "window_hit_rate_pct", ".2f"),
    ("Mean Squared Error", "mean_squared_error", ".4f"),
    ("Brier Score", "brier_score", ".4f"),
    ("Error (article)", "error", ".4f"),
    ("Forecast (article) [%]", "forecast_pct", ".2f"),
    ("Undefine (article) [%]", "undefine_pct", ".2f"),
    ("Exposure Time [%]", "exposure_pct", ".2f"),
    ("Equity Final", "equity_end", ",.2f"),
    ("Return [%]", "return_pct", ".2f"),
    ("Buy & Hold Return [%]", "buy_and_hold_return_pct", ".2f"),
    ("Max. Drawdown [%]", "max_drawdown_pct", ".2f"),
    ("Sharpe Ratio (daily, annualised)", "sharpe_ratio", ".2f"),
    ("# Trades", "trades", ",d"),
    ("# Refused Orders", "refused_orders", ",d"),
    ("Win Rate [%]", "win_rate_pct", ".2f"),
    ("Profit before Costs", "profit_before_costs", ",.2f"),
    ("Costs", "costs", ",.2f"),
    ("Profit after Costs", "profit_after_costs", ",.2f"),
    ("Profit Factor", "profit_factor", ".2f"),
    ("Best Trade [%]", "best_trade_pct", ".2f"),
    ("Worst Trade [%]", "worst_trade_pct", ".2f"),
    ("Avg. Trade [bars]", "mean_trade_bars", ".1f"),
)
WIDTH = max(len(label) for label, *_ in BLOCK)


def render(manifest: dict[str, Any]) -> str:
    """Return the text of a finished run; what is undefined is printed as ``--``."""
    metrics, time = manifest["metrics"], manifest["time"]
    lines = [metrics["sentence"], ""]
    lines += [f"{label:<{WIDTH}}  {_shown(metrics[name], form):>19}" for label, name, form in BLOCK]
    lines += ["", f"{'Predictor, on the same bars':<{WIDTH}}  {'MSE':>7} {'hit %':>7} {'cover %':>8}"]
    rows = [
        ("this network", *(metrics[key] for key in ("mean_squared_error", "hit_rate_pct", "coverage_pct")))
    ]
    for name, figures in metrics["baselines"].items():
        rate, coverage = percent(figures["hit_rate"]), percent(figures["coverage"])
        rows.append((name, figures["mean_squared_error"], rate, coverage))
    lines += [
        f"{name:<{WIDTH}}  {_shown(error, '.4f'):>7} {_shown(rate, '.1f'):>7} {_shown(coverage, '.1f'):>8}"
        for name, error, rate, coverage in rows
    ]
    bars = max(metrics["bars"], 1)
    lines += [
        "",
        f"{manifest['device']}, seed {manifest['parameters'].get('seed')}: {time['wall_s']:.1f} s, "
        f"{time['start_s']:.1f} of them to start",
        f"{1e6 * (time['wall_s'] - time['start_s']) / bars:.0f} us a bar, of which the network "
        f"{1e6 * time['network_s'] / bars:.0f}, the broker {1e6 * time['broker_s'] / bars:.0f}",
    ]
    spread = manifest["account"]["mean_spread_points"]
    if spread < 0.1 and manifest["account"]["spread_source"] == "file":
        lines.append(f"The file's spread averages {spread:.2g} points: costs are higher, see --spread.")
    if manifest["account"]["spread_source"].startswith("none"):
        lines.append(
            "No spread: the file has no such column and --spread was not given. Real costs are higher."
        )
    lines += [f"Note: {note}" for note in manifest["data"]["notes"]]
    return "\n".join(lines)


def _shown(value: Any, form: str) -> str:
    return "--" if value is None else format(value, form)
