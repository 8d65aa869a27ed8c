"""Commands of single runs: backtest, stream, report."""

from __future__ import annotations

import signal as signals
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from bt_neuro.cli.common import Outcome, command, option
from bt_neuro.cli.options import (
    AccountOptions,
    BarFiles,
    BarOptions,
    OutputOptions,
    SeedMoney,
    StrategyOptions,
)
from bt_neuro.cli.output import read_lines
from bt_neuro.cli.progress import progress_bar


@command(group="Run", example="bt-neuro backtest EURUSD_H1.csv --spread 10 --param wing=2")
def backtest(
    files: BarFiles,
    strategy: StrategyOptions,
    account: AccountOptions,
    bars: BarOptions,
    output: OutputOptions,
    pretrain: Annotated[
        str | None, option("Bars to learn before the test, which begins after them.", "FROM..TO")
    ] = None,
    eras: Annotated[
        int | None, option("Number of passes over --pretrain.", "N", default="1", least=1)
    ] = None,
    until_settled: Annotated[
        bool, option("End the eras early, once their figures settle.", name="--until-settled")
    ] = False,
    checkpoint_every: Annotated[
        int | None, option("Bars between checkpoints.", "N", default="at the end only", least=1)
    ] = None,
    shared: Annotated[
        bool, option("Train one network on all files, in the order of time.", name="--shared")
    ] = False,
    seed_money: SeedMoney = False,
) -> Outcome:
    """Run a strategy over a bar file, learning on every bar; over several files on one account.

    Several files, or a folder of them, have one network each, or one for all with --shared. --resume
    continues a run, or the model.safetensors of one file, on files that have grown.
    """
    from bt_neuro.errors import StrategyError
    from bt_neuro.report.console import render
    from bt_neuro.runs.backtest import backtest as run

    options = {"size": account.size, "pretrain": pretrain, "eras": eras}
    cls, parameters = strategy.load(**options, until_settled=until_settled or None)
    if eras is not None and parameters.get("pretrain", cls.params.pretrain) is None:
        raise StrategyError("--eras needs a span to pretrain on. Give --pretrain FROM..TO too.")
    if len(files) > 1 or files[0].is_dir():
        return _portfolio(files, cls, parameters, account, bars, output, checkpoint_every, shared, seed_money)
    if shared:
        raise StrategyError("--shared needs several files, got one. Give more, or leave it out.")
    with progress_bar() as progress:
        result = run(
            files[0],
            strategy=cls,
            parameters=parameters,
            account=account.account(),
            **output.as_dict(),
            bars_options=bars.as_dict(),
            progress=progress,
            era_progress=lambda era, n, done, total: progress(done, total, f"era {era} of {n}, bar"),
            checkpoint_every=checkpoint_every,
            seed_money=seed_money,
        )
    return Outcome(result.manifest, render(result), _exit_code(result.manifest))


def _exit_code(manifest: dict[str, Any]) -> int:
    """Return 0, or as shells do 130 of a run that Ctrl-C has stopped, 143 of one that SIGTERM has."""
    stopped_by = manifest.get("stopped_by", "")
    return 128 + signals.Signals[stopped_by] if stopped_by in signals.Signals.__members__ else 0


def _portfolio(
    files: list[Path],
    strategy: Any,
    parameters: dict[str, Any],
    account: AccountOptions,
    bars: BarOptions,
    output: OutputOptions,
    checkpoint_every: int | None,
    shared: bool,
    seed_money: bool,
) -> Outcome:
    from bt_neuro.report.console import render
    from bt_neuro.runs.portfolio import portfolio

    with progress_bar() as progress:
        result = portfolio(
            files,
            strategy=strategy,
            parameters=parameters,
            account=account.account(),
            shared=shared,
            **output.as_dict(),
            bars_options=bars.as_dict(),
            progress=progress,
            checkpoint_every=checkpoint_every,
            seed_money=seed_money,
        )
    return Outcome(result.manifest, render(result), _exit_code(result.manifest))


