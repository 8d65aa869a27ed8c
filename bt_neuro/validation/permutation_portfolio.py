"""Permutation test of a portfolio: all files are mirrored by the same coins, and their figures are averaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.errors import NeuroError
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.manifest import data_manifest, strategy_manifest
from bt_neuro.runs.results import PermutationTest
from bt_neuro.validation.parts import has_parts, open_folder, run_part
from bt_neuro.validation.permutation import (
    SURROGATES,
    compared,
    permutation_test,
    require_no_fewer,
    sentence,
)
from bt_neuro.validation.task import importable, progress_of_all, read_several

SIGN = "sign"


def permutation_test_portfolio(
    paths: Sequence[str | Path],
    *,
    n: int = 19,
    kind: str = SIGN,
    seed: int = 0,
    scores_only: bool = False,
    strategy: str | type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
    **workers: Any,
) -> PermutationTest:
    """Compare the mean of a strategy's figures on several markets with that on surrogates of them.

    A time has one coin: bars of the same hour are mirrored together in all files. So the surrogates keep what the
    markets have in common, and the p-value allows for it.

    Parameters
    ----------
    paths : two or more bar files, or folders of them
    kind : "sign"; the others would break what the markets have in common
    account : cash of all files together, of which each has an equal part, and costs
    out : folder to write, new or empty; default ``runs/portfolio-permutation-test-<time>``. It holds the folder of
        each file's own test
    resume : folder of a test of the same files that did not end, or that needs more surrogates
    n, seed, scores_only, strategy, parameters, bars_options, progress, report : as in `permutation_test`
    **workers : ``jobs``, ``cluster``

    Returns
    -------
    PermutationTest
        Its figures are means over the files; of ``return_pct`` that is the return of all together.

    Raises
    ------
    NeuroError
        If an option is invalid, or a run fails.
    """
    begun, account = time.perf_counter(), account or Account()
    if kind != SIGN:
        raise NeuroError(f"kind must be {SIGN} with several files, got {kind!r}. Test each file alone.")
    bars = read_several(paths, bars_options)
    files = [one.path for one in bars.values()]
    require_no_fewer(n, [] if resume is None else [Path(resume) / name for name in bars])
    times = [one.frame["datetime"].to_numpy("datetime64[us]") for one in bars.values()]
    share = replace(account, cash=account.cash / len(files))
    _, cls = importable(strategy)
    data = {
        "file": ", ".join(file.name for file in files),
        "notes": [f"Figures are means over {len(files)} files. Bars of the same hour have one coin."],
        "instruments": {name: data_manifest(one) for name, one in bars.items()},
    }
    manifest = {
        **strategy_manifest(cls, all_parameters(cls, parameters)),
        "data": data,
        "account": asdict(account),
        "options": {"kind": kind, "seed": seed, "scores_only": scores_only},
    }
    folder = open_folder(out, resume, "permutation-test", "portfolio-permutation-test", manifest)
    tests: list[PermutationTest] = []
    with folder.recording(lambda: has_parts(folder)):
        for number, file in enumerate(files):
            run = partial(
                permutation_test,
                file,
                n=n,
                kind=kind,
                seed=seed,
                scores_only=scores_only,
                strategy=strategy,
                parameters=parameters,
                account=share,
                bars_options=bars_options,
                progress=progress_of_all(progress, number, len(files)),
                report=report,
                coin_times=np.unique(np.concatenate(times)),
                **workers,
            )
            tests.append(run_part(folder, file.stem, run))
        each = pd.concat([test.surrogates for test in tests]).groupby("number")
        means = each.sum(min_count=len(tests)) / len(tests)  # undefined where that of a file is
        folder.write_table(SURROGATES, means.reset_index())
        names = [str(name) for name in means.columns]
        by_number = {
            number: dict(zip(names, row, strict=True)) for number, row in enumerate(means.to_numpy())
        }
        figures = compared(by_number, n, names)
        folder.save(
            status="complete",
            figures=figures,
            metrics={"surrogates": n, "sentence": f"{len(files)} files: {sentence(figures, kind)}"},
            time={"wall_s": time.perf_counter() - begun},
        )
    result = PermutationTest(folder.path, folder.manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(result)
    return result
