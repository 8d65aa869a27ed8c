"""Commands over many runs: walk-forward, permutation-test, tune, lookahead-check, warmup-check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bt_neuro.cli.common import FOUND, Outcome, command, option
from bt_neuro.cli.options import (
    AccountOptions,
    BarFile,
    BarFiles,
    BarOptions,
    FoldOptions,
    Kind,
    NoReport,
    Objective,
    Out,
    OutputOptions,
    Processes,
    Retrain,
    SeedMoney,
    StrategyOptions,
    WorkerOptions,
)
from bt_neuro.cli.progress import progress_bar


def _arguments(
    strategy: StrategyOptions,
    account: AccountOptions,
    bars: BarOptions,
    workers: WorkerOptions,
    output: OutputOptions,
) -> dict[str, Any]:
    """Return the arguments that the tests over many runs share."""
    cls, parameters = strategy.load(size=account.size)
    return {
        "strategy": strategy.strategy or cls,
        "parameters": parameters,
        "account": account.account(),
        "bars_options": bars.as_dict(),
        **vars(workers),
        **output.as_dict(),
    }


def _are_several(files: list[Path]) -> bool:
    return len(files) > 1 or files[0].is_dir()


@command("walk-forward", group="Test", example="bt-neuro walk-forward EURUSD_H1.csv --train 36M --test 12M")
def walk_forward(
    files: BarFiles,
    folds: FoldOptions,
    strategy: StrategyOptions,
    account: AccountOptions,
    bars: BarOptions,
    workers: WorkerOptions,
    output: OutputOptions,
    retrain: Annotated[
        Retrain,
        option("Network of a fold: a new one, one that continues to learn, or the first one unchanged."),
    ] = Retrain.fold,
    seed_money: SeedMoney = False,
) -> Outcome:
    """Test on bars not learned before, fold by fold, with one report for all.

    With --no-learning the network trains on the training parts only. Several files, or a folder, have equal
    parts of the cash and are scored together.
    """
    from bt_neuro.report.console import render
    from bt_neuro.validation.walk_forward import walk_forward as run
    from bt_neuro.validation.walk_forward_portfolio import walk_forward_portfolio

    arguments = _arguments(strategy, account, bars, workers, output)
    learning = arguments["parameters"].pop("learning", True)
    several = _are_several(files)
    test: Any = walk_forward_portfolio if several else run
    with progress_bar("folds") as progress:
        result = test(
            files if several else files[0],
            **arguments,
            **folds.as_dict(),
            retrain=retrain.value,
            learning=learning,
            seed_money=seed_money,
            progress=progress,
        )
    failed = result.manifest.get("failed", {})
    for number, problem in failed.items():
        typer.echo(f"Error: fold {number}: {problem}", err=True)
    if failed:
        typer.echo(f"Run the failed folds again with --resume {result.folder}", err=True)
    return Outcome(result.manifest, render(result), 1 if result.manifest["status"] == "failed" else 0)


@command(
    "permutation-test", group="Test", example="bt-neuro permutation-test EURUSD_H1.csv --n 99 --scores-only"
)
def permutation_test(
    files: BarFiles,
    strategy: StrategyOptions,
    account: AccountOptions,
    bars: BarOptions,
    workers: WorkerOptions,
    output: OutputOptions,
    n: Annotated[int, option("Number of surrogates.", "N", name="--n", least=1)] = 19,
    kind: Annotated[
        Kind, option("Surrogate: bars mirrored at random, permuted within the hour of the week, or permuted.")
    ] = Kind.sign,
    scores_only: Annotated[bool, option("Leave out the account.", name="--scores-only")] = False,
) -> Outcome:
    """Compare a strategy's figures with those on randomised copies of the market (surrogates).

    With --resume and a larger --n a finished test gets further surrogates. Of several files, bars of the same
    hour are mirrored together, and each file has an equal part of the cash.
    """
    from bt_neuro.report.console import render
    from bt_neuro.validation.permutation import permutation_test as run
    from bt_neuro.validation.permutation_portfolio import permutation_test_portfolio

    arguments = _arguments(strategy, account, bars, workers, output)
    several = _are_several(files)
    test: Any = permutation_test_portfolio if several else run
    with progress_bar("markets") as progress:
        result = test(
            files if several else files[0],
            **arguments,
            n=n,
            kind=kind.value,
            seed=strategy.seed,
            scores_only=scores_only,
            progress=progress,
        )
    return Outcome(result.manifest, render(result))


@command(
    group="Test",
    example="bt-neuro tune EURUSD_H1.csv --search learning_rate=1e-5..1e-2:log --search wing=1,2,3",
)
def tune(
    file: BarFile,
    search: Annotated[
        list[str],
        option("Parameter and its values: low..high, low..high:log or a,b,c. Repeatable.", "NAME=VALUES"),
    ],
    folds: FoldOptions,
    strategy: StrategyOptions,
    account: AccountOptions,
    bars: BarOptions,
    workers: WorkerOptions,
    output: OutputOptions,
    trials: Annotated[
        int, option("Number of trials, including those of earlier runs and other processes.", "N", least=1)
    ] = 30,
    objective: Annotated[
        Objective, option("Figure to improve, over all test parts together.")
    ] = Objective.sharpe,
    holdout: Annotated[
        str | None,
        option(
            "Bars at the end for one final test of the best trial; 0 for none.", "LENGTH", default="as --test"
        ),
    ] = None,
    storage: Annotated[
        str | None,
        option(
            "Database of the trials, such as postgresql://host/db, to share them with other processes.",
            "URL",
            default="a file in the folder",
        ),
    ] = None,
    study: Annotated[str, option("Name of the search in the storage.", "NAME")] = "tune",
) -> Outcome:
    """Search a strategy's parameters over walk-forward folds, and estimate how much of the result is luck."""
    from bt_neuro.report.console import render
    from bt_neuro.validation.tune import tune as run

    arguments = _arguments(strategy, account, bars, workers, output)
    learning = arguments["parameters"].pop("learning", True)
    with progress_bar("folds") as progress:
        result = run(
            file,
            **arguments,
            **folds.as_dict(),
            learning=learning,
            search=search,
            trials=trials,
            objective=objective.value,
            holdout=holdout,
            seed=strategy.seed,
            storage=storage,
            study=study,
            progress=progress,
        )
    return Outcome(result.manifest, render(result))