@command(
    group="Run",
    example="bt-neuro stream --resume runs/EURUSD --out live < bars.csv > answers.jsonl",
    has_json=False,
)
def stream(
    strategy: StrategyOptions,
    account: AccountOptions,
    symbols: Annotated[
        str | None, option("Names of several instruments; each line has one.", "NAME,NAME,...")
    ] = None,
    checkpoint_every: Annotated[
        int | None, option("Bars between checkpoints.", "N", default="100", least=1)
    ] = None,
    history: Annotated[
        Path | None,
        option("Bars to learn first, or those a resumed model has seen; with --symbols a folder.", "FILE"),
    ] = None,
    out: Annotated[Path | None, option("New folder to write.", "DIR", default="runs/stream-TIME")] = None,
    resume: Annotated[
        Path | None, option("Folder of a backtest or a stream to continue, or a model.", "DIR")
    ] = None,
    tell_from: Annotated[
        str,
        option(
            "First bar whose answer is sent again; last-told: only answers not sent yet.", "BAR|last-told"
        ),
    ] = "last-told",
    position: Annotated[float | None, option("Units that the real account holds.", "UNITS")] = None,
    point: Annotated[
        float | None, option("Smallest step of the price.", "PRICE", default="from the prices")
    ] = None,
    max_move: Annotated[
        float, option("Largest distance from the last close, as a share; 0 for no limit.", "SHARE")
    ] = 0.5,
    max_ahead: Annotated[
        float, option("Hours by which a bar may be later than now; 0 for no limit.", "HOURS")
    ] = 24.0,
    heartbeat: Annotated[
        float | None, option("Seconds between heartbeats on stderr.", "SECONDS", default="none")
    ] = None,
) -> None:
    """Read bars from standard input, learn from each, and print one JSON answer per line.

    A line is time,open,high,low,close[,volume[,spread]], with or without a header, or a JSON object. With --symbols
    a column or key "symbol" names the instrument; each has its own network, and all share one account.
    """
    from bt_neuro.bars.limits import Limits
    from bt_neuro.cli.output import Output
    from bt_neuro.errors import NeuroError
    from bt_neuro.runs.stream import stream as run

    if sys.stdin is None or sys.stdout is None:
        raise NeuroError("stream needs standard input for bars and standard output for answers. Open both.")
    cls, parameters = strategy.load(size=account.size)
    answers, notes = Output(sys.stdout.fileno()), Output(sys.stderr.fileno(), is_lossy=True)
    with redirect_stdout(sys.stderr):  # a strategy may print, and stdout belongs to the answers
        result = run(
            read_lines(sys.stdin.fileno(), notes.text),
            answers.json,
            warn=notes.text,
            event=notes.json,
            on_stop=answers.stop,
            strategy=cls,
            parameters=parameters,
            account=None if account == AccountOptions(size=account.size) else account.account(),
            point=point,
            limits=Limits(max_move, max_ahead),
            out=out,
            resume=resume,
            history=history,
            checkpoint_every=checkpoint_every,
            tell_from=int(tell_from) if tell_from.isdigit() else tell_from,
            position=position,
            heartbeat_s=heartbeat,
            symbols=None if symbols is None else [name.strip() for name in symbols.split(",")],
        )
    signal = result.manifest.get("stopped_by")
    ended = f"stopped by {signal}" if signal else "end of input"
    notes.text(f"{ended}; {result.metrics['bars']:,} bars, saved in {result.folder}")


@command(group="Run", example="bt-neuro watch live", has_json=False)
def watch(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Run folder.", show_default="the latest one in runs/"),
    ] = None,
    port: Annotated[int, option("Port to listen on; 0 for a free one.", "N", least=0, most=65_535)] = 5006,
    host: Annotated[str, option("Address to listen on.", "ADDRESS")] = "127.0.0.1",
    no_open: Annotated[bool, option("Do not open the page in a browser.", name="--no-open")] = False,
) -> None:
    """Show a run in progress on a local page; /healthz returns 200 while the run is healthy."""
    from bt_neuro.runs.listing import latest_run
    from bt_neuro.watch.server import watch as serve

    def started(address: str) -> None:
        typer.echo(address)
        if not no_open and sys.stdout is not None and sys.stdout.isatty():
            typer.launch(address)

    serve(run or latest_run(), host=host, port=port, started=started)


@command(group="Run", example="bt-neuro report runs/EURUSD_H1-20261120-160448")
def report(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Run folder.", show_default="the latest one in runs/"),
    ] = None,
    no_open: Annotated[bool, option("Do not open the page in a browser.", name="--no-open")] = False,
) -> Outcome:
    """Write the report.html of a run again, and open it. The page works offline."""
    from bt_neuro.report.page import write_page
    from bt_neuro.runs.listing import latest_run
    from bt_neuro.runs.results import open_run

    page = write_page(open_run(run or latest_run()))
    if not no_open and sys.stdout.isatty():
        typer.launch(page.resolve().as_uri())
    return Outcome({"html": str(page)}, [str(page)])
