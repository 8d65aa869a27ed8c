"""Commands of the article's studies: compare, ema-convergence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bt_neuro.cli.common import Outcome, command, option
from bt_neuro.cli.options import BarFile, BarOptions, Device, OutputOptions, Seed
from bt_neuro.cli.progress import progress_bar


@command(group="Study", example="bt-neuro compare EURUSD_H1.csv --seeds 3 --eras 3")
def compare(
    file: BarFile,
    bars: BarOptions,
    output: OutputOptions,
    seeds: Annotated[int, option("Number of networks of each variant.", "N", least=1)] = 3,
    seed: Seed = 0,
    eras: Annotated[int, option("Number of passes over the history.", "N", least=1)] = 3,
    history: Annotated[
        str, option("Bars of the eras, before the middle of the file (2Y 24M 26W 90D 5000b).", "LENGTH")
    ] = "12M",
    test: Annotated[str, option("Bars after the middle, to test networks of many eras.", "LENGTH")] = "12M",
    grid: Annotated[
        str | None, option("Learning rates to choose from.", "RATES", default="1e-3,5e-4,2e-4,5e-5")
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
            **output.as_dict(),
            bars_options=bars.as_dict(),
            progress=progress,
        )
    return Outcome(result.manifest, render(result))


@command("ema-convergence", group="Study", example="bt-neuro ema-convergence --seed 1")
def ema_convergence(
    seed: Annotated[int, option("Seed of the random numbers.", "N", least=0)] = 0,
    out: Annotated[
        Path | None, option("New folder to write.", "DIR", default="runs/ema-convergence-TIME")
    ] = None,
) -> Outcome:
    """Measure after how many samples exponential averages agree with moving averages."""
    from bt_neuro.report.console import render
    from bt_neuro.studies.ema_convergence import ema_convergence as run

    result = run(out, seed=seed)
    return Outcome(result.manifest, render(result))


def _rates(text: str) -> list[float]:
    try:
        return [float(rate) for rate in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"the learning rates must be numbers, got {text!r}. Give some, such as 1e-3,1e-4.",
            param_hint="--grid",
        ) from error
