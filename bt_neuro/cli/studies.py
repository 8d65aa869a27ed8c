"""Commands of the article's studies: compare, ema-convergence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bt_neuro.cli.common import Outcome, command, progress_bar
from bt_neuro.cli.options import BarFile, BarOptions, Device, OutputOptions, Seed


@command(example="bt-neuro compare EURUSD_H1.csv --seeds 3 --eras 3")
def compare(
    file: BarFile,
    bars: BarOptions,
    output: OutputOptions,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Number of networks of each variant.")] = 3,
    seed: Seed = 0,
    eras: Annotated[int, typer.Option(metavar="N", min=1, help="Number of passes over the history.")] = 3,
    history: Annotated[
        str,
        typer.Option(
            metavar="LENGTH", help="Bars of the eras, before the middle of the file (2Y 24M 26W 90D 5000b)."
        ),
    ] = "12M",
    test: Annotated[
        str, typer.Option(metavar="LENGTH", help="Bars after the middle, to test networks of many eras.")
    ] = "12M",
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="RATES", help="Learning rates to choose from.", show_default="1e-3,5e-4,2e-4,5e-5"
        ),
    ] = None,
    device: Device = "auto",
) -> Outcome:
    """Test the article's claims on your bars, above all that batch normalisation helps."""
    from bt_neuro.report.console import render
    from bt_neuro.studies.compare import GRID
    from bt_neuro.studies.compare import compare as run

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
            out=output.out,
            resume=output.resume,
            bars_options=bars.as_dict(),
            progress=progress,
            report=not output.no_report,
        )
    return Outcome(result.manifest, render(result))


@command("ema-convergence", example="bt-neuro ema-convergence --seed 1")
def ema_convergence(
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the random numbers.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="New folder to write.", show_default="runs/ema-convergence-TIME"),
    ] = None,
) -> Outcome:
    """Measure after how many samples exponential averages join moving averages."""
    from bt_neuro.report.console import render
    from bt_neuro.studies.ema_convergence_folder import compare_statistics

    result = compare_statistics(out, seed=seed)
    return Outcome(result.manifest, render(result))


def _rates(text: str) -> list[float]:
    try:
        return [float(rate) for rate in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"the learning rates must be numbers, got {text!r}. Give some, such as 1e-3,1e-4.",
            param_hint="--grid",
        ) from error
