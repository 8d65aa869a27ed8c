"""The page of a run: its sections, the predictors beside each other, every figure, its trades."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.classification import NETWORK
from bt_neuro.report.console import BLOCK, account_notes
from bt_neuro.report.html import render, write_page
from bt_neuro.report.run_tables import Run
from bt_neuro.report.sections import sections
from bt_neuro.report.walk_forward_console import BLOCK as FOLDS_BLOCK

MOST_TRADES = 500


def write_report(run: Run, bars: Bars | None = None) -> Path:
    """Write ``report.html`` into the folder of a run.

    Parameters
    ----------
    run : a `Result`, finished or broken off
    bars : its bars where they are at hand; otherwise their file is read again, if it is what it was

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    NeuroError
        When the folder cannot be written to; a page that was there stays.
    """
    return write_page(run.folder, render_page(run, bars))


def render_page(run: Run, bars: Bars | None = None) -> str:
    """Return the page of a run."""
    parts = list(sections(run, bars))
    manifest = run.manifest
    metrics = manifest.get("metrics") or {}
    trades = run.trades
    return render(
        "page.html",
        parts,
        manifest,
        name=Path(manifest["data"]["file"]).name,
        metrics=defaultdict(lambda: None, metrics),  # what a run did not write is shown as undefined
        predictors={NETWORK: metrics, **metrics["baselines"]} if "baselines" in metrics else {},
        block=FOLDS_BLOCK if manifest["kind"] == "walk-forward" else BLOCK,
        account_notes=account_notes(manifest),
        scored=any(part.name == "article" for part in parts),
        trades=trades.tail(MOST_TRADES).iloc[::-1].itertuples(),
        shown_trades=min(len(trades), MOST_TRADES),
        all_trades=len(trades),
    )
