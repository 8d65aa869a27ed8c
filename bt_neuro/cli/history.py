"""Commands about finished runs: runs, runs compare, repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bt_neuro.cli.common import FOUND, Outcome, app, command, option
from bt_neuro.cli.help import PlainGroup
from bt_neuro.cli.progress import progress_bar

COLUMNS = (
    ("run", "run", "s"),
    ("kind", "kind", "s"),
    ("status", "status", "s"),
    ("started", "started", "s"),
    ("hit rate, %", "hit_rate_pct", ".1f"),
    ("lift, %", "lift_pct", "+.1f"),
    ("return, %", "return_pct", "+.1f"),
    ("drawdown, %", "max_drawdown_pct", ".1f"),
    ("Sharpe", "sharpe_ratio_daily_annualised", ".2f"),
    ("trades", "trades", ",d"),
)

runs = typer.Typer(cls=PlainGroup, rich_markup_mode=None, no_args_is_help=True, help="List and compare runs.")
app.add_typer(runs, name="runs", rich_help_panel="Run", epilog="Example: bt-neuro runs list")


@command("list", group="Commands", example="bt-neuro runs list --in runs", to=runs)
def list_(
    folder: Annotated[Path, option("Folder of run folders.", "DIR", name="--in")] = Path("runs"),
) -> Outcome:
    """List runs with their figures, newest first."""
    from bt_neuro.report.console import rich_table
    from bt_neuro.report.tables import Table
    from bt_neuro.runs.listing import list_runs

    rows = list_runs(folder)
    named = [(row["run"], row) for row in rows]
    table = Table.of("run", named, COLUMNS[1:])
    problems = [row["problem"] for row in rows if row["problem"]]
    text = [rich_table(table), *problems] if rows else [f"No run in {folder}/."]
    return Outcome({"runs": rows}, text)


@command(group="Commands", example="bt-neuro runs compare runs/one runs/two --out both.html", to=runs)
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, two or more.")],
    out: Annotated[Path, option("Page to write.", "FILE.html")] = Path("runs/compare.html"),
) -> Outcome:
    """Compare runs with an account: equity curves, figures, and settings that differ."""
    from bt_neuro.report.console import rich_table
    from bt_neuro.report.side_by_side import summary_of_runs, write_side_by_side
    from bt_neuro.runs.results import open_run

    opened = [open_run(folder) for folder in folders]
    summary = summary_of_runs(opened)
    page = write_side_by_side(opened, out)
    tables = {table.title: [table.headings, *table.rows] for table in summary.tables}
    text: list[Any] = [*summary.headline]
    for table in summary.tables:
        text += [f"\n{table.title}", rich_table(table)]
    return Outcome({"html": str(page), "tables": tables}, [*text, f"\nWritten to {page}"])


@command(group="Run", example="bt-neuro repeat runs/EURUSD_H1-20261120-160448")
def repeat(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a complete backtest or portfolio.")],
    out: Annotated[Path | None, option("New folder to write.", "DIR", default="runs/NAME-TIME")] = None,
) -> Outcome:
    """Run a backtest or a portfolio again from its manifest. Exit code 3 if the results are not bit-identical."""
    from bt_neuro.runs.repeat import repeat as run_again

    with progress_bar() as progress:
        found = run_again(run, out=out, progress=progress)
    data = {
        "folder": str(found.result.folder),
        "is_identical": found.is_identical,
        "differs": list(found.differs),
        "changed": list(found.changed),
    }
    return Outcome(
        data, [str(found), f"Written to {found.result.folder}"], 0 if found.is_identical else FOUND
    )
