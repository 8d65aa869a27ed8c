"""Summaries of the look-ahead check and the warm-up check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bt_neuro.report.parts import Summary
from bt_neuro.report.tables import Metrics, Table, shown

FUTURES = {"mask": "other values in all lines", "cut": "no bars", "perturbed": "perturbed bars"}


def lookahead_summary(run: Any, m: Metrics) -> Summary:
    """Return the summary of a look-ahead check."""
    leak = m["leak"]
    found = "none" if leak is None else f"bar {leak['bar']:,}"
    return Summary(
        title=f"{run.metrics['file']}, lookahead-check",
        headline=(m["sentence"],),
        tiles=(
            ("Look-ahead", found, "" if leak is None else leak["what"]),
            ("Predicted bars", f"{m['predicted_bars']:,}", "the future masked at each"),
            ("Cuts", f"{len(m['cuts']):,}", f"bars {m['cuts'][0]:,} to {m['cuts'][-1]:,}"),
            ("Changes of orders", f"{m['orders']:,}", "compared"),
        ),
        notes=tuple((m["remedy"] or "").splitlines()),
        tables=(() if leak is None else (_leak_table(leak),)),
        points={
            title: tuple(m[key])
            for title, key in (("This covers", "covered"), ("It does not cover", "not_covered"))
            if m[key] and leak is None
        },
    )


def _leak_table(leak: Metrics) -> Table:
    rows = (
        ("bar", f"{leak['bar']:,}, {leak['time']}"),
        ("what differs", leak["what"]),
        ("with the true bars ahead", leak["whole"]),
        (f"with {FUTURES[leak['future']]} from bar {leak['from_bar']:,} on", leak["other"]),
        ("first bar of both runs", f"{leak['start_bar']:,}"),
    )
    return Table(("what", "value"), rows, "First difference")


def warmup_summary(run: Any, m: Metrics) -> Summary:
    """Return the summary of a warm-up check."""
    features, signals = m["features_agree_after"], m["trades_agree_after"]
    last = m["stages"][-1]
    return Summary(
        title=f"{Path(run.manifest['data']['file']).name}, warmup-check",
        headline=(m["sentence"],),
        tiles=(
            ("Features agree after", _bars(features), f"slowest: {m['slowest_feature']}"),
            ("Signals agree after", _bars(signals), "95 % of buys and sells equal"),
            ("First prediction", _bars(m["first_prediction"]), "after the start"),
            ("Equal buys and sells", shown(last["same_trades_pct"], ".1f", " %"), "at the end"),
        ),
        notes=(AGREEMENT,),
        tables=(stage_table(m["stages"]),),
    )


AGREEMENT = (
    "Features agree within 1e-9 of their largest value. Before that, a bar's features differ from those with "
    "more bars before it. Networks that began at different bars learned from different bars and keep different "
    "weights. They need not agree, only be as good: compare the errors. Trades: bars with a buy or sell of either."
)


def stage_table(stages: list[Metrics]) -> Table:
    """Return the comparison of late starts with the first one, by bars since the late start."""
    rows = [
        (
            f"{stage['from_bar']:,} to {stage['to_bar']:,}",
            shown(stage["same_signals_pct"], ".1f", " %"),
            shown(stage["same_trades_pct"], ".1f", " %"),
            shown(stage["mean_difference"], ".4f"),
            shown(stage["late_error"], ".4f"),
            shown(stage["early_error"], ".4f"),
        )
        for stage in stages
    ]
    heads = (
        "bars since the start",
        "same signals",
        "same trades",
        "difference",
        "error, late",
        "error, early",
    )
    return Table(heads, rows, "Late starts against the first bar")


def _bars(number: int | None) -> str:
    return "never" if number is None else f"{number:,} bars"
