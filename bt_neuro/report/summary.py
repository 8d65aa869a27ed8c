"""Summary of a run: the words, figures and tables of the console, which the page shows too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.metrics.summary import ZERO_SPREAD_PCT
from bt_neuro.report.columns import BACKTEST, PERMUTATION, WALK_FORWARD
from bt_neuro.report.portfolio import portfolio_tables
from bt_neuro.report.tables import (
    Metrics,
    Table,
    between,
    block_rows,
    comparison_tables,
    convergence_table,
    fold_table,
    hypothesis_lists,
    interval,
    predictor_table,
    seed_table,
    shown,
    trial_table,
)

SPREADS = {"option": "by option", "file": "on average, from the file's column"}


@dataclass(frozen=True)
class Summary:
    """Words, figures and tables of a run.

    Attributes
    ----------
    title : of the browser's tab
    headline : sentences
    tiles : name, text and further text of the main figures
    notes : reasons for doubt, costs, pretraining, votes
    block : label and text of all figures
    tables : further figures
    lists : labels and texts, by heading
    timing : device and seconds
    """

    title: str
    headline: tuple[str, ...]
    tiles: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    timing: str = ""


def summary_of(run: Any) -> Summary:
    """Return the summary of a run of any kind, complete or broken off."""
    kind, metrics = run.manifest["kind"], run.manifest.get("metrics")
    if kind == "stream":
        text = f"{len(run.bars):,} bars, {len(run.predictions):,} predicted."
        return Summary("stream", (f"Stream, {run.manifest['status']}: {text}",))
    if kind == "portfolio" and metrics:
        return Summary("Portfolio", (metrics["sentence"],), tables=portfolio_tables(metrics))
    if not metrics:
        name = Path(run.manifest["data"].get("file", kind)).name
        return Summary(f"{name}, {kind}", (f"{name}: no figures, for the {kind} did not get that far.",))
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
        tables.append(seed_table(m["seeds"]))
    return Summary(
        title=Path(manifest["data"]["file"]).name,
        headline=(m["sentence"],),
        tiles=tuple(_run_tiles(m)),
        notes=(*_era_notes(manifest), *_seed_notes(m), *_account_notes(manifest), *manifest["data"]["notes"]),
        block=tuple(block_rows(m, BACKTEST if is_backtest else WALK_FORWARD)),
        tables=tuple(tables),
        timing=_backtest_timing(manifest)
        if is_backtest
        else f"{', '.join(manifest['devices'])}: {time['wall_s']:.1f} s, all folds {time['folds_s']:.1f} s",
    )


def _run_tiles(m: Metrics) -> Iterator[tuple[str, str, str]]:
    def tile(name: str, key: str, form: str, beside: str = "") -> tuple[str, str, str]:
        return name, shown(m.get(key), form, " %"), beside or f"95 %: {interval(m, key, form, ' %')}"

    days = [str(m.get(f"max_drawdown_{end}") or "--")[:10] for end in ("peak", "trough")]
    before = shown(m.get("return_before_costs_pct"), "+.1f", " % before costs")
    yield tile("Hit rate", "hit_rate_pct", ".1f")
    yield tile("Lift over visible half", "lift_pct", "+.1f")
    yield tile(f"Over {m.get('hit_rate_baseline') or 'best baseline'}", "difference_pct", "+.1f")
    yield tile("Return", "return_pct", "+.1f", before)
    yield tile("Excess a year", "excess_a_year_pct", "+.1f")
    yield tile("Buy and hold", "buy_and_hold_after_costs_pct", "+.1f", "after costs")
    yield tile("Max. drawdown", "max_drawdown_pct", ".1f", " to ".join(days))
    yield "Trades", shown(m.get("trades"), ",d"), shown(m.get("win_rate_pct"), ".1f", " % won")


def _account_notes(manifest: Metrics) -> Iterator[str]:
    account, metrics = manifest["account"], manifest["metrics"]
    spread, source = account["mean_spread_points"], account["spread_source"]
    slippage = f"{account['slippage']:g} points"
    if account.get("slippage_range"):
        slippage = f"{account['slippage_range']:.0%} of a bar's range"
    yield (
        f"Costs: spread {spread:.3g} points {SPREADS.get(source, 'for lack of one')}, commission "
        f"{account['commission']:g} of the value a side and {account.get('commission_lot', 0.0):g} a lot, "
        f"slippage {slippage}; a round trip takes {shown(account.get('round_trip_cost_pct'), '.4f')} % of "
        "the value without swaps."
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


def _backtest_timing(manifest: Metrics) -> str:
    time = manifest["time"]
    bars = max(manifest["metrics"]["account_bars"], 1)
    a_bar = {part: 1e6 * time[f"{part}_s"] / bars for part in ("network", "broker", "feed")}
    eras = f"{time['pretraining_s']:.1f} for the eras, " if "pretraining" in manifest else ""
    return (
        f"{manifest['device']}, seed {manifest['parameters'].get('seed')}: {time['wall_s']:.1f} s, "
        f"{time['start_s']:.1f} of them to start, {eras}{time['scores_s']:.1f} for baselines and scores\n"
        f"{sum(a_bar.values()):.0f} us a bar: network {a_bar['network']:.0f}, broker {a_bar['broker']:.0f}, "
        f"feed and the rest {a_bar['feed']:.0f}"
    )


def _permutation_test(run: Any, m: Metrics) -> Summary:
    manifest, figures, n = run.manifest, run.figures, m["surrogates"]
    options, rows = manifest["options"], []
    for label, key, form in PERMUTATION:
        if key in figures:
            value, others = figures[key]["value"], figures[key]["surrogates"]
            p = f"{figures[key]['p_value']:.2g}"
            rows.append((label, shown(value, form), between(min(others), max(others), form), p))
    return Summary(
        title=f"{Path(manifest['data']['file']).name}, permutation-test",
        headline=(m["sentence"],),
        tiles=tuple((label, f"p = {p}", f"{value}; surrogates {bounds}") for label, value, bounds, p in rows),
        notes=(SURROGATE_NOTES[options["kind"]], P_NOTE.format(n=n), *manifest["data"]["notes"]),
        tables=(Table(("figure", "this market", "surrogates", "p"), [*rows], f"{n} surrogates"),),
        timing=f"{manifest['time']['wall_s']:.0f} s, seed {options['seed']}",
    )


SURROGATE_NOTES = {
    "sign": (
        "Each bar of a surrogate is mirrored with its gap where a coin falls so: ranges, volumes, sessions, "
        "calm and wild times stay; direction is lost."
    ),
    "hour": (
        "Bars of a surrogate are permuted within the hour of the week: each hour's bars and their mean "
        "direction stay; the order of weeks is lost."
    ),
    "bars": (
        "Bars and gaps of a surrogate are permuted, each by itself (Masters 2020): their order is lost, and "
        "with it sessions, calm and wild times."
    ),
}
P_NOTE = (
    "p is the share of markets, this one included, on which the figure is at least as good: with {n} "
    "surrogates never below 1 / ({n} + 1). One of several figures is easily small: choose it before the test."
)


def _tune(run: Any, m: Metrics) -> Summary:
    manifest, trials = run.manifest, run.trials
    objective, holdout = OBJECTIVES[m["objective"]], m["holdout"] or {}
    folds = ", ".join(shown(fold[objective.metric], objective.form) for fold in m["best"]["folds"])
    notes = [f"Best trial, {objective.words} in each fold: {folds}."]
    failed = trials[trials["state"].str.startswith("fail")].to_dict("records")
    notes += [f"Trial {row['trial']} failed: {row['error']}" for row in failed]
    if "wing" in manifest["options"]["search"] and objective.metric in ("hit_rate_pct", "brier_score"):
        notes.append(f"Another wing is another label: its {objective.words} is not comparable.")
    figures = (
        (f"Best {objective.words}", m["best"][objective.metric], objective.form, m["verdict"]),
        (
            "Sharpe ratio of luck",
            m["luck_sharpe_ratio"],
            ".2f",
            f"best of {m['trials']:,} trials without skill",
        ),
        ("Needed Sharpe ratio", m["needed_sharpe_ratio"], ".2f", "for a deflated one of 95 %"),
        ("Deflated Sharpe ratio, %", m["deflated_sharpe_ratio_pct"], ".1f", "probability of skill"),
        ("Overfitting, %", m["overfitting_probability_pct"], ".1f", "probability"),
        ("Held-out return, %", holdout.get("return_pct"), "+.1f", "after costs"),
        ("Held-out Sharpe ratio", holdout.get("sharpe_ratio"), ".2f", "annualised"),
        ("Held-out hit rate, %", holdout.get("hit_rate_pct"), ".1f", "of the signals"),
    )
    return Summary(
        title=f"{Path(manifest['data']['file']).name}, tune",
        headline=(m["sentence"],),
        tiles=tuple((name, shown(value, form), beside) for name, value, form, beside in figures),
        notes=tuple(notes),
        tables=(trial_table(manifest, trials),),
    )


def _comparison(run: Any, m: Metrics) -> Summary:
    manifest = run.manifest
    return Summary(
        title=f"{Path(manifest['data']['file']).name}, compare",
        headline=(m["sentence"],),
        tiles=tuple((claim["claim"], claim["verdict"], "") for claim in m["claims"]),
        notes=(*m["notes"], COMPARISON_NOTE, *manifest["data"]["notes"]),
        tables=tuple(comparison_tables(run.table)),
        lists=hypothesis_lists(m["claims"]),
        timing=f"{manifest['device']}: {manifest['time']['wall_s']:.0f} s",
    )


COMPARISON_NOTE = (
    "Differences of the mean squared error (MSE) are to plain at its best rate on the same bars. Error, "
    "missed and hits are the article's running figures at the end, means of the seeds."
)


def _ema_convergence(run: Any, m: Metrics) -> Summary:
    definitions = [f"Defined by {name}: {words}." for name, words in m["definitions"].items()]
    return Summary(
        title="Moving and exponential averages",
        headline=tuple(claim["sentence"] for claim in m["claims"]),
        notes=(*definitions, STARTS),
        tables=(convergence_table(m),),
    )


STARTS = (
    "Starts: published, from 0, the first squared deviation not divided by the window, which is a slip; "
    "mended, divided."
)


KINDS = {
    "backtest": _run,
    "walk-forward": _run,
    "permutation-test": _permutation_test,
    "tune": _tune,
    "compare": _comparison,
    "ema-convergence": _ema_convergence,
}
