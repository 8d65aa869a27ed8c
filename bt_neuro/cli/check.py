"""bt-neuro check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bt_neuro.cli.common import End, Json, KeepFlat, Repair, Resample, Start, Tz, app, errors


@app.command(epilog="Example: bt-neuro check EURUSD_H1.csv --json")
def check(
    file: Annotated[Path, typer.Argument(help="A file of bars.")],
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Print what was understood of a bar file, or why it is refused."""
    with errors():
        from bt_neuro.bars.describe import describe, render
        from bt_neuro.bars.reader import read_bars

        bars = read_bars(
            file, start=start, end=end, tz=tz, resample=resample, keep_flat=keep_flat, repair=repair
        )
        typer.echo(json.dumps(describe(bars), indent=2) if as_json else render(bars))
