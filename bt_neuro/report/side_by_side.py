"""Runs side by side: equity curves, figures and settings, with the differences marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.metrics.trading import growth
from bt_neuro.report.columns import BACKTEST, WALK_FORWARD
from bt_neuro.report.html import flat_texts, render_html
from bt_neuro.report.overlay import overlay_figure
from bt_neuro.report.parts import Section, Summary
from bt_neuro.report.tables import Table, block_rows

SETTINGS = (
    "kind",
    "strategy",
    "strategy_sha256",
    "parameters",
    "data",
    "account",
    "device",
    "versions",
    "options",
)


def summary_of_runs(runs: Sequence[Any]) -> Summary:
    """Return figures and settings of runs with an account, one column per run; rows that differ are strong.

    Raises
    ------
    NeuroError
        If there are fewer than two runs, or one has no account.
    """
    if len(runs) < 2:
        raise NeuroError(f"a comparison needs two runs or more, got {len(runs)}. Give another run folder.")
    for run in runs:
        if not hasattr(run, "equity") or not run.manifest.get("metrics"):
            raise NeuroError(
                f"{run.folder} must be a finished run with an account, got {run.manifest['kind']} "
                f"({run.manifest['status']}). Leave it out."
            )
    names = _names(runs)
    figures = [_figures(run) for run in runs]
    settings = [flat_texts({key: run.manifest.get(key) for key in SETTINGS}) for run in runs]
    differing = sum(map(_differs, _rows(settings)))
    sentence = (
        f"{len(runs)} runs; {differing} {'setting differs' if differing == 1 else 'settings differ'}."
        if differing
        else f"{len(runs)} runs of the same settings."
    )
    return Summary(
        title=", ".join(names),
        headline=(sentence,),
        notes=tuple(f"{name}: {run}" for name, run in zip(names, runs, strict=True)),
        tables=(
            _table("Figures, differences in bold", names, _rows(figures)),
            _table("Settings that differ", names, [row for row in _rows(settings) if _differs(row)]),
        ),
    )


def write_side_by_side(runs: Sequence[Any], path: Path) -> Path:
    """Write the page of some runs, atomically; see `summary_of_runs`."""
    summary = summary_of_runs(runs)
    caption = "Growth of each account after costs, without deposits."
    figure = overlay_figure(curves_of(runs), "return, %", "0.0")
    sections = [Section("equity", "Accounts", caption, (figure,))]
    started = datetime.now().isoformat(timespec="seconds")
    manifest = {"kind": "runs compare", "status": "complete", "started": started}
    manifest |= {name: str(run.folder) for name, run in zip(_names(runs), runs, strict=True)}
    text = render_html(summary, sections, manifest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise NeuroError(f"cannot write {path}: {error.strerror}. Give another --out.") from error
    return path


def curves_of(runs: Sequence[Any]) -> dict[str, tuple[pd.Series, NDArray[np.floating]]]:
    """Return times and return in percent of each run, by its name."""
    curves = {}
    for name, run in zip(_names(runs), runs, strict=True):
        grown = growth(run.equity, float(run.manifest["account"]["cash"]))
        curves[name] = run.equity["datetime"], 100 * (grown - 1)
    return curves


def _figures(run: Any) -> dict[str, str]:
    """Return label and text of each figure; an interval is named after its figure."""
    figures, last = {}, ""
    columns = WALK_FORWARD if run.manifest["kind"] == "walk-forward" else BACKTEST
    metrics = run.metrics
    if run.manifest["kind"] == "portfolio":
        metrics = {**metrics["account"], **metrics["pooled"]}
    for label, text in block_rows(metrics, columns):
        last = f"{last}, 95 % interval" if label.startswith("95 % Interval") else label
        figures[last] = text
    return figures


def _names(runs: Sequence[Any]) -> list[str]:
    names = [run.folder.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.folder) for run in runs]


def _rows(columns: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    keys: dict[str, None] = {}
    for column in columns:
        keys |= dict.fromkeys(column)
    rows = [(key, *(column.get(key, "--") for column in columns)) for key in keys]
    return [row for row in rows if set(row[1:]) != {"--"}]


def _differs(row: tuple[str, ...]) -> bool:
    return len(set(row[1:])) > 1


def _table(title: str, names: list[str], rows: list[tuple[str, ...]]) -> Table:
    strong = frozenset(number for number, row in enumerate(rows) if _differs(row))
    return Table(("name", *names), rows, title, strong)
