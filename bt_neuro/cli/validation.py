"""Commands over many runs: walk-forward, tune, lookahead-check, warmup-check."""

from __future__ import annotations

from typing import Annotated

import typer

from bt_neuro.cli.common import FOUND, Outcome, command, progress_bar
from bt_neuro.cli.options import (
    AccountOptions,
    BarFile,
    BarOptions,
    FoldOptions,
    Objective,
    OutputOptions,
    Processes,
    Retrain,
    StrategyOptions,
)


@command("walk-forward", example="bt-neuro walk-forward EURUSD_H1.csv --train 36M --test 12M")
def walk_forward(
    file: BarFile,
    folds: FoldOptions,
    strategy: StrategyOptions,
    account: AccountOptions,
    bars: BarOptions,
    output: OutputOptions,
    retrain: Annotated[
        Retrain,
        typer.Option(
            help="Network of a fold: a new one for each fold, one that continues to learn, "
            "or one that never learns after the first training part."
        ),
    ] = Retrain.fold,
) -> Outcome:
    """Test on bars that were not learned before, fold after fold, with one report for all.

    With --no-learning the network trains on the training parts only.
    """
    from bt_neuro.report.console import render
    from bt_neuro.validation.walk_forward import walk_forward as run

    cls, parameters = strategy.load(size=account.size)
    learning = parameters.pop("learning", True)
    with progress_bar("folds") as progress:
        result = run(
            file,
            strategy=strategy.strategy or cls,
            parameters=parameters,
            account=account.account(),
            **folds.as_dict(),
            retrain=retrain.value,
            learning=learning,
            out=output.out,
            resume=output.resume,
            bars_options=bars.as_dict(),
            progress=progress,
            report=not output.no_report,
        )
    for number, problem in result.failed.items():
        typer.echo(f"Error: fold {number}: {problem}", err=True)
    if result.failed:
        typer.echo(f"Run the failed folds again with --resume {result.folder}", err=True)
    return Outcome(result.manifest, render(result), 1 if result.failed else 0)


@command(example="bt-neuro tune EURUSD_H1.csv --search learning_rate=1e-5..1e-2:log --search wing=1,2,3")
def tune(
    file: BarFile,
    search: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUES",
            help="Parameter and its values: low..high, low..high:log or a,b,c. Repeatable.",
        ),
    ],
    folds: FoldOptions,
    strategy: StrategyOptions,
    account: AccountOptions,
    bars: BarOptions,
    output: OutputOptions,
    trials: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Number of trials, with those of earlier runs and other processes."
        ),
    ] = 30,
    objective: Annotated[
        Objective, typer.Option(help="Figure to improve, over all test parts together.")
    ] = Objective.sharpe,
    holdout: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Bars at the end for one final test of the best trial; 0 for none.",
            show_default="as --test",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database of the trials, such as postgresql://host/db. The same command on the same "
            "storage shares the work.",
            show_default="a file in the folder",
        ),
    ] = None,
    study: Annotated[str, typer.Option(metavar="NAME", help="Name of the search in the storage.")] = "tune",
) -> Outcome:
    """Search a strategy's parameters over walk-forward folds, with an estimate of the part of luck."""
    from bt_neuro.report.console import render
    from bt_neuro.validation.tune import tune as run

    cls, parameters = strategy.load(size=account.size)
    learning = parameters.pop("learning", True)
    with progress_bar("folds") as progress:
        result = run(
            file,
            search=search,
            strategy=strategy.strategy or cls,
            parameters=parameters,
            account=account.account(),
            trials=trials,
            objective=objective.value,
            **folds.as_dict(),
            learning=learning,
            holdout=holdout,
            seed=strategy.seed,
            storage=storage,
            study=study,
            out=output.out,
            resume=output.resume,
            bars_options=bars.as_dict(),
            progress=progress,
            report=not output.no_report,
        )
    return Outcome(result.manifest, render(result))


@command("lookahead-check", example="bt-neuro lookahead-check EURUSD_H1.csv --strategy mine.py:Mine")
def lookahead_check(
    file: BarFile,
    strategy: StrategyOptions,
    bars: BarOptions,
    cuts: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of places where the future is cut and perturbed.")
    ] = 12,
    processes: Processes = 2,
) -> Outcome:
    """Search for a use of bars that have not closed. Exit code 3 if there is one."""
    from bt_neuro.validation.lookahead import lookahead_check as run

    cls, parameters = strategy.load()
    with progress_bar() as progress:
        result = run(
            file,
            strategy=strategy.strategy or cls,
            parameters=parameters,
            bars_options=bars.as_dict(),
            cuts=cuts,
            processes=processes,
            progress=progress,
        )
    if not result.passed:
        return Outcome(result.as_dict(), [str(result), result.remedy or ""], FOUND)
    lists = {"This covers": result.covered, "It does not cover": result.not_covered}
    text = ["\n".join([f"\n{title}:", *(f"- {line}" for line in lines)]) for title, lines in lists.items()]
    return Outcome(result.as_dict(), [str(result), *text])


@command("warmup-check", example="bt-neuro warmup-check EURUSD_H1.csv --starts 8")
def warmup_check(
    file: BarFile,
    strategy: StrategyOptions,
    bars: BarOptions,
    step: Annotated[int, typer.Option(metavar="N", min=1, help="Bars from one start to the next.")] = 500,
    starts: Annotated[int, typer.Option(metavar="N", min=1, help="Number of later starts.")] = 4,
    span: Annotated[int, typer.Option(metavar="N", min=1, help="Bars to run after each start.")] = 8000,
    processes: Processes = 2,
) -> Outcome:
    """Start a strategy later and later, and measure after how many bars that no longer matters.

    Exit code 3 if the features never come to agree.
    """
    from bt_neuro.validation.warmup import warmup_check as run

    cls, parameters = strategy.load()
    with progress_bar() as progress:
        result = run(
            file,
            strategy=strategy.strategy or cls,
            parameters=parameters,
            bars_options=bars.as_dict(),
            step=step,
            starts=starts,
            span=span,
            processes=processes,
            progress=progress,
        )
    exit_code = FOUND if result.features_agree_after is None else 0
    return Outcome(result.as_dict(), [str(result), f"\n{result.table}", f"\n{AGREEMENT}"], exit_code)


AGREEMENT = """\
Features agree within 1e-9 of their largest value. Before that, a bar's features differ from those with more
bars before it. Networks that began at different bars learned from different bars and keep different weights.
They need not agree, only be as good: compare the errors. Trades: bars with a buy or sell of either."""
