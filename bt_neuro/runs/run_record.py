"""RunRecord: the run folder, scores and page of a strategy in a custom Cerebro."""

from __future__ import annotations

import time
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.account.bar_time import opening_line
from bt_neuro.account.costs import costs_used
from bt_neuro.bars.reader import Bars
from bt_neuro.bars.timeframe import commonest_step, find_gaps
from bt_neuro.errors import StrategyError
from bt_neuro.metrics.seeds import SeedMoney
from bt_neuro.plugin.checks import is_neural
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.feed_frame import COLUMNS
from bt_neuro.runs.figures import network_manifest, run_figures
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import strategy_manifest
from bt_neuro.runs.recording import EQUITY, Recording
from bt_neuro.runs.results import Result

NO_SEED_MONEY = SeedMoney(reason="RunRecord cannot run your Cerebro again")


class RunRecord(bt.Analyzer):
    """Write the run folder of a `NeuroStrategy` in a custom Cerebro: tables, scores, baselines, money and page.

    The folder is that of ``bt-neuro backtest``, without a checkpoint. It is complete when ``cerebro.run()`` returns.
    If that raises an exception, the folder has the status "failed" once the Cerebro is deleted.
    Beside other strategies it is idle.

    Params:

      - ``out`` (default: ``None``): folder to write, new or empty; ``runs/<feed or strategy>-<time>``
      - ``report`` (default: ``True``): write ``report.html``

    Attributes
    ----------
    result : the `Result`, as `open_run` returns it; None before the end, and without a bar

    Methods
    -------
      - ``get_analysis``: the metrics of ``run.json``

    Raises
    ------
    StrategyError
        If the Cerebro has no margin account, or its feed keeps no bars.

    Examples
    --------
    >>> import tempfile
    >>> from bt_neuro import NeuroStrategy, margin_account, read_bars
    >>> cerebro = bt.Cerebro(stdstats=False)
    >>> frame = read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-20").frame
    >>> _ = cerebro.adddata(BarsFeed(bars=frame), name="euro"), margin_account(cerebro, "forex")
    >>> _ = cerebro.addstrategy(NeuroStrategy, device="numpy")
    >>> _ = cerebro.addanalyzer(RunRecord, out=tempfile.mkdtemp(), report=False)
    >>> (strategy,) = cerebro.run()
    >>> record = strategy.analyzers.runrecord
    >>> record.result.metrics["predicted_bars"], record.get_analysis()["best_baseline"] is not None
    (333, True)
    """

    params = (("out", None), ("report", True))

    def create_analysis(self) -> None:
        self.result: Result | None = None
        self._recording: Recording | None = None

    def __init__(self) -> None:
        strategy = self.strategy
        if not is_neural(strategy):
            return
        self._begun = time.perf_counter()
        accounts = getattr(strategy.broker, "accounts", {})
        account = accounts.get(strategy.data._name, accounts.get(None))  # as backtrader finds the conditions
        if not isinstance(account, Account):
            raise StrategyError("RunRecord must have a margin account. Call margin_account(cerebro) first.")
        self._account = account
        name = strategy.data._name or type(strategy).__name__
        manifest = strategy_manifest(type(strategy), strategy.p._getkwargs())
        self._folder = RunFolder.create(self.p.out, name, "backtest", manifest)
        self._recording = Recording(self._folder.path)
        for analyzer, params in self._recording.analyzers():  # before this one, and so at their end before it
            strategy._addanalyzer(analyzer, **params)
        # Backtrader calls no stop() after an exception.
        self._unended = weakref.finalize(self, _fail, self._folder, self._recording)
        self._children.clear()  # backtrader takes them for parts of this one too, and would call them twice

    def stop(self) -> None:
        if self._recording is None:
            return
        self._unended.detach()
        strategy, folder, begun = self.strategy, self._folder, self._begun
        with self._recording:  # closes its tables
            rows = self._recording.rows
        if not rows[EQUITY]:
            folder.remove()
            return
        with folder.recording(lambda: True):
            bars = _bars_of(strategy.data, strategy.broker.getcommissioninfo(strategy.data).p.point)
            if rows[EQUITY] < len(bars):
                folder.manifest["stopped_by"] = "strategy"
            folder.manifest |= {
                "data": _data_manifest(bars),
                "inputs": {},
                "account": {**asdict(self._account), **costs_used(self._account, bars.frame, bars.point)},
                "status": "interrupted" if "stopped_by" in folder.manifest else "complete",
                "rows": rows,
                "device": strategy.network.device_name,
                "network": network_manifest(strategy),
                "open_trades": strategy.analyzers.trades.get_analysis()["open_trades"],
            }
            result = Result(folder.path, folder.manifest)
            metrics = run_figures(strategy, bars, self._account, folder, result, NO_SEED_MONEY)
            if len(strategy.env.runningstrats) > 1:  # the account is that of all, the trades are not
                metrics.pop("reconciliation")
            seconds = {"wall_s": time.perf_counter() - begun, "network_s": strategy.learner.network_s}
            folder.save(metrics=metrics, time=seconds)
        self.result = result
        if self.p.report:
            from bt_neuro.report.page import write_page  # loads Bokeh

            write_page(result, bars)

    def get_analysis(self) -> dict[str, Any]:
        return {} if self.result is None else self.result.metrics


def _fail(folder: RunFolder, recording: Recording) -> None:
    with recording:  # closes its tables
        rows = recording.rows
    folder.save(status="failed", error="Cerebro.run() raised an exception", rows=rows)


def _bars_of(data: bt.feed.DataBase, point: float) -> Bars:
    """Return the bars of a feed; those of backtrader keep them where they are preloaded."""
    if isinstance(data, BarsFeed):
        frame = data.p.bars
    else:
        lines = {name: getattr(data.lines, name).array for name in COLUMNS}
        if any(len(line) != len(data) for line in lines.values()):
            raise StrategyError(
                "RunRecord must have a feed that keeps its bars. Use a BarsFeed, or leave exactbars out."
            )
        opening = opening_line(data)
        times = [bt.num2date(opening[ago]) for ago in range(1 - len(data), 1)]
        frame = pd.DataFrame(
            {"datetime": pd.to_datetime(times).round("s"), **{n: np.array(v) for n, v in lines.items()}}
        )
    stamps = frame["datetime"].to_numpy("datetime64[us]")
    step = commonest_step(stamps)
    path = Path(data._name or type(data).__name__)
    return Bars(
        frame, path, "feed of a custom Cerebro", step, point, "", (), "", {}, "", find_gaps(stamps, step)
    )


def _data_manifest(bars: Bars) -> dict[str, Any]:
    times = bars.frame["datetime"]
    return {
        "file": str(bars.path),
        "sha256": "",
        "format": bars.format,
        "bars": len(bars),
        "first": str(times.iloc[0]),
        "last": str(times.iloc[-1]),
        "notes": [],
        "options": {},
        "timeframe_s": bars.timeframe.total_seconds(),
        "point": bars.point,
    }