@command(
    "lookahead-check", group="Test", example="bt-neuro lookahead-check EURUSD_H1.csv --strategy mine.py:Mine"
)
def lookahead_check(
    files: BarFiles,
    strategy: StrategyOptions,
    bars: BarOptions,
    cuts: Annotated[
        int, option("Number of places where the future is cut and perturbed.", "N", least=1)
    ] = 12,
    processes: Processes = 2,
    out: Out = None,
    no_report: NoReport = False,
) -> Outcome:
    """Check that a strategy does not use bars that have not closed. Exit code 3 if it does.

    Several files, or a folder of them, are checked as a portfolio.
    """
    from bt_neuro.validation.check_run import write_check
    from bt_neuro.validation.lookahead import lookahead_check as run

    cls, parameters = strategy.load()
    with progress_bar() as progress:
        result = run(
            files,
            strategy=strategy.strategy or cls,
            parameters=parameters,
            bars_options=bars.as_dict(),
            cuts=cuts,
            processes=processes,
            progress=progress,
        )
    check = write_check(
        result,
        strategy=cls,
        parameters=parameters,
        options={"cuts": cuts},
        out=out,
        report=not no_report,
    )
    data, written = result.as_dict() | {"folder": str(check.folder)}, f"\nWritten to {check.folder}"
    if not result.passed:
        return Outcome(data, [str(result), result.remedy or "", written], FOUND)
    lists = {"This covers": result.covered, "It does not cover": result.not_covered}
    text = ["\n".join([f"\n{title}:", *(f"- {line}" for line in lines)]) for title, lines in lists.items()]
    return Outcome(data, [str(result), *text, written])


@command("warmup-check", group="Test", example="bt-neuro warmup-check EURUSD_H1.csv --starts 8")
def warmup_check(
    file: BarFile,
    strategy: StrategyOptions,
    bars: BarOptions,
    step: Annotated[int, option("Bars from one start to the next.", "N", least=1)] = 500,
    starts: Annotated[int, option("Number of later starts.", "N", least=1)] = 4,
    span: Annotated[int, option("Bars to run after each start.", "N", least=1)] = 8000,
    processes: Processes = 2,
    out: Out = None,
    no_report: NoReport = False,
) -> Outcome:
    """Start a strategy at later bars, and measure after how many bars the start no longer matters.

    Exit code 3 if the features never agree.
    """
    from bt_neuro.report.console import render
    from bt_neuro.validation.check_run import write_check
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
    check = write_check(
        result,
        strategy=cls,
        parameters=parameters,
        options={"step": step, "starts": starts, "span": span},
        out=out,
        report=not no_report,
    )
    exit_code = FOUND if result.features_agree_after is None else 0
    return Outcome(result.as_dict() | {"folder": str(check.folder)}, render(check), exit_code)
