"""bt-neuro walk-forward."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bt_neuro.cli.common import (
    Commission,
    Device,
    End,
    Json,
    KeepFlat,
    Param,
    Repair,
    Report,
    Resample,
    Seed,
    Seeds,
    Size,
    Slippage,
    Spread,
    Start,
    Strategy,
    Tz,
    app,
    errors,
    progress_bar,
    strategy_and_parameters,
)


@app.command(epilog="Example: bt-neuro walk-forward EURUSD_H1.csv --train 36M --test 12M")
def walk_forward(
    file: Annotated[Path, typer.Argument(help="Bars, as MetaTrader and other tools export them.")],
    train: Annotated[
        str,
        typer.Option(
            help="Length of a training part: years, months, weeks, days, bars: 2Y 24M 26W 90D 5000b."
        ),
    ] = "24M",
    test: Annotated[str, typer.Option(help="Length of a test part.")] = "6M",
    step: Annotated[str | None, typer.Option(help="From one fold to the next. Default: as --test.")] = None,
    mode: Annotated[
        str, typer.Option(help="rolling: train on the last --train only; anchored: on all bars before.")
    ] = "rolling",
    ingest: Annotated[
        str,
        typer.Option(
            help="refit: a new network for each fold; update: one that keeps what it learned; "
            "freeze: one that learned the first training part and no more."
        ),
    ] = "refit",
    eras: Annotated[int, typer.Option(help="How often a training part is learned.")] = 1,
    embargo: Annotated[
        int, typer.Option(help="Bars before a test part that are not learned in training.")
    ] = 0,
    learn_in_test: Annotated[
        bool, typer.Option(help="Go on learning in the test parts, bar by bar, as it would live.")
    ] = True,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Folds at the same time. Default: one for each core.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Dask scheduler whose workers run the folds, such as tcp://10.0.0.1:8786."),
    ] = None,
    strategy: Strategy = None,
    param: Param = None,
    device: Device = "auto",
    seed: Seed = 0,
    seeds: Seeds = None,
    cash: Annotated[float, typer.Option(help="Each fold starts with.")] = 10_000.0,
    size: Size = None,
    commission: Commission = 0.0,
    spread: Spread = None,
    slippage: Slippage = 0.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: runs/<file>-walk-forward-<time>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this folder: its finished folds are kept.")
    ] = None,
    report: Report = True,
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Test on bars that were not learned before, fold after fold, and report them together."""
    with errors():
        from bt_neuro.account.account import Account
        from bt_neuro.report.walk_forward_console import render
        from bt_neuro.validation.walk_forward import walk_forward as run

        options = {"device": device, "seed": seed, "size": size, "seeds": seeds}
        chosen, parameters = strategy_and_parameters(strategy, param, **options)
        bars_options = {"start": start, "end": end, "tz": tz, "resample": resample}
        with progress_bar("folds") as progress:
            result = run(
                file,
                strategy=strategy or chosen,
                parameters=parameters,
                account=Account(cash=cash, commission=commission, spread=spread, slippage=slippage),
                train=train,
                test=test,
                step=step,
                mode=mode,
                ingest=ingest,
                eras=eras,
                embargo_bars=embargo,
                learn_in_test=learn_in_test,
                jobs=jobs,
                cluster=cluster,
                out=out,
                resume=resume,
                bars_options={**bars_options, "keep_flat": keep_flat, "repair": repair},
                progress=progress,
                report=report,
            )
        if as_json:
            typer.echo(json.dumps(result.manifest, indent=2))
        else:
            typer.echo(render(result.manifest, result.folds))
            typer.echo(f"\nWritten to {result.folder}")
        for number, problem in result.failed.items():
            typer.echo(f"Error: fold {number}: {problem}", err=True)
        if result.failed:
            typer.echo(f"Go on with the folds that failed: --resume {result.folder}", err=True)
            raise typer.Exit(1)
