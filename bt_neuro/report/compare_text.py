"""What a comparison looks like on the console: the sentence, a table for each regime, the claims."""

from __future__ import annotations

from itertools import groupby
from typing import Any

NAMES = 40  # of variants


def render(manifest: dict[str, Any]) -> str:
    """Return the text of a finished comparison; what is undefined is printed as ``--``."""
    metrics, took = manifest["metrics"], manifest["time"]
    lines = [metrics["sentence"]]
    for regime, rows in groupby(metrics["table"], key=lambda row: row["regime"]):
        lines += ["", *_table(regime, list(rows))]
    lines += ["", "What the article and others say of batch normalisation, on these bars:"]
    lines += [f"  {claim['claim']}: {claim['verdict']}" for claim in metrics["claims"]]
    lines += ["", f"{manifest['device']}: {took['wall_s']:.0f} s"]
    lines += [f"Note: {note}" for note in [*metrics["notes"], *manifest["data"]["notes"]]]
    return "\n".join(lines)


def _table(regime: str, rows: list[dict[str, Any]]) -> list[str]:
    title = f"{regime}, {rows[0]['bars']:,} bars"
    if rows[0]["in_sample"]:
        title += " that had been learned before"
    lines = [
        title[:1].upper() + title[1:],
        f"{'':<{NAMES}} {'MSE':>7} {'95 %':>15} {'to plain':>9} {'95 %':>17} {'hit %':>6} {'95 %':>13} "
        f"{'cover %':>8}",
    ]
    for row in rows:
        error = _cells(row, "mean_squared_error", ".4f", 7, 15)
        if row["diverged"]:
            error = f"{row['diverged']} of {row['seeds']} diverged".rjust(23)
        lines.append(
            f"{name_of(row):<{NAMES}} {error} {_cells(row, 'difference_to_plain', '+.4f', 9, 17)} "
            f"{_cells(row, 'hit_rate_pct', '.1f', 6, 13)} {_shown(row['coverage_pct'], '.1f'):>8}"
        )
    return lines


def name_of(row: dict[str, Any]) -> str:
    """Return who a row of ``compare.csv`` is about."""
    if row["which"] == "baseline":
        return str(row["expert"])
    gradient = "" if row["gradient"] == "exact" else f" {row['gradient']}"
    return f"{row['expert']}{gradient}, {row['which']} rate {row['learning_rate']:g}"


def _cells(row: dict[str, Any], name: str, form: str, width: int, between: int) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "--" if low is None else f"{low:{form}} - {high:{form}}"
    return f"{_shown(row[name], form):>{width}} {interval:>{between}}"


def _shown(value: Any, form: str) -> str:
    return "--" if value is None else format(value, form)
