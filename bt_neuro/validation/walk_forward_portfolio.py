"""Walk-forward over several bar files: folds of each, and the scores and the money of all together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.io import read_csv
from bt_neuro.metrics.baselines import Predictors, table_probabilities
from bt_neuro.metrics.portfolio import account_metrics, equal_hold_pct, pooled_metrics, portfolio_sentence
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.manifest import data_manifest, strategy_manifest
from bt_neuro.runs.recording import EQUITY
from bt_neuro.runs.results import Portfolio, WalkForward
from bt_neuro.validation.fold_task import BASELINES
from bt_neuro.validation.parts import has_parts, open_folder, run_part
from bt_neuro.validation.task import importable, progress_of_all, read_several
from bt_neuro.validation.walk_forward import walk_forward

OPTIONS = ("train", "test", "step", "window", "retrain", "eras", "embargo_bars", "learning")


def walk_forward_portfolio(
    paths: Sequence[str | Path],
    *,
    account: Account | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
    **options: Any,
) -> Portfolio:
    """Run a walk-forward over each of several files, each with an equal part of the cash, and pool the tests.

    Each file is cut into folds of its own, and its money stays its own; the equity is that of all parts together.

    Parameters
    ----------
    paths : two or more bar files, or folders of them
    account : cash of all files together, and costs
    out : folder to write, new or empty; default ``runs/portfolio-walk-forward-<time>``. It holds the folder and page
        of each file's walk-forward
    resume : folder of a run over the same files that did not end, or in which folds failed
    bars_options, progress, report : as in `walk_forward`
    **options : further parameters of `walk_forward`

    Returns
    -------
    Portfolio

    Raises
    ------
    NeuroError
        If an argument is invalid, or all folds of a file fail.

    Examples
    --------
    >>> import tempfile
    >>> from bt_neuro import read_bars
    >>> folder, sample = tempfile.mkdtemp(), read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-20").frame
    >>> for name in ("EURUSD", "GBPUSD"):
    ...     sample.to_csv(f"{folder}/{name}.csv", index=False)
    >>> result = walk_forward_portfolio([folder], out=f"{folder}/run", train="120b", test="100b", jobs=1,
    ...                                 parameters={"device": "numpy"}, report=False)
    >>> pooled = result.metrics["pooled"]
    >>> pooled["signals"] == 2 * result.metrics["instruments"]["EURUSD"]["signals"], pooled["scored_hours"]
    (True, 198)
    """
    begun, account = time.perf_counter(), account or Account()
    bars = read_several(paths, bars_options)
    files = [one.path for one in bars.values()]
    names = list(bars)
    _, cls = importable(options.get("strategy", NeuroStrategy))
    manifest = {
        **strategy_manifest(cls, all_parameters(cls, options.get("parameters"))),
        "data": {name: data_manifest(one) for name, one in bars.items()},
        "account": asdict(account),
        "options": {name: options[name] for name in OPTIONS if name in options},
    }
    folder = open_folder(out, resume, "portfolio", "portfolio-walk-forward", manifest)
    runs: dict[str, WalkForward] = {}
    share = replace(account, cash=account.cash / len(files))
    with folder.recording(lambda: has_parts(folder)):
        for number, file in enumerate(files):
            run = partial(
                walk_forward,
                file,
                account=share,
                bars_options=bars_options,
                progress=progress_of_all(progress, number, len(files)),
                report=report,
                **options,
            )
            runs[file.stem] = run_part(folder, file.stem, run)
        equity = _equity(runs, share.cash)
        folder.write_table(EQUITY, equity)
        rows = {
            f"{name}/{table}": n for name, run in runs.items() for table, n in run.manifest["rows"].items()
        }
        failed = {f"{name}/{fold}": error for name, run in runs.items() for fold, error in run.failed.items()}
        status = "failed" if failed else "complete"
        rows = folder.manifest["rows"] | rows
        folder.manifest |= {"status": status, "failed": failed, "names": names, "rows": rows}
        trades = [run.trades for run in runs.values()]
        instruments = {name: _instrument(run, account.cash) for name, run in runs.items()}
        counts = ("orders", "refused_orders", "cut_orders")
        metrics: dict[str, Any] = {
            "pooled": pooled_metrics([_predictors(run) for run in runs.values()]),
            "account": {
                **account_metrics(equity, trades, account.cash),
                "equal_hold_pct": equal_hold_pct(instruments),
                **{name: sum(run.metrics[name] for run in runs.values()) for name in counts},
            },
            "seeds": _seeds(runs),
            "instruments": instruments,
        }
        metrics = {"sentence": f"Out of sample, {portfolio_sentence(metrics, names, status)}", **metrics}
        folder.save(metrics=metrics, time={"wall_s": time.perf_counter() - begun})
    result = Portfolio(folder.path, folder.manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(result)
    return result


def _equity(runs: dict[str, WalkForward], cash: float) -> pd.DataFrame:
    """Return the account of all parts at each time at which some bar was tested."""
    parts = {
        name: run.equity.drop_duplicates("datetime", keep="last").set_index("datetime")
        for name, run in runs.items()
    }

    def together(column: str, before: float) -> pd.DataFrame:
        table = pd.DataFrame({name: part[column] for name, part in parts.items()}).sort_index()
        return table.ffill().fillna(before)

    held = (together("position", 0.0) != 0).sum(axis=1)
    columns = {"cash": together("cash", cash).sum(axis=1), "equity": together("equity", cash).sum(axis=1)}
    columns["deposits"] = (
        pd.concat([run.equity.groupby("datetime")["deposits"].sum() for run in runs.values()])
        .groupby(level=0)
        .sum()
    )
    return pd.DataFrame({**columns, "positions": held}).rename_axis("datetime").reset_index()


def _predictors(run: WalkForward) -> Predictors:
    table = read_csv(run.folder / BASELINES, keep_default_na=False)
    return Predictors(run.predictions, run.outputs, table_probabilities(table), table["shape"].to_numpy())


def _seeds(runs: dict[str, WalkForward]) -> dict[str, Any] | None:
    seeds = next(iter(runs.values())).metrics["seeds"]
    return seeds and {
        "networks": seeds["networks"],
        "no_money": "each file has an account of its own, see there",
    }


def _instrument(run: WalkForward, cash: float) -> dict[str, Any]:
    net = float(run.trades["net"].sum())
    return {
        **{name: value for name, value in run.metrics.items() if name != "sentence"},
        "net": net,
        "contribution_pct": 100 * net / cash,
        "price_change_pct": run.metrics["buy_and_hold_return_pct"],
    }
