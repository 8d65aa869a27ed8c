"""bt-neuro compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bt_neuro.cli.common import (
    Device,
    End,
    Json,
    KeepFlat,
    Repair,
    Report,
    Resample,
    Start,
    Tz,
    app,
    errors,
    progress_bar,
)


@app.command(epilog="Example: bt-neuro compare EURUSD_H1.csv --seeds 3 --eras 3")
def compare(
    file: Annotated[
        Path | None, typer.Argument(help="Bars, as MetaTrader and other tools export them.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Networks of each kind.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the first of them.")] = 0,
    eras: Annotated[int, typer.Option(min=1, help="How often the history is learned before the test.")] = 3,
    history: Annotated[
        str,
        typer.Option(help="What eras learn, before the middle of the file: 2Y 24M 26W 90D 5000b."),
    ] = "12M",
    test: Annotated[str, typer.Option(help="What follows, to test what learned many eras.")] = "12M",
    grid: Annotated[
        str | None, typer.Option(help="Learning rates to choose from. Default: 1e-3,5e-4,2e-4,5e-5.")
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Test when running statistics join moving ones; no FILE.")
    ] = False,
    device: Device = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: runs/<file>-compare-<time>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this folder: its finished passes are kept.")
    ] = None,
    report: Report = True,
    png: Annotated[bool, typer.Option("--png", help="Write a still picture, report.png, too.")] = False,
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Test on your bars whether batch normalisation helps the article's network, and its other claims."""
    with errors():
        if statistics:
            from bt_neuro.cli.statistics import statistics as run_statistics

            return run_statistics(out, seed=seed, png=png, as_json=as_json)
        if file is None:
            raise typer.BadParameter("give a file of bars, or --statistics", param_hint="FILE")

        from bt_neuro.report.compare_text import render
        from bt_neuro.report.screenshot import take_picture
        from bt_neuro.studies.compare import GRID
        from bt_neuro.studies.compare import compare as run

        bars_options = {"start": start, "end": end, "tz": tz, "resample": resample}
        with progress_bar() as progress:
            result = run(
                file,
                seeds=seeds,
                seed=seed,
                eras=eras,
                history=history,
                test=test,
                grid=GRID if grid is None else _rates(grid),
                device=device,
                out=out,
                resume=resume,
                bars_options={**bars_options, "keep_flat": keep_flat, "repair": repair},
                progress=progress,
                report=report or png,
            )
        if png:
            take_picture(result.folder / "report.html", result.folder / "report.png")
        if as_json:
            typer.echo(json.dumps(result.manifest, indent=2))
        else:
            typer.echo(render(result.manifest))
            typer.echo(f"\nWritten to {result.folder}")


def _rates(text: str) -> list[float]:
    try:
        return [float(rate) for rate in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r}: give learning rates, such as 1e-3,1e-4", param_hint="--grid"
        ) from error
