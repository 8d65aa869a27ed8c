"""bt-neuro backtest."""

from __future__ import annotations

import json
import signal as signals
from pathlib import Path
from typing import Annotated

import typer

from bt_neuro.cli.common import (
    Commission,
    Device,
    End,
    Freeze,
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


@app.command(epilog="Example: bt-neuro backtest EURUSD_H1.csv --spread 10 --param wing=2")
def backtest(
    file: Annotated[Path, typer.Argument(help="Bars, as MetaTrader and other tools export them.")],
    strategy: Strategy = None,
    param: Param = None,
    device: Device = "auto",
    seed: Seed = 0,
    seeds: Seeds = None,
    cash: Annotated[float, typer.Option(help="To start with.")] = 10_000.0,
    size: Size = None,
    commission: Commission = 0.0,
    spread: Spread = None,
    slippage: Slippage = 0.0,
    freeze: Freeze = False,
    pretrain: Annotated[
        str | None,
        typer.Option(help="FROM..TO: bars to learn, again and again, before the test of those after them."),
    ] = None,
    eras: Annotated[int | None, typer.Option(min=1, help="How often --pretrain is learned [1].")] = None,
    until_settled: Annotated[
        bool, typer.Option("--until-settled", help="End the eras sooner, when their figures settle.")
    ] = False,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(min=1, help="Bars between checkpoints. Default: only at the end."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on from this run, or model.safetensors, with the grown file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/<file>-<time>.")] = None,
    report: Report = True,
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Run a strategy over a file of bars, learning on every bar."""
    with errors():
        from bt_neuro.account.account import Account
        from bt_neuro.errors import StrategyError
        from bt_neuro.report.console import render
        from bt_neuro.runs.backtest import backtest as run

        options = {"size": size, "seeds": seeds, "pretrain": pretrain, "eras": eras}
        options |= {"until_settled": until_settled or None, "learning": False if freeze else None}
        chosen, parameters = strategy_and_parameters(strategy, param, device=device, seed=seed, **options)
        if eras is not None and parameters.get("pretrain", chosen.params.pretrain) is None:
            raise StrategyError("--eras says how often --pretrain FROM..TO is learned: give that too")
        account = Account(cash=cash, commission=commission, spread=spread, slippage=slippage)
        bars_options = {"start": start, "end": end, "tz": tz, "resample": resample}
        with progress_bar() as progress:
            result = run(
                file,
                strategy=chosen,
                parameters=parameters,
                account=account,
                out=out,
                bars_options={**bars_options, "keep_flat": keep_flat, "repair": repair},
                progress=progress,
                era_progress=lambda era, all_, done, bars: progress(done, bars, f"era {era} of {all_}, bar"),
                checkpoint_every=checkpoint_every,
                resume=resume,
                report=report,
            )
        if as_json:
            typer.echo(json.dumps(result.manifest, indent=2))
        else:
            typer.echo(render(result.manifest))
            typer.echo(f"\nWritten to {result.folder}")
        stopped_by = result.manifest.get("stopped_by", "")
        if stopped_by in signals.Signals.__members__:
            raise typer.Exit(128 + signals.Signals[stopped_by])  # as shells do: 130 after Ctrl-C, 143 SIGTERM
