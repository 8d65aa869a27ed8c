"""The command line: one thin function a command. Heavy imports happen inside them, so --help is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A neural network that learns on every bar inside backtrader, and says how good it really was.",
)

Json = Annotated[bool, typer.Option("--json", help="Print the machine-readable result alone on stdout.")]
Device = Annotated[
    str, typer.Option(help="auto, cpu, gpu, numpy, an index or part of a name (see `bt-neuro devices`).")
]

# How a bar file is read
Start = Annotated[str | None, typer.Option("--from", help="First time to read, such as 2010-01-01.")]
End = Annotated[str | None, typer.Option("--to", help="Last time to read; a day means all of it.")]
Tz = Annotated[str | None, typer.Option(help="Move the bars to this time zone: TO, or FROM,TO.")]
Resample = Annotated[str | None, typer.Option(help="Build bars of a coarser timeframe, such as H1.")]
KeepFlat = Annotated[bool, typer.Option(help="Keep flat weekend bars without volume.")]
Repair = Annotated[bool, typer.Option(help="Drop bad rows, and say so, instead of refusing.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bt-neuro {version('bt-neuro')}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: bt-neuro backtest EURUSD_H1.csv --spread 10 --param wing=2")
def backtest(
    file: Annotated[Path, typer.Argument(help="Bars, as MetaTrader and other tools export them.")],
    strategy: Annotated[
        str | None,
        typer.Option(help="Strategy file: mine.py or mine.py:Mine. Default: the article's expert."),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the strategy, name=value. Repeatable.")
    ] = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Of the initial weights and of dropout.")] = 0,
    cash: Annotated[float, typer.Option(help="To start with.")] = 10_000.0,
    size: Annotated[float | None, typer.Option(help="Share of the equity a position takes [0.95].")] = None,
    commission: Annotated[float, typer.Option(help="Fraction of the value traded, each side.")] = 0.0,
    spread: Annotated[
        float | None, typer.Option(help="In points. Default: the file's own spread column.")
    ] = None,
    slippage: Annotated[float, typer.Option(help="In points, against every market order.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/<file>-<time>.")] = None,
    start: Start = None,
    end: End = None,
    tz: Tz = None,
    resample: Resample = None,
    keep_flat: KeepFlat = False,
    repair: Repair = False,
    as_json: Json = False,
) -> None:
    """Run a strategy over a file of bars, learning on every bar."""
    with _errors():
        from bt_neuro.evaluate.account import Account
        from bt_neuro.evaluate.runs import backtest as run
        from bt_neuro.plugin.loading import load_strategy, parse_parameters
        from bt_neuro.plugin.strategy import NeuroStrategy
        from bt_neuro.report.console import render

        chosen = load_strategy(strategy) if strategy else NeuroStrategy
        parameters: dict[str, Any] = {"device": device, "seed": seed}
        if size is not None:
            parameters["size"] = size
        parameters |= parse_parameters(param or [], chosen)
        account = Account(cash=cash, commission=commission, spread=spread, slippage=slippage)
        bars_options = {"start": start, "end": end, "tz": tz, "resample": resample}
        with _progress() as progress:
            result = run(
                file,
                strategy=chosen,
                parameters=parameters,
                account=account,
                out=out,
                bars_options={**bars_options, "keep_flat": keep_flat, "repair": repair},
                progress=progress,
            )
        if as_json:
            typer.echo(json.dumps(result.manifest, indent=2))
        else:
            typer.echo(render(result.manifest))
            typer.echo(f"\nWritten to {result.folder}")
        if result.manifest["status"] == "interrupted":
            raise typer.Exit(130)  # what shells expect after Ctrl-C


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
    with _errors():
        from bt_neuro.market.bars import read_bars
        from bt_neuro.market.check import describe, render

        bars = read_bars(
            file, start=start, end=end, tz=tz, resample=resample, keep_flat=keep_flat, repair=repair
        )
        typer.echo(json.dumps(describe(bars), indent=2) if as_json else render(bars))


@app.command(epilog="Example: bt-neuro devices")
def devices(as_json: Json = False) -> None:
    """List the OpenCL devices, each tried with a small kernel."""
    with _errors():
        from bt_neuro.nn.device import REMEDY, listed, tried

        found = [tried(device) for device in listed()]
        if as_json:
            rows = [
                {
                    "index": device.index,
                    "name": device.name,
                    "runtime": device.runtime,
                    "version": device.version,
                    "works": device.problem is None,
                    "problem": device.problem,
                }
                for device in found
            ]
            typer.echo(json.dumps(rows, indent=2))
        else:
            for device in found:
                state = f"does not work: {device.problem}" if device.problem else "works"
                typer.echo(f"{device.index}  {device}, {device.version}: {state}")
            typer.echo("numpy  always works, some 20 times slower")
        if not any(device.problem is None for device in found):
            from bt_neuro.errors import DeviceError

            raise DeviceError(f"no OpenCL device works. {REMEDY}")


@app.command(epilog="Example: bt-neuro bench --steps 500 --no-peers")
def bench(
    device: Device = "auto",
    steps: Annotated[int, typer.Option(min=1, help="Calls timed of each way of each contestant.")] = 200,
    peers: Annotated[
        bool, typer.Option(help="Time PyTorch and JAX in the same run, where installed.")
    ] = True,
    compiled: Annotated[
        bool, typer.Option(help="Let torch.compile take part; it compiles for long.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Time one bar of the article's network on one core, beside PyTorch and JAX."""
    with _errors():
        from bt_neuro.bench import render, run_bench

        result = run_bench(
            device, steps, peers, compiled=compiled, progress=lambda doing: typer.echo(doing, err=True)
        )
        typer.echo(json.dumps(result, indent=2) if as_json else render(result))


@contextmanager
def _errors() -> Iterator[None]:
    """Turn our errors into two lines on stderr and exit code 1; BT_NEURO_DEBUG=1 shows the traceback."""
    from bt_neuro.errors import NeuroError

    try:
        yield
    except NeuroError as error:
        if os.environ.get("BT_NEURO_DEBUG") == "1":
            raise
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo(str(interrupt) or "interrupted", err=True)
        raise typer.Exit(130) from interrupt


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show bars, rate and time left on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("bar"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("bars", total=None, rate="")

        def report(done: int, total: int) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f} bars/s" if speed else "")

        yield report


if __name__ == "__main__":
    app()
