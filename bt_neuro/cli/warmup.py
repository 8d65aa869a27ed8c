"""bt-neuro warmup-check."""

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
    Param,
    Processes,
    Repair,
    Resample,
    Seed,
    Seeds,
    Start,
    Strategy,
    Tz,
    app,
    errors,
    progress_bar,
    strategy_and_parameters,
)


@app.command("warmup-check", epilog="Example: bt-neuro warmup-check EURUSD_H1.csv --starts 8")
def warmup_check(
    file: Annotated[Path, typer.Argument(help="Bars, as MetaTrader and other tools export them.")],
    strategy: Strategy = None,
    param: Param = None,
    device: Device = "auto",
    seed: Seed = 0,
    seeds: Seeds = None,
    step: Annotated[int, typer.Option(min=1, help="Bars from one start to the next.")] = 500,
    starts: Annotated[int, typer.Option(min=1, help="Starts later than the first bar.")] = 4,
    span: Annotated[int, typer.Option(min=1, help="Bars to go on after each start.")] = 8000,
    processes: Processes = 2,
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Start a strategy later and later, and say after how many bars that no longer matters."""
    with errors():
        from bt_neuro.validation.warmup import warmup_check as check

        options = {"device": device, "seed": seed, "seeds": seeds}
        chosen, parameters = strategy_and_parameters(strategy, param, **options)
        bars_options = {"start": start, "end": end, "tz": tz, "resample": resample}
        with progress_bar() as progress:
            result = check(
                file,
                strategy=strategy or chosen,
                parameters=parameters,
                bars_options={**bars_options, "keep_flat": keep_flat, "repair": repair},
                step=step,
                starts=starts,
                span=span,
                processes=processes,
                progress=progress,
            )
        if as_json:
            typer.echo(json.dumps(result.as_dict(), indent=2))
            return
        typer.echo(f"{result}\n\n{result.table}\n\n{MEANING}")


MEANING = """\
Features agree within 1e-9 of their largest value: before that a bar is not described as it would be with
more history. Networks that began at different bars learned from different bars and keep different weights;
they need not say the same, only be as good: compare the errors. Trades: bars with a buy or sell of either."""
