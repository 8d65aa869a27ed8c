"""What a run looks like on the console: the sentence, then a flat block of figures."""

from __future__ import annotations

from typing import Any

from bt_neuro.metrics.classification import NETWORK

# label, metric, format; units stand in the label, as in backtesting.py
BLOCK: tuple[tuple[str, str, str], ...] = (
    ("Start", "start", "s"),
    ("End", "end", "s"),
    ("Bars", "bars", ",d"),
    ("Signals", "signals", ",d"),
    ("Hit Rate [%]", "hit_rate_pct", ".2f"),
    ("Coverage [%]", "coverage_pct", ".2f"),
    ("Hit Rate, last 1000 signals [%]", "window_hit_rate_pct", ".2f"),
    ("Mean Squared Error of Outputs", "mean_squared_error", ".4f"),
    ("Brier Score", "brier_score", ".4f"),
    ("Log Loss", "log_loss", ".4f"),
    ("Kappa against Commonest Class", "kappa_majority", ".3f"),
    ("Kappa against Last Label", "kappa_no_change", ".3f"),
    ("Calibration Error [%]", "calibration_error_pct", ".2f"),
    ("Error (article)", "error", ".4f"),
    ("Forecast (article) [%]", "forecast_pct", ".2f"),
    ("Undefine (article) [%]", "undefine_pct", ".2f"),
    ("Exposure Time [%]", "exposure_pct", ".2f"),
    ("Equity Final", "equity_end", ",.2f"),
    ("Return [%]", "return_pct", ".2f"),
    ("Return before Costs [%]", "return_before_costs_pct", ".2f"),
    ("Return (Ann.) [%]", "annual_return_pct", ".2f"),
    ("Buy & Hold Return after Costs [%]", "buy_and_hold_after_costs_pct", ".2f"),
    ("Max. Drawdown [%]", "max_drawdown_pct", ".2f"),
    ("Max. Drawdown Peak", "max_drawdown_peak", "s"),
    ("Max. Drawdown Trough", "max_drawdown_trough", "s"),
    ("Max. Drawdown Recovered", "max_drawdown_recovered", "s"),
    ("Sharpe Ratio (daily, annualised)", "sharpe_ratio_daily_annualised", ".2f"),
    ("Sortino Ratio (daily, annualised)", "sortino_ratio_daily_annualised", ".2f"),
    ("Calmar Ratio (whole run)", "calmar_ratio_whole_run", ".2f"),
    ("Probability that Sharpe > 0 [%]", "probabilistic_sharpe_ratio_pct", ".1f"),
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
NAMES = 20  # of predictors


def render(manifest: dict[str, Any]) -> str:
    """Return the text of a finished run; what is undefined is printed as ``--``."""
    metrics, time = manifest["metrics"], manifest["time"]
    lines = [metrics["sentence"], ""]
    lines += [f"{label:<{WIDTH}}  {_shown(metrics[name], form):>19}" for label, name, form in BLOCK]
    if "pretraining" in manifest:
        lines += ["", *_eras(manifest["pretraining"])]
    if metrics["seeds"] is not None:
        lines += ["", seeds_line(metrics["seeds"])]
    lines += ["", *_predictors({NETWORK: metrics, **metrics["baselines"]})]
    bars = max(metrics["account_bars"], 1)
    a_bar = {part: 1e6 * time[f"{part}_s"] / bars for part in ("network", "broker", "feed")}
    eras_s = f"{time['pretraining_s']:.1f} for the eras, " if "pretraining" in manifest else ""
    lines += [
        "",
        f"{manifest['device']}, seed {manifest['parameters'].get('seed')}: {time['wall_s']:.1f} s, "
        f"{time['start_s']:.1f} of them to start, {eras_s}{time['scores_s']:.1f} for baselines and scores",
        f"{sum(a_bar.values()):.0f} us a bar, of which the network {a_bar['network']:.0f}, "
        f"the broker {a_bar['broker']:.0f}",
    ]
    lines += account_notes(manifest)
    lines += [f"Note: {note}" for note in manifest["data"]["notes"]]
    return "\n".join(lines)


def account_notes(manifest: dict[str, Any]) -> list[str]:
    """Return what one must know before believing the account: costs left out, all of it lost."""
    account, notes = manifest["account"], []
    spread = account["mean_spread_points"]
    if spread < 0.1 and account["spread_source"] == "file":
        notes.append(f"The file's spread averages {spread:.2g} points: costs are higher, see --spread.")
    if account["spread_source"].startswith("none"):
        notes.append(
            "No spread: the file has no such column and --spread was not given. Real costs are higher."
        )
    if lost := (manifest.get("metrics") or {}).get("lost_at"):
        notes.append(f"All money was lost by {lost}; a broker would have closed the account there.")
    return notes


def _eras(pretraining: dict[str, Any]) -> list[str]:
    eras = f"{pretraining['eras']} era{'s' if pretraining['eras'] > 1 else ''}"
    lines = [f"Before the test {pretraining['bars']:,} bars were learned in {eras}, {pretraining['span']}."]
    for last in pretraining["last_era"]:
        of = f", seed {last['seed']}" if "seed" in last else ""
        lines.append(
            f"In-sample, after the last era{of}: error {_shown(last['error'], '.4f')}, "
            f"forecast {_shown(last['forecast_pct'], '.2f')} %, "
            f"undefine {_shown(last['undefine_pct'], '.2f')} %."
        )
    return lines


def seeds_line(seeds: dict[str, Any]) -> str:
    """Return what is to be said of several networks that vote."""
    rate, error = seeds["hit_rate_pct"], seeds["brier_score"]
    between = " to ".join(_shown(rate[end], ".1f") for end in ("low", "high"))
    return (
        f"The signals are the vote of {seeds['networks']} networks. Alone their hit rate would be "
        f"{_shown(rate['median'], '.1f')} % (median; {between}), "
        f"their Brier score {_shown(error['median'], '.4f')}."
    )


def _predictors(scores: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table of all predictors; Brier score and log loss are of probabilities, for each of them."""
    lines = [
        f"{'Predictor, same bars':<{NAMES}} {'hit %':>6} {'95 %':>13} {'cover %':>8} {'Brier':>7} "
        f"{'log loss':>9}"
    ]
    for name, s in scores.items():
        low, high = (_shown(s[key], ".1f") for key in ("hit_rate_low_pct", "hit_rate_high_pct"))
        between = "--" if s["hit_rate_pct"] is None else f"{low} - {high}"
        lines.append(
            f"{name:<{NAMES}} {_shown(s['hit_rate_pct'], '.1f'):>6} {between:>13} "
            f"{_shown(s['coverage_pct'], '.1f'):>8} {_shown(s['brier_score'], '.4f'):>7} "
            f"{_shown(s['log_loss'], '.4f'):>9}"
        )
    return lines


def _shown(value: Any, form: str) -> str:
    return "--" if value is None else format(value, form)
