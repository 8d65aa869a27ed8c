"""The summary of a run on the console."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table as RichTable

from bt_neuro.report.summary import summary_of
from bt_neuro.report.tables import Table


def render(run: Any) -> list[RenderableType]:
    """Return the sentence, figures, tables and notes of a finished run of any kind, as rich prints them."""
    summary = summary_of(run)
    parts: list[RenderableType] = list(summary.headline)
    if summary.block:
        parts += ["", rich_table(Table(("", ""), list(summary.block)))]
    for table in summary.tables:
        parts += [f"\n{table.title}", rich_table(table)]
    for heading, lines in summary.lists.items():
        parts += [f"\n{heading}", rich_table(Table(("", ""), list(lines.items())))]
    timing = [f"\n{summary.timing}"] if summary.timing else []
    return [*parts, *timing, "", *summary.notes, f"\nWritten to {run.folder}"]


def rich_table(table: Table) -> RichTable:
    """Return a rich table; the first column is left-aligned, the others are right-aligned."""
    rich = RichTable(box=None, pad_edge=False, header_style="dim", show_header=any(table.headings))
    for number, heading in enumerate(table.headings):
        rich.add_column(heading, justify="right" if number else "left")
    for number, row in enumerate(table.rows):
        rich.add_row(*row, style="bold" if number in table.strong else None)
    return rich
