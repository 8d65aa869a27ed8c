"""What a search looks like on the console: the sentence, the best trials, the best one fold by fold."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bt_neuro.metrics.objectives import OBJECTIVES

BEST = 10
COLUMNS = (
    ("Sharpe", "sharpe_ratio", ".2f"),
    ("return %", "return_pct", "+.1f"),
    ("hit %", "hit_rate_pct", ".1f"),
    ("Brier", "brier_score", ".4f"),
    ("trades", "trades", ",.0f"),
)


def render(manifest: dict[str, Any], trials: pd.DataFrame) -> str:
    """Return the text of a finished search; what is undefined is printed as ``--``."""
    metrics, names = manifest["metrics"], list(manifest["options"]["search"])
    objective = OBJECTIVES[metrics["objective"]]
    wide = [max(len(name), 9) for name in names]
    titles = [f"{name:>{width}}" for name, width in zip(names, wide, strict=True)]
    lines = [
        metrics["sentence"],
        "",
        "trial  " + "  ".join(titles) + "".join(f"{title:>10}" for title, *_ in COLUMNS),
    ]
    for row in trials[trials["state"] == "complete"].head(BEST).to_dict("records"):
        values = [f"{_value(row[name]):>{width}}" for name, width in zip(names, wide, strict=True)]
        figures = "".join(f"{_figure(row[column], form):>10}" for _, column, form in COLUMNS)
        lines.append(f"{row['trial']:>5}  " + "  ".join(values) + figures)
    folds = metrics["best"]["folds"]
    lines += [
        "",
        f"Best trial, {objective.words} in each fold: "
        + ", ".join(_figure(fold[objective.metric], objective.form) for fold in folds),
    ]
    for row in trials[trials["state"] == "fail"].to_dict("records"):
        lines.append(f"Trial {row['trial']} failed: {row['error']}")
    if {"wing"} & set(names) and objective.metric in ("hit_rate_pct", "brier_score"):
        lines.append(f"Note: another wing is another label, so its {objective.words} is not comparable.")
    return "\n".join(lines)


def _figure(value: Any, form: str) -> str:
    return "--" if pd.isna(value) else format(value, form)


def _value(parameter: Any) -> str:
    return f"{parameter:.4g}" if isinstance(parameter, float) else str(parameter)
