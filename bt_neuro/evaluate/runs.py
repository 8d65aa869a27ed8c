"""One backtest: build a Cerebro, run it, write the run folder."""

from __future__ import annotations

import shutil
import signal as signals
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.evaluate.account import Account
from bt_neuro.evaluate.baselines import Baselines
from bt_neuro.evaluate.folder import Result, manifest_of, new_folder, write_json
from bt_neuro.evaluate.metrics import metrics_of
from bt_neuro.evaluate.records import EquityRecord, Forget, PredictionRecord, Progress, TradeRecord
from bt_neuro.market.bars import Bars, read_bars
from bt_neuro.nn.config import to_config
from bt_neuro.plugin.analyzers import HitRate, StepTime
from bt_neuro.plugin.costs import Costs
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.strategy import NeuroStrategy

WARM_UP_BARS = 60  # 34 for the indicators, and a few labels


class _TimedBroker(bt.brokers.BackBroker):
    """backtrader's broker, with the time of its first bar and the seconds spent in it."""

    seconds = 0.0
    first_bar: float | None = None

    def next(self) -> None:
        start = time.perf_counter()
        self.first_bar = self.first_bar or start
        super().next()
        self.seconds += time.perf_counter() - start


def backtest(
    path: str | Path,
    *,
    strategy: type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    out: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a strategy over a file of bars, learning on every bar, and write the run folder.

    Parameters
    ----------
    path : bar file, whatever `read_bars` reads
    strategy : the strategy class
    parameters : its params
    account : cash and costs
    out : the folder to write, which must be new or empty; ``runs/<file stem>-<time>`` by default
    bars_options : of `read_bars`
    progress : called now and then with (bars done, bars in all)

    Returns
    -------
    Result

    Raises
    ------
    NeuroError
        With a remedy; if bars had already run, the folder stays and says in ``run.json`` that the run failed.

    Notes
    -----
    Ctrl-C ends the run after the bar it is in; the folder is then complete up to that bar and says
    ``"status": "interrupted"``.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> result = backtest("data/SYNTHETIC_EURUSD_H1.csv", out=folder, bars_options={"end": "2024-01-20"},
    ...                   parameters={"device": "numpy"})
    >>> result.manifest["status"], len(result.predictions) == result.metrics["predicted_bars"]
    ('complete', True)
    """
    begun = time.perf_counter()
    account = account or Account()
    bars = read_bars(path, **(bars_options or {}))
    params = {**dict(strategy.params._getitems()), **(parameters or {})}
    history, wing = params["history_bars"], params["wing"]
    if isinstance(history, int) and isinstance(wing, int):  # else the strategy refuses them by name
        bars.require(WARM_UP_BARS + history + wing, f"indicators and a window of {history} bars to warm up")
    cerebro, broker = _cerebro(bars, strategy, params, account)
    folder = new_folder(out, bars)
    manifest = manifest_of(bars, strategy, params, account)
    write_json(folder / "run.json", manifest)
    try:
        with ExitStack() as files, _stopped_by_ctrl_c(cerebro) as interrupted:
            _add_analyzers(cerebro, folder, files, len(bars), progress)
            ran = _run(cerebro)
        if broker.first_bar is None:
            raise KeyboardInterrupt("interrupted before the first bar")
        manifest |= _outcome(ran, bars, account, "interrupted" if interrupted() else "complete")
        wall_s, start_s = time.perf_counter() - begun, broker.first_bar - begun
        manifest["time"] = {
            "wall_s": wall_s,
            "start_s": start_s,  # to read the file, load libraries, build the network
            "network_s": ran.learner.network_s,
            "broker_s": broker.seconds,
            # feed, indicators, analyzers, files
            "feed_s": wall_s - start_s - ran.learner.network_s - broker.seconds,
        }
        _save_model(ran, bars, folder / "model.safetensors")
        write_json(folder / "run.json", manifest)
    except BaseException as error:
        if _nothing_ran(folder):
            shutil.rmtree(folder)
            raise
        told = str(error) or type(error).__name__
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        write_json(folder / "run.json", {**manifest, "status": status, "error": told})
        raise
    return Result(folder, manifest)


def _outcome(ran: NeuroStrategy, bars: Bars, account: Account, status: str) -> dict[str, Any]:
    network = ran.network
    return {
        "status": status,
        "device": network.device_name,
        "network": {
            "layers": [to_config(layer) for layer in network.layout.layers],
            "optimizer": to_config(network.layout.optimizer),
            "parameters": network.n_parameters,
            "features": list(ran.learner.feature_names),
        },
        "metrics": metrics_of(ran, bars, account.cash, ran.broker.getvalue(), status),
    }


def _cerebro(
    bars: Bars, strategy: type[NeuroStrategy], parameters: dict[str, Any], account: Account
) -> tuple[bt.Cerebro, _TimedBroker]:
    cerebro = bt.Cerebro(stdstats=False)
    broker = _TimedBroker()
    cerebro.broker = broker
    data = BarsFeed(bars=bars.frame)
    cerebro.adddata(data, name=bars.path.stem)
    cerebro.addstrategy(strategy, **parameters)
    broker.setcash(account.cash)
    spread = account.spread if account.spread is not None or "spread" in bars.frame else 0.0
    broker.addcommissioninfo(Costs(commission=account.commission, spread=spread, point=bars.point, data=data))
    if account.slippage:
        broker.set_slippage_fixed(account.slippage * bars.point)
    return cerebro, broker


def _add_analyzers(
    cerebro: bt.Cerebro,
    folder: Path,
    files: ExitStack,
    bars: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    cerebro.addanalyzer(HitRate, _name="hit_rate")
    cerebro.addanalyzer(StepTime, _name="step_time")
    cerebro.addanalyzer(Baselines, _name="baselines")
    for name, record in (
        ("predictions", PredictionRecord),
        ("equity", EquityRecord),
        ("trades", TradeRecord),
    ):
        file = files.enter_context((folder / f"{name}.csv").open("w", newline="", encoding="utf-8"))
        cerebro.addanalyzer(record, _name=name, file=file)
    cerebro.addanalyzer(Forget)
    if progress:
        cerebro.addanalyzer(Progress, report=lambda bar: progress(bar, bars))


def _run(cerebro: bt.Cerebro) -> NeuroStrategy:
    # exactbars=1: lines keep what indicators need and no more, so that memory is flat in the number of bars.
    (ran,) = cerebro.run(exactbars=1)
    return ran


def _nothing_ran(folder: Path) -> bool:
    header = len(",".join(EquityRecord.header)) + 1
    equity = folder / "equity.csv"
    return not equity.exists() or equity.stat().st_size <= header


def _save_model(ran: NeuroStrategy, bars: Bars, path: Path) -> None:
    arrays, values = ran.learner.state()
    about = {"learner": values, "data": {"file": bars.path.name, "sha256": bars.sha256}}
    ran.network.save(path, extra=arrays, about=about)


@contextmanager
def _stopped_by_ctrl_c(cerebro: bt.Cerebro) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the run after its bar; a second one acts as ever."""
    stopped = False

    def stop(*_: Any) -> None:
        nonlocal stopped
        stopped = True
        cerebro.runstop()
        signals.signal(signals.SIGINT, before)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: stopped  # only the main thread may set handlers
        return
    before = signals.signal(signals.SIGINT, stop)
    try:
        yield lambda: stopped
    finally:
        signals.signal(signals.SIGINT, before)
