"""Figures and tables of a run as text, the same for the console and the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bt_neuro.metrics.classification import NETWORK
from bt_neuro.report.columns import (
    COMPARISON,
    CONVERGENCE,
    FOLDS,
    PREDICTORS,
    SEED_MONEY,
    TRIALS,
    Columns,
)

Metrics = Mapping[Any, Any]
BEST_TRIALS = 10


@dataclass(frozen=True)
class Table:
    """Rows of text under headings.

    Attributes
    ----------
    headings, rows : texts; the first column is a name
    title : shown above
    strong : indices of rows to emphasise
    shades : of each row, the shade of each cell in percent of full colour, negative for losses; empty for none
    """

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    title: str = ""
    strong: frozenset[int] = frozenset()
    shades: tuple[tuple[float, ...], ...] = ()

    def shade(self, row: int, column: int) -> float:
        return self.shades[row][column] if self.shades else 0.0

    @classmethod
    def of(
        cls,
        first: str,
        records: Iterable[tuple[Any, Metrics]],
        columns: Columns,
        title: str = "",
        strong: Iterable[int] = (),
    ) -> Table:
        """Return the table of named records: heading of the names, records, further columns."""
        rows = [
            (str(name), *(cell(record, key, form) for _, key, form in columns)) for name, record in records
        ]
        return cls((first, *(heading for heading, *_ in columns)), rows, title, frozenset(strong))


def shown(value: Any, form: str = ",.2f", unit: str = "") -> str:
    """Return a figure as text; ``--`` if it is undefined.

    Examples
    --------
    >>> shown(1234.5), shown(None, ".1f", " %"), shown(0.5, "+.1f", " %")
    ('1,234.50', '--', '+0.5 %')
    """
    if value is None or value != value:
        return "--"
    return format(value, form) + unit


def slippage_text(account: Metrics) -> str:
    """Return the slippage of an account with its unit."""
    if account.get("slippage_range"):
        return f"{account['slippage_range']:.0%} of a bar's range"
    return f"{account['slippage']:g} points"


def between(low: Any, high: Any, form: str = ".1f", unit: str = "") -> str:
    """Return an interval as text; ``--`` if it is undefined."""
    return "--" if "--" in (shown(low), shown(high)) else f"{shown(low, form)} to {shown(high, form, unit)}"


def interval(record: Metrics, key: str, form: str = ".1f", unit: str = "") -> str:
    """Return the 95 % interval of a figure, whose bounds have ``_low`` and ``_high`` in their keys."""
    name, unit_of_key = (key[:-4], "_pct") if key.endswith("_pct") else (key, "")
    low, high = (
        record.get(f"{name}_{end}{unit_of_key}".lstrip("_"), record.get(f"{key}_{end}"))
        for end in ("low", "high")
    )
    return between(low, high, form, unit)


def interval_tile(
    name: str, record: Metrics, key: str, form: str = ".1f", unit: str = " %"
) -> tuple[str, str, str]:
    """Return name, text and 95 % interval of a figure."""
    return name, shown(record.get(key), form, unit), f"95 %: {interval(record, key, form, unit)}"


def drawdown_tile(record: Metrics) -> tuple[str, str, str]:
    """Return the tile of the largest drawdown: its name, percentage, and first and last day."""
    days = [str(record.get(f"max_drawdown_{end}") or "")[:10] for end in ("peak", "trough")]
    text = shown(record.get("max_drawdown_pct"), ".1f", " %")
    return "Max. drawdown", text, " to ".join(days) if all(days) else "never fell"


def cell(record: Metrics, key: str, form: str) -> str:
    if form.endswith("~"):
        return interval(record, key, form[:-1])
    return shown(record.get(key), form)


def block_rows(metrics: Metrics, columns: Columns) -> list[tuple[str, str]]:
    """Return label and text of each figure, and its 95 % interval behind it if there is one."""
    rows = []
    for label, key, form in columns:
        rows.append((label, cell(metrics, key, form)))
        if (bounds := interval(metrics, key, form)) != "--":
            unit = label[label.rfind(" [") :] if label.endswith(("[%]", "[pp]")) else ""
            rows.append((f"95 % Interval{unit}", bounds))
    return rows


def predictor_table(metrics: Metrics) -> Table:
    """Return the scores of the network and the baselines on the same bars."""
    predictors = {NETWORK: metrics, **metrics["baselines"]}
    return Table.of("predictor", predictors.items(), PREDICTORS, "Predictors on the same bars", [0])


def seed_table(metrics: Metrics) -> Table:
    """Return a table of scores and money: each network alone, their spread, and the vote."""
    seeds = metrics["seeds"]
    known = [column for column in (*PREDICTORS, *SEED_MONEY) if column[1] in seeds and column[2][-1] != "~"]
    keys = [key for _, key, _ in known]
    each = [{key: seeds[key]["each"][n] for key in keys} for n in range(seeds["networks"])]
    spread = [(name, {key: seeds[key][name] for key in keys}) for name in ("low", "median", "high")]
    records = [*enumerate(each, 1), *spread, ("vote", metrics)]
    return Table.of(
        "network", records, tuple(known), "Each network alone, and their vote", [len(records) - 1]
    )


def fold_table(folds: pd.DataFrame) -> Table:
    """Return the folds of a walk-forward."""
    records = folds.to_dict("records")
    return Table.of("fold", [(record["fold"], record) for record in records], FOLDS, "Folds")


def trial_table(manifest: Metrics, trials: pd.DataFrame) -> Table:
    """Return the best trials of a search, with the parameters that were searched."""
    names = list(manifest["options"]["search"])
    best = trials[trials["state"] == "complete"].head(BEST_TRIALS).to_dict("records")
    for record in best:
        for name in names:
            value = record[name]
            record[name] = f"{value:.4g}" if isinstance(value, float) else str(value)
    columns = (*((name, name, "s") for name in names), *TRIALS)
    return Table.of("trial", [(record["trial"], record) for record in best], columns, "Best trials", [0])


def comparison_tables(table: pd.DataFrame) -> list[Table]:
    """Return the errors of each regime of a comparison; a regime on the same bars as another one is left out.

    Parameters
    ----------
    table : as in ``compare.csv``
    """
    tables, seen = [], set()
    for name, part in table.groupby("regime", sort=False):
        regime, records = str(name), part.to_dict("records")
        bars, in_sample = records[0]["bars"], records[0]["in_sample"]
        key = (regime.partition(",")[0], bars)  # in a short file all bars after the history are test bars
        if key in seen:
            continue
        seen.add(key)
        title = f"{regime.capitalize()}{'' if in_sample else ', out of sample'}, {bars:,} bars"
        named, strong = [], []
        for number, record in enumerate(records):
            best = ", best" if record["which"] == "best" else ""
            record["rate"] = shown(record["learning_rate"], "g") + best
            if record["gradient"] == "exact" and record["expert"] == "batch_norm":
                strong.append(number)
            published = ", published" if record["gradient"] == "published" else ""
            diverged = (
                f", {record['diverged']:.0f} of {record['seeds']:.0f} diverged"
                if record["diverged"] > 0
                else ""
            )
            named.append((f"{record['expert']}{published}{diverged}", record))
        tables.append(Table.of("predictor", named, COMPARISON, title, strong))
    return tables


def convergence_table(metrics: Metrics) -> Table:
    """Return the samples from which the averages agree, by each definition."""
    records = metrics["convergences"]
    strong = [number for number, record in enumerate(records) if record["start"] == "published"]
    named = [(record["statistic"], record) for record in records]
    return Table.of("statistic", named, CONVERGENCE, "By each definition", strong)


def hypothesis_lists(claims: Iterable[Metrics]) -> dict[str, dict[str, str]]:
    """Return the figures behind each claim: a difference with its 95 % interval, or a number alone."""
    lists = {}
    for claim in claims:
        figures = {}
        for figure in claim["figures"]:
            bounds = between(figure["low"], figure["high"], "+.4f")
            value = shown(figure["value"], "g" if bounds == "--" else "+.4f")
            figures[figure["what"]] = value if bounds == "--" else f"{value} ({bounds})"
        lists[f"{claim['claim']}: {claim['verdict']}"] = figures
    return lists
