"""Permutation test: a strategy on a market and on surrogates of it."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import NeuroError
from bt_neuro.io import open_no_follow
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import manifest_of
from bt_neuro.runs.results import PermutationTest
from bt_neuro.validation.parallel import run_tasks
from bt_neuro.validation.surrogate_task import MONEY, SCORES, SurrogateTask, run_surrogate_task
from bt_neuro.validation.surrogates import require_kind
from bt_neuro.validation.task import SAME, importable, interruptible, processes_of

SURROGATES = "surrogates.csv"
EVIDENCE = 0.05  # largest p-value that is evidence
ADJECTIVES = {"sign": "mirrored", "hour": "hour-shuffled", "bars": "bar-shuffled"}
GAINS = "gains from direction or drift"  # an account that is always long in a rising market does too


def permutation_test(
    path: str | Path,
    *,
    n: int = 19,
    kind: str = "sign",
    seed: int = 0,
    scores_only: bool = False,
    strategy: str | type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
    coin_times: NDArray[np.datetime64] | None = None,
) -> PermutationTest:
    """Compare a strategy's figures on a market with those on surrogates of it.

    Parameters
    ----------
    path : str or Path
        Bar file, in any format of `read_bars`.
    n : int, default 19
        Number of surrogates. The smallest p-value is 1 / (n + 1).
    kind : {"sign", "hour", "bars"}
        Kind of surrogate; see `surrogate`.
    seed : int, default 0
        Seed of the surrogates.
    scores_only : bool, default False
        Whether to leave out the account.
    strategy, parameters, account, jobs, cluster, bars_options, progress, report
        As in `walk_forward`.
    out : str or Path, optional
        Folder to write, new or empty. Default: ``runs/<file stem>-permutation-test-<time>``.
    resume : str or Path, optional
        Folder of a test that did not end, or that needs more surrogates. Finished ones are kept, so `n` must
        not be smaller than their number.
    coin_times : array, optional
        As of `surrogate`.

    Returns
    -------
    PermutationTest

    Raises
    ------
    NeuroError
        If an option is invalid, a run fails, or `resume` has other settings.

    Notes
    -----
    p = (1 + surrogates at least as good) / (n + 1), for each figure. An undefined figure counts against the
    strategy: that of a surrogate is as good, that of the market gives p = 1. Ruin is the worst Sharpe ratio. All
    figures are better when larger:

    - ``lift_pct``: hit rate less that of the same signals dealt at random to bars of the same visible shape
    - ``brier_lead``: Brier score of the best baseline less the network's
    - ``brier_lead_over_shape``: the same of the counters of the visible shape, which see no more than it
    - ``hit_rate_lead_pct``: hit rate less that of the best baseline at equal coverage
    - ``return_before_costs_pct``, ``return_pct``, ``sharpe_ratio_daily_annualised``: without `scores_only`

    The sentence is about ``return_before_costs_pct``, or ``lift_pct`` with `scores_only`. "sign" destroys drift
    too: always long in a rising market returns more than on nearly all surrogates. The figure must be chosen
    before the test, since of seven p-values one is often small by chance. Figures are bit-identical for any
    number of jobs, and on a cluster of equal machines.

    The network learns and predicts all bars in long launches outside backtrader, with the same bits, unless
    the strategy changes how features, label and learning are used.

    Examples
    --------
    >>> import tempfile
    >>> from bt_neuro.validation.permutation import permutation_test
    >>> test = permutation_test("data/SYNTHETIC_EURUSD_H1.csv", n=3, scores_only=True, jobs=1,
    ...                         bars_options={"end": "2024-01-19"}, parameters={"device": "numpy"},
    ...                         out=tempfile.mkdtemp(), report=False)
    >>> sorted(test.figures)
    ['brier_lead', 'brier_lead_over_shape', 'hit_rate_lead_pct', 'lift_pct']
    >>> len(test.figures["lift_pct"]["surrogates"]), test.figures["lift_pct"]["p_value"] >= 0.25
    (3, True)
    """
    started = time.perf_counter()
    if n < 1:
        raise NeuroError(f"n must be 1 or more, got {n}. Give 19 for p-values down to 0.05, 99 for 0.01.")
    require_kind(kind)
    require_no_fewer(n, [] if resume is None else [Path(resume)])
    account, bars_options = account or Account(), bars_options or {}
    bars = read_bars(path, **bars_options)
    spec, cls = importable(strategy)
    jobs = processes_of(spec, jobs, cluster)
    given = parameters or {}
    if given.get("resume") is not None:
        raise NeuroError("resume must not be a parameter: a surrogate has other bars than the checkpoint.")
    manifest = manifest_of(bars, bars_options, cls, all_parameters(cls, given), account)
    options = manifest["options"] = {"kind": kind, "seed": seed, "scores_only": scores_only}
    task = SurrogateTask.of(bars, bars_options, spec, given, account, **options, coin_times=coin_times)
    name = f"{bars.path.stem}-permutation-test"
    folder = RunFolder.open(out, resume, name, "permutation-test", manifest, SAME)
    results = _finished(folder.path)
    tasks = [replace(task, number=number) for number in range(n + 1) if number not in results]
    total = len(results) + len(tasks)

    def show() -> None:
        if progress:
            progress(len(results), total)

    with folder.recording(lambda: bool(results)):
        with interruptible(lambda: f"{len(results)} of {total} runs are finished"):
            _run(tasks, results, folder, jobs, cluster, show)
        figures = compared(results, n, SCORES if scores_only else (*SCORES, *MONEY))
        folder.save(
            status="complete",
            figures=figures,
            metrics={"surrogates": n, "sentence": sentence(figures, kind)},
            time={"wall_s": time.perf_counter() - started},
        )
    result = PermutationTest(folder.path, folder.manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(result, bars)
    return result


def _run(
    tasks: Sequence[SurrogateTask],
    results: dict[int, dict[str, float]],
    folder: RunFolder,
    jobs: int,
    cluster: str | None,
    show: Callable[[], object],
) -> None:
    show()
    with closing(run_tasks(run_surrogate_task, tasks, jobs=jobs, cluster=cluster)) as outputs:
        for task, output in outputs:
            if isinstance(output, NeuroError):
                market = f"surrogate {task.number}" if task.number else str(task.path)
                raise type(output)(f"{market}: {output}") from output
            results[task.number] = output
            rows = [{"number": number, **results[number]} for number in sorted(results)]
            folder.write_table(SURROGATES, pd.DataFrame(rows))
            show()


def require_no_fewer(n: int, folders: Sequence[Path]) -> None:
    """Raise NeuroError if a test to resume has more surrogates: a smaller n would choose the p-value."""
    for folder in folders:
        if (has := max(_finished(folder), default=0)) > n:
            raise NeuroError(
                f"n must be {has} or more, as {folder} has {has} surrogates, got {n}. "
                f"Give {has} or more, or start a new test in another folder."
            )


def _finished(folder: Path) -> dict[int, dict[str, float]]:
    """Return the figures of the runs that a resumed folder holds, by number."""
    if not (folder / SURROGATES).exists():
        return {}
    with open_no_follow(folder / SURROGATES, "r", encoding="utf-8", newline="") as file:
        # Some versions of pandas do not read back the float that was written.
        rows = [{name: float(cell or "nan") for name, cell in row.items()} for row in csv.DictReader(file)]
    return {int(row.pop("number")): row for row in rows}


def compared(results: dict[int, dict[str, float]], n: int, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return value, surrogates and p-value of each figure, from the figures by number.

    In these, an undefined one is NaN and that of ruin -inf; in the result both are None.

    Examples
    --------
    >>> compared({0: {"lift": -1.0}, 1: {"lift": float("nan")}, 2: {"lift": -2.0}}, 2, ["lift"])["lift"]["p_value"]
    0.6666666666666666
    """
    figures = {}
    for name in names:
        value, *surrogates = (results[number][name] for number in range(n + 1))
        p_value = (1 + sum(not other < value for other in surrogates)) / (n + 1)  # NaN is not less
        shown = [one if math.isfinite(one) else None for one in (value, *surrogates)]
        figures[name] = {"value": shown[0], "surrogates": shown[1:], "p_value": p_value}
    return figures


