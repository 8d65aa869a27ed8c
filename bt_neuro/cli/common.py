"""What the commands share: the app, common options, errors, progress."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A neural network that learns on every bar inside backtrader, and says how good it really was.",
)

FULL_OR_READ_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Json = Annotated[bool, typer.Option("--json", help="Print the machine-readable result alone on stdout.")]
Device = Annotated[
    str, typer.Option(help="auto, cpu, gpu, numpy, an index or part of a name (see `bt-neuro devices`).")
]
Freeze = Annotated[bool, typer.Option("--freeze", help="Predict and score only; do not learn.")]
Strategy = Annotated[
    str | None, typer.Option(help="Strategy file: mine.py or mine.py:Mine. Default: the article's expert.")
]
Param = Annotated[list[str] | None, typer.Option(help="A parameter of the strategy, name=value. Repeatable.")]
Seed = Annotated[int, typer.Option(help="Of the initial weights and of dropout.")]
Seeds = Annotated[
    int | None, typer.Option(min=1, help="Networks that learn side by side, from seed on, and vote.")
]
Size = Annotated[float | None, typer.Option(help="Share of the equity a position takes [0.95].")]
Commission = Annotated[float, typer.Option(help="Fraction of the value traded, each side.")]
Spread = Annotated[float | None, typer.Option(help="In points. Default: the file's own spread column.")]
Slippage = Annotated[float, typer.Option(help="In points, against market orders, as far as the bar reaches.")]
Processes = Annotated[int, typer.Option(min=1, help="Runs at the same time.")]

# How a bar file is read
Start = Annotated[str | None, typer.Option("--from", help="First time to read, such as 2010-01-01.")]
End = Annotated[str | None, typer.Option("--to", help="Last time to read; a day means all of it.")]
Tz = Annotated[str | None, typer.Option(help="Move the bars to this time zone: TO, or FROM,TO.")]
Resample = Annotated[str | None, typer.Option(help="Build bars of a coarser timeframe, such as H1.")]
KeepFlat = Annotated[bool, typer.Option(help="Keep flat weekend bars without volume.")]
Report = Annotated[bool, typer.Option(help="Write report.html too.")]
Repair = Annotated[bool, typer.Option(help="Drop bad rows, and say so, instead of refusing.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bt-neuro {version('bt-neuro')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    # Python looks for cycles to free in all that the libraries hold: 0.2 s of a backtest at its own threshold
    # of 700 new objects, and 0.4 s at the end, when the system takes back the memory anyway.
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)


@contextmanager
def errors() -> Iterator[None]:
    """Turn our errors into two lines on stderr and exit code 1; BT_NEURO_DEBUG=1 shows the traceback."""
    from bt_neuro.errors import NeuroError

    try:
        yield
    except (NeuroError, OSError) as error:
        told = str(error)
        if isinstance(error, OSError):
            if error.errno not in FULL_OR_READ_ONLY:
                raise
            where = f"{error.filename}: " if error.filename else ""
            told = f"{where}{error.strerror}.\nMake room there, or write elsewhere."
        if os.environ.get("BT_NEURO_DEBUG") == "1":
            raise
        typer.echo(f"Error: {told}", err=True)
        raise typer.Exit(1) from error
    except SystemExit as left:  # a strategy's: what it broke off must not pass for done
        told = f"the strategy left by exit({left.code!r}); to end a run call self.env.runstop()"
        typer.echo(f"Error: {told}", err=True)
        raise typer.Exit(1) from left
    except KeyboardInterrupt as interrupt:
        typer.echo(str(interrupt) or "interrupted", err=True)
        raise typer.Exit(130) from interrupt


def strategy_and_parameters(
    strategy: str | None, param: list[str] | None, **options: Any
) -> tuple[Any, dict[str, Any]]:
    """Return the class that --strategy names, and its parameters by options (None: not given) and --param."""
    from bt_neuro.plugin.loading import load_strategy, parse_parameters
    from bt_neuro.plugin.strategy import NeuroStrategy

    chosen = load_strategy(strategy) if strategy else NeuroStrategy
    given = {name: value for name, value in options.items() if value is not None}
    written = parse_parameters(param or [], chosen)
    for name in given.keys() & written.keys() - {"device", "seed"}:  # which always have a value
        raise typer.BadParameter(f"{name} has an option too, and both are given", param_hint="--param")
    return chosen, given | written


@contextmanager
def progress_bar(what: str = "bars") -> Iterator[Callable[..., None]]:
    """Show what is done, its rate and time left on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what.removesuffix("s"), total=None, rate="")

        def report(done: int, total: int, of: str = what.removesuffix("s")) -> None:
            speed = bar.tasks[task].speed
            bar.update(
                task,
                description=of,
                completed=done,
                total=total,
                rate=f"{speed:,.0f} {what}/s" if speed and speed >= 1 else "",
            )

        yield report
