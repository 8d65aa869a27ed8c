"""bt-neuro lookahead-check."""

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


@app.command(
    "lookahead-check", epilog="Example: bt-neuro lookahead-check EURUSD_H1.csv --strategy mine.py:Mine"
)
def lookahead_check(
    file: Annotated[Path, typer.Argument(help="Bars, as MetaTrader and other tools export them.")],
    strategy: Strategy = None,
    param: Param = None,
    device: Device = "auto",
    seed: Seed = 0,
    seeds: Seeds = None,
    cuts: Annotated[int, typer.Option(min=1, help="Places where the future is cut off and perturbed.")] = 12,
    processes: Processes = 2,
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Look for use of bars that have not closed; exit code 1 when there is one."""
    with errors():
        from bt_neuro.validation.lookahead import lookahead_check as check

        options = {"device": device, "seed": seed, "seeds": seeds}
        chosen, parameters = strategy_and_parameters(strategy, param, **options)
        bars_options = {"start": start, "end": end, "tz": tz, "resample": resample}
        with progress_bar() as progress:
            result = check(
                file,
                strategy=strategy or chosen,
                parameters=parameters,
                bars_options={**bars_options, "keep_flat": keep_flat, "repair": repair},
                cuts=cuts,
                processes=processes,
                progress=progress,
            )
        if as_json:
            typer.echo(json.dumps(result.as_dict(), indent=2))
        else:
            typer.echo(result)
            if result.passed:
                _list("This covers", result.covered)
                _list("It does not cover", result.not_covered)
            else:
                typer.echo(result.remedy)
        if not result.passed:
            raise typer.Exit(1)


def _list(title: str, sentences: tuple[str, ...]) -> None:
    typer.echo(f"\n{title}:")
    for sentence in sentences:
        typer.echo(f"- {sentence}")
