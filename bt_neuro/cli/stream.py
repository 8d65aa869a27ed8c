"""bt-neuro stream."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bt_neuro.cli.common import Device, Freeze, Param, Seed, Strategy, app, errors, strategy_and_parameters

LONGEST_LINE = 1 << 16


@app.command(epilog="Example: bt-neuro stream --resume runs/EURUSD --out live < bars.csv > signals.jsonl")
def stream(
    strategy: Strategy = None,
    param: Param = None,
    device: Device = "auto",
    seed: Seed = 0,
    freeze: Freeze = False,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Bars between checkpoints.")] = 100,
    resume: Annotated[
        Path | None, typer.Option(help="Go on from a backtest's folder, a model, or in a stream's folder.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Bars to learn from first, or those a resumed model has seen.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/stream-<time>.")] = None,
) -> None:
    """Read bars from standard input, learn from each, print one signal a bar as JSON.

    A line is time,open,high,low,close[,volume[,spread]], with or without a header, or a JSON object.
    """
    with errors():
        from bt_neuro.errors import NeuroError
        from bt_neuro.runs.stream import stream as run

        if sys.stdin is None or sys.stdout is None:
            raise NeuroError("bars come from standard input, signals go to standard output: open both")
        options = {"device": device, "seed": seed, "learning": False if freeze else None}
        chosen, parameters = strategy_and_parameters(strategy, param, **options)
        manifest = run(
            read_lines(sys.stdin.fileno(), complain),
            tell,
            complain=complain,
            strategy=chosen,
            parameters=parameters,
            out=out,
            resume=resume,
            history=history,
            checkpoint_every=checkpoint_every,
        )
        complain(f"{manifest['status']}; {manifest['bars']:,} bars, saved in {manifest['folder']}")


def complain(text: str) -> None:
    typer.echo(text, err=True)


def tell(values: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, and would complain of the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def read_lines(file: int, complain: Callable[[str], None]) -> Iterator[str]:
    """Yield the lines of a pipe as they come.

    Not by iterating over ``sys.stdin``: a thread that waits in there holds a lock which Python, when it ends,
    takes for a fatal error.
    """
    rest = b""
    while chunk := os.read(file, LONGEST_LINE):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if len(rest) > LONGEST_LINE:
            yield "a line without end"
            rest = b""
    if rest.strip():
        complain(
            f"the last line has no end and may be cut off; skipped: {rest[:60].decode('utf-8', 'replace')}"
        )
