"""The result of a run on the console: the sentence, tables, notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import RenderableType
from rich.table import Table as RichTable

from bt_neuro.report.columns import BACKTEST, WALK_FORWARD, Columns
from bt_neuro.report.notes import account_notes, best_trial_note, era_notes, seed_note, tuning_notes
from bt_neuro.report.tables import (
    Metrics,
    Table,
    block_rows,
    comparison_tables,
    convergence_table,
    fold_table,
    predictor_table,
    trial_table,
)


def render(run: Any) -> list[RenderableType]:
    """Return the console text of a finished run of any kind; undefined figures are ``--``."""
    notes = [f"Note: {note}" for note in run.manifest.get("data", {}).get("notes", [])]
    return [*KINDS[run.manifest["kind"]](run), *notes, f"\nWritten to {run.folder}"]


def _backtest(run: Any) -> Iterable[RenderableType]:
    manifest, metrics, time = run.manifest, run.metrics, run.manifest["time"]
    yield metrics["sentence"]
    yield _figures(metrics, BACKTEST)
    yield from _paragraph(*era_notes(manifest), *seed_note(metrics))
    yield from printed(predictor_table(metrics))
    bars = max(metrics["account_bars"], 1)
    a_bar = {part: 1e6 * time[f"{part}_s"] / bars for part in ("network", "broker", "feed")}
    eras_s = f"{time['pretraining_s']:.1f} for the eras, " if "pretraining" in manifest else ""
    yield from _paragraph(
        f"{manifest['device']}, seed {manifest['parameters'].get('seed')}: {time['wall_s']:.1f} s, "
        f"{time['start_s']:.1f} of them to start, {eras_s}{time['scores_s']:.1f} for baselines and scores",
        f"{sum(a_bar.values()):.0f} us a bar: network {a_bar['network']:.0f}, broker {a_bar['broker']:.0f}, "
        f"feed and the rest {a_bar['feed']:.0f}",
        *account_notes(manifest),
    )


def _walk_forward(run: Any) -> Iterable[RenderableType]:
    manifest, metrics, time = run.manifest, run.metrics, run.manifest["time"]
    yield metrics["sentence"]
    yield from printed(fold_table(run.folds))
    yield "\nAll folds"
    yield _figures(metrics, WALK_FORWARD)
    yield from _paragraph(
        *seed_note(metrics),
        f"{', '.join(manifest['devices'])}: {time['wall_s']:.1f} s, all folds {time['folds_s']:.1f} s",
        *account_notes(manifest),
    )


def _tune(run: Any) -> Iterable[RenderableType]:
    yield run.metrics["sentence"]
    yield from printed(trial_table(run.manifest, run.trials))
    yield from _paragraph(best_trial_note(run.metrics), *tuning_notes(run.manifest, run.trials))


def _compare(run: Any) -> Iterable[RenderableType]:
    metrics = run.metrics
    yield metrics["sentence"]
    for table in comparison_tables(run.table):
        yield from printed(table)
    yield from _paragraph(
        "Claims about batch normalisation, on these bars:",
        *(f"  {claim['claim']}: {claim['verdict']}" for claim in metrics["claims"]),
        f"\n{run.manifest['device']}: {run.manifest['time']['wall_s']:.0f} s",
        *(f"Note: {note}" for note in metrics["notes"]),
    )


def _ema_convergence(run: Any) -> Iterable[RenderableType]:
    yield from (claim["sentence"] for claim in run.metrics["claims"])
    yield from printed(convergence_table(run.metrics))
    yield from _paragraph(*(f"{name}: {words}" for name, words in run.metrics["definitions"].items()))


KINDS: dict[str, Callable[[Any], Iterable[RenderableType]]] = {
    "backtest": _backtest,
    "walk-forward": _walk_forward,
    "tune": _tune,
    "compare": _compare,
    "ema-convergence": _ema_convergence,
}


def printed(table: Table) -> Iterable[RenderableType]:
    """Yield the title and the table: the first column to the left, figures to the right."""
    yield f"\n{table.title}"
    rich = RichTable(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(table.headings):
        rich.add_column(heading, justify="right" if number else "left")
    for number, row in enumerate(table.rows):
        rich.add_row(*row, style="bold" if number in table.strong else None)
    yield rich


def _figures(metrics: Metrics, columns: Columns) -> RenderableType:
    rich = RichTable(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    rich.add_column()
    rich.add_column(justify="right")
    for row in block_rows(metrics, columns):
        rich.add_row(*row)
    return rich


def _paragraph(*lines: str) -> list[str]:
    return ["", *lines] if lines else []
