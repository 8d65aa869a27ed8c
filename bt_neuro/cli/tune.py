"""bt-neuro tune."""

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
    Repair,
    Resample,
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


@app.command(
    epilog="Example: bt-neuro tune EURUSD_H1.csv --search learning_rate=1e-5..1e-2:log --search wing=1,2,3"
)
def tune(
    file: Annotated[Path, typer.Argument(help="Bars, as MetaTrader and other tools export them.")],
    search: Annotated[
        list[str],
        typer.Option(
            help="A parameter and what to choose from: name=low..high, name=low..high:log or name=a,b,c. "
            "Repeatable."
        ),
    ],
    trials: Annotated[
        int, typer.Option(min=1, help="In all, those of earlier runs and other processes included.")
    ] = 30,
    objective: Annotated[
        str, typer.Option(help="sharpe, return, hit_rate or brier_score, of the test parts together.")
    ] = "sharpe",
    holdout: Annotated[
        str | None,
        typer.Option(
            help="Length at the end that the search does not see; the best is tested there once. "
            "0 keeps nothing. Default: as --test."
        ),
    ] = None,
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
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where trials are kept, such as postgresql://host/db: whoever starts the same command on "
            "the same storage shares the work. Default: a file in the folder."
        ),
    ] = None,
    study: Annotated[str, typer.Option(help="Name of the search in the storage.")] = "tune",
    strategy: Strategy = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="A parameter of the strategy that is not searched, name=value. Repeatable."),
    ] = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Of the search, the initial weights and dropout.")] = 0,
    cash: Annotated[float, typer.Option(help="Each fold starts with.")] = 10_000.0,
    size: Size = None,
    commission: Commission = 0.0,
    spread: Spread = None,
    slippage: Slippage = 0.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: runs/<file>-tune-<time>.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this folder: its trials are kept.")] = None,
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Search a strategy's parameters over walk-forward folds, and say how much of the best is luck."""
    with errors():
        from bt_neuro.account.account import Account
        from bt_neuro.report.tune_console import render
        from bt_neuro.validation.tune import tune as run

        options = {"device": device, "seed": seed, "size": size}
        chosen, parameters = strategy_and_parameters(strategy, param, **options)
        bars_options = {"start": start, "end": end, "tz": tz, "resample": resample}
        with progress_bar("folds") as progress:
            result = run(
                file,
                search=search,
                strategy=strategy or chosen,
                parameters=parameters,
                account=Account(cash=cash, commission=commission, spread=spread, slippage=slippage),
                trials=trials,
                objective=objective,
                train=train,
                test=test,
                step=step,
                mode=mode,
                eras=eras,
                embargo_bars=embargo,
                learn_in_test=learn_in_test,
                holdout=holdout,
                seed=seed,
                jobs=jobs,
                cluster=cluster,
                storage=storage,
                study=study,
                out=out,
                resume=resume,
                bars_options={**bars_options, "keep_flat": keep_flat, "repair": repair},
                progress=progress,
            )
        if as_json:
            typer.echo(json.dumps(result.manifest, indent=2))
        else:
            typer.echo(render(result.manifest, result.trials))
            typer.echo(f"\nWritten to {result.folder}")
