"""Summary of a run: the words, figures and tables of the console, which the page shows too."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from bt_neuro.metrics.summary import ZERO_SPREAD_PCT
from bt_neuro.report.checks import lookahead_summary, warmup_summary
from bt_neuro.report.columns import BACKTEST, WALK_FORWARD
from bt_neuro.report.parts import Summary
from bt_neuro.report.portfolio import portfolio_notes, portfolio_tables, portfolio_tiles
from bt_neuro.report.study_summaries import (
    comparison_summary,
    convergence_summary,
    permutation_summary,
    tune_summary,
)
from bt_neuro.report.tables import (
    Metrics,
    block_rows,
    drawdown_tile,
    fold_table,
    interval,
    interval_tile,
    predictor_table,
    seed_table,
    shown,
    slippage_text,
)

POINTS = " pp"  # percentage points: a point alone is the smallest step of a price
SPREADS = {"option": "by option", "file": "on average, from the file's column"}


def summary_of(run: Any) -> Summary:
    """Return the summary of a run of any kind, complete or broken off."""
    kind, metrics = run.manifest["kind"], run.manifest.get("metrics")
    if kind == "stream":
        text = metrics["sentence"] if metrics else f"{len(run.bars):,} bars."
        tiles = tuple(_stream_tiles(metrics)) if metrics else ()
        return Summary("stream", (f"Stream, {run.manifest['status']}: {text}",), tiles)
    if kind == "portfolio-stream":
        text = metrics["sentence"] if metrics else f"{len(run.bars):,} bars."
        return Summary("stream", (f"Stream, {run.manifest['status']}: {text}",))
    if kind == "portfolio" and metrics:
        return Summary(
            "Portfolio",
            (metrics["sentence"],),
            portfolio_tiles(metrics),
            notes=(*portfolio_notes(metrics), *_no_money_note(metrics)),
            tables=portfolio_tables(metrics),
        )
    if not metrics:
        name = Path(run.manifest.get("data", {}).get("file", kind)).name
        return Summary(f"{name}, {kind}", (f"{name}: no figures, because the {kind} ended too early.",))
    return KINDS[kind](run, metrics)


def notebook_html(run: Any) -> str:
    """Return the headline and the main figures of a run as HTML, for notebooks."""
    summary = summary_of(run)
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text, _ in summary.tiles
    )
    return f"<p>{escape(' '.join(summary.headline))}</p><table>{rows}</table>"


def _run(run: Any, m: Metrics) -> Summary:
    manifest, time = run.manifest, run.manifest["time"]
    is_backtest = manifest["kind"] == "backtest"
    tables = [] if is_backtest else [fold_table(run.folds)]
    if "baselines" in m:
        tables.append(predictor_table(m))
    if m.get("seeds"):
        tables.append(seed_table(m))
    return Summary(
        title=Path(manifest["data"]["file"]).name,
        headline=(m["sentence"],),
        tiles=tuple(_run_tiles(run, m)),
        notes=(*_era_notes(manifest), *_seed_notes(m), *_account_notes(manifest), *manifest["data"]["notes"]),
        block=tuple(block_rows(m, BACKTEST if is_backtest else WALK_FORWARD)),
        tables=tuple(tables),
        timing=_backtest_timing(manifest)
        if is_backtest
        else f"{', '.join(manifest['devices'])}: {time['wall_s']:.1f} s, all folds {time['folds_s']:.1f} s",
    )


def _run_tiles(run: Any, m: Metrics) -> Iterator[tuple[str, str, str]]:
    before = shown(m.get("return_before_costs_pct"), "+.1f", " % before costs")
    held = shown(m.get("buy_and_hold_after_costs_pct"), "+.1f", " %")
    baseline = m.get("hit_rate_baseline") or "best baseline"
    yield interval_tile("Hit rate", m, "hit_rate_pct")
    yield interval_tile("Lift over visible half", m, "lift_pct", "+.1f", POINTS)
    yield interval_tile(f"Over {baseline}", m, "difference_pct", "+.1f", POINTS)
    yield "Return", shown(m.get("return_pct"), "+.1f", " %"), before
    yield interval_tile("Excess a year", m, "excess_a_year_pct", "+.1f")
    yield "Buy and hold", held, "after costs"
    yield drawdown_tile(m)
    still_open = len(run.manifest.get("open_trades") or ())
    closed = shown(m.get("win_rate_pct"), ".1f", " % won") if m.get("trades") else "none closed"
    yield "Trades", shown(m.get("trades"), ",d"), f"{closed}, {still_open} open" if still_open else closed


def _stream_tiles(m: Metrics) -> Iterator[tuple[str, str, str]]:
    refused = m.get("refused_orders")
    yield interval_tile("Hit rate", m, "hit_rate_pct")
    yield "Signals", shown(m["signals"], ",d"), f"on {shown(m['coverage_pct'], '.1f', ' %')} of the bars"
    yield "Equity", shown(m["equity_end"]), shown(m["return_pct"], "+.1f", " % since the start")
    yield "Position", shown(m["position"], ",.6g"), "units at the last bar"
    yield "Orders", shown(m["orders"], ",d"), f"{refused:,} refused" if refused else "none refused"


def _account_notes(manifest: Metrics) -> Iterator[str]:
    account, metrics = manifest["account"], manifest["metrics"]
    spread, source = account["mean_spread_points"], account["spread_source"]
    yield (
        f"Costs: spread {spread:.3g} points {SPREADS.get(source, 'for lack of one')}, commission "
        f"{account['commission']:g} of the value a side and {account.get('commission_lot', 0.0):g} a lot, "
        f"slippage {slippage_text(account)}; a round trip takes "
        f"{shown(account.get('round_trip_cost_pct'), '.4f')} % of the value without swaps."
    )
    years = account.get("spread_points_by_year", {})
    if source == "file" and len(years) > 1:
        yield (
            "Mean spread by year: "
            + ", ".join(f"{year} {points:.1f}" for year, points in years.items())
            + "."
        )
    if source == "file" and account.get("zero_spread_pct", 0.0) > ZERO_SPREAD_PCT:
        zero = account["zero_spread_pct"]
        yield f"The spread is 0 on {zero:.0f} % of the bars. Real costs are higher: see --spread."
    if source.startswith("none"):
        yield "The file has no spread column and --spread is not given. Real costs are higher."
    if lost := metrics.get("lost_at"):
        yield f"All money was lost by {lost}; nothing traded after that."
    yield from metrics.get("order_notes") or ()
    statement = metrics.get("reconciliation")
    if statement and not statement["is_reconciled"]:
        yield f"Trades and account differ by {statement['difference']:,.2f}."


def _era_notes(manifest: Metrics) -> Iterator[str]:
    if not (pretraining := manifest.get("pretraining")):
        return
    eras = f"{pretraining['eras']} era{'s' if pretraining['eras'] > 1 else ''}"
    yield f"Before the test {pretraining['bars']:,} bars were learned in {eras}, {pretraining['span']}."
    for last in pretraining["last_era"]:
        seed = f", seed {last['seed']}" if "seed" in last else ""
        figures = f"error {shown(last['error'], '.4f')}, forecast {shown(last['forecast_pct'], '.2f')} %"
        figures += f", undefine {shown(last['undefine_pct'], '.2f')} %"
        yield f"In sample, after the last era{seed}: {figures}."


def _seed_notes(metrics: Metrics) -> Iterator[str]:
    if seeds := metrics.get("seeds"):
        rate, error = seeds["hit_rate_pct"], seeds["brier_score"]
        yield (
            f"The signals are the vote of {seeds['networks']} networks. Alone their hit rate would be "
            f"{shown(rate['median'], '.1f')} % (median; {interval(rate, '')}), "
            f"their Brier score {shown(error['median'], '.4f')}."
        )
        yield from _no_money_note(metrics)


def _no_money_note(metrics: Metrics) -> Iterator[str]:
    if reason := (metrics.get("seeds") or {}).get("no_money"):
        yield f"The money of each network alone is unknown: {reason}."


def _backtest_timing(manifest: Metrics) -> str:
    time = manifest["time"]
    metrics = manifest["metrics"]
    bars = max(metrics["account_bars"], 1)
    if "broker_s" not in time:  # a custom Cerebro
        network = 1e6 * time["network_s"] / bars
        return f"{manifest['device']}: {time['wall_s']:.1f} s, {network:.0f} us a bar for the network"
    a_bar = {part: 1e6 * time[f"{part}_s"] / bars for part in ("network", "broker", "feed")}
    eras = f"{time['pretraining_s']:.1f} for the eras, " if "pretraining" in manifest else ""
    seeds = (
        f"{time['seed_money_s']:.1f} to trade each network alone, "
        if metrics.get("seeds") and "seed_money_s" in time
        else ""
    )
    return (
        f"{manifest['device']}, seed {manifest['parameters'].get('seed')}: {time['wall_s']:.1f} s, "
        f"{time['start_s']:.1f} of them to start, {eras}{seeds}{time['scores_s']:.1f} for baselines and scores\n"
        f"{sum(a_bar.values()):.0f} us a bar: network {a_bar['network']:.0f}, broker {a_bar['broker']:.0f}, "
        f"feed and the rest {a_bar['feed']:.0f}"
    )


KINDS = {
    "backtest": _run,
    "walk-forward": _run,
    "permutation-test": permutation_summary,
    "tune": tune_summary,
    "compare": comparison_summary,
    "ema-convergence": convergence_summary,
    "lookahead-check": lookahead_summary,
    "warmup-check": warmup_summary,
}
