"""What a walk-forward looks like on the console: the sentence, the folds, a flat block of figures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bt_neuro.report.console import account_notes, seeds_line

# label, metric, format; units stand in the label, as in a backtest's block
BLOCK: tuple[tuple[str, str, str], ...] = (
    ("Folds", "folds", ",d"),
    ("Bars tested", "bars", ",d"),
    ("Signals", "signals", ",d"),
    ("Hit Rate [%]", "hit_rate_pct", ".2f"),
    ("Hit Rate, in sample [%]", "in_sample_hit_rate_pct", ".2f"),
    ("Walk-Forward Efficiency [%]", "walk_forward_efficiency_pct", ".1f"),
    ("Folds better than best baseline [%]", "folds_better_pct", ".1f"),
    ("Mean Squared Error", "mean_squared_error", ".4f"),
    ("Mean Squared Error, in sample", "in_sample_mean_squared_error", ".4f"),
    ("Return [%]", "return_pct", ".2f"),
    ("Return (Ann.) [%]", "annual_return_pct", ".2f"),
    ("Buy & Hold Return after Costs [%]", "buy_and_hold_after_costs_pct", ".2f"),
    ("Max. Drawdown [%]", "max_drawdown_pct", ".2f"),
    ("# Trades", "trades", ",d"),
)
WIDTH = max(len(label) for label, *_ in BLOCK)
COLUMNS = (
    "fold",
    "test from",
    "to",
    "bars",
    "signals",
    "hit %",
    "in sample",
    "baseline",
    "MSE",
    "return %",
    "trades",
)


def render(manifest: dict[str, Any], folds: pd.DataFrame) -> str:
    """Return the text of a finished walk-forward; what is undefined is printed as ``--``."""
    metrics, took = manifest["metrics"], manifest["time"]
    lines = [metrics["sentence"], "", _line(COLUMNS)]
    for row in folds.itertuples():
        cells = (
            f"{row.fold}",
            f"{row.test_start:%Y-%m-%d}",
            f"{row.test_end:%Y-%m-%d}",
            f"{row.test_bars:,d}",
            f"{row.signals:,d}",
            _shown(row.hit_rate_pct, ".1f"),
            _shown(row.in_sample_hit_rate_pct, ".1f"),
            _shown(row.best_baseline_hit_rate_pct, ".1f"),
            _shown(row.mean_squared_error, ".4f"),
            f"{row.return_pct:+.1f}",
            f"{row.trades:,d}",
        )
        lines.append(_line(cells))
    lines.append("")
    lines += [f"{label:<{WIDTH}}  {_shown(metrics[name], form):>19}" for label, name, form in BLOCK]
    if metrics["seeds"] is not None:
        lines += ["", seeds_line(metrics["seeds"])]
    lines += [
        "",
        f"{', '.join(manifest['devices'])}: {took['wall_s']:.1f} s, all folds {took['folds_s']:.1f} s",
    ]
    lines += account_notes(manifest)
    lines += [f"Note: {note}" for note in manifest["data"]["notes"]]
    return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return f"{cells[0]:>4}" + "".join(f" {cell:>10}" for cell in cells[1:])


def _shown(value: Any, form: str) -> str:
    return "--" if pd.isna(value) else format(value, form)