def sentence(figures: dict[str, dict[str, Any]], kind: str) -> str:
    """Return the result of a test in one sentence.

    Examples
    --------
    >>> figure = {"value": 1.5, "surrogates": [2.0] * 61 + [1.0] * 38, "p_value": 0.62}
    >>> print(sentence({"return_before_costs_pct": figure}, "hour"))  # doctest: +NORMALIZE_WHITESPACE
    On 99 hour-shuffled markets the return before costs was as good 61 times (p = 0.62): no evidence that the
    strategy uses order.
    """
    has_money = MONEY[0] in figures
    name, words = (
        (MONEY[0], "return before costs") if has_money else (SCORES[0], "lift over the visible half")
    )
    figure = figures[name]
    n, p = len(figure["surrogates"]), figure["p_value"]
    claim = "uses order" if kind != "sign" else GAINS if has_money else "knows direction"
    as_good = round(p * (n + 1)) - 1
    times = "once" if as_good == 1 else f"{as_good} times"
    markets = f"{n} {ADJECTIVES[kind]} market{'s' if n > 1 else ''}"
    evidence = "evidence" if p <= EVIDENCE else "no evidence"
    return (
        f"On {markets} the {words} was as good {times} (p = {p:.2g}): {evidence} that the strategy {claim}."
    )
