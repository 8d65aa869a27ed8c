"""One backtest: build a Cerebro, run it, write the run folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import signal as signals
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from bt_neuro.errors import NeuroError, StrategyError
from bt_neuro.evaluate.baselines import Baselines
from bt_neuro.evaluate.metrics import metrics_of
from bt_neuro.evaluate.records import EquityRecord, Forget, PredictionRecord, Progress, TradeRecord
from bt_neuro.market.bars import Bars, read_bars
from bt_neuro.nn.layers import to_config
from bt_neuro.plugin.analyzers import HitRate, StepTime
from bt_neuro.plugin.costs import Costs
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.strategy import NeuroStrategy

PACKAGES = ("bt-neuro", "numpy", "pandas", "backtrader", "pyopencl", "scikit-learn")
WARM_UP_BARS = 100  # fewer bars than indicators, window and a few labels need make no backtest


@dataclass(frozen=True)
class Account:
    """The money side of a backtest.

    Parameters
    ----------
    cash : to start with (10,000)
    commission : fraction of the value traded, each side
    spread : in points; None takes the file's own spread column, or 0 where it has none
    slippage : in points, against every market order
    """

    cash: float = 10_000.0
    commission: float = 0.0
    spread: float | None = None
    slippage: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (value >= 0 and np.isfinite(value)):
                raise StrategyError(f"{name} is {value}: it must be 0 or more")
        if self.cash == 0:
            raise StrategyError("cash is 0: there is nothing to trade with")


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run and its folder.

    Attributes
    ----------
    folder : where everything lies
    manifest : the content of ``run.json``
    """

    folder: Path
    manifest: dict[str, Any] = field(repr=False)

    @property
    def metrics(self) -> dict[str, Any]:
        return self.manifest["metrics"]

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row a predicted bar."""
        text = {"signal": str, "label": str}
        return pd.read_csv(
            self.folder / "predictions.csv",
            parse_dates=["datetime"],
            dtype=text,
            keep_default_na=False,
            na_values={"hit": [""], "known_bar": [""]},
        )

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row a closed trade."""
        return pd.read_csv(self.folder / "trades.csv", parse_dates=["entry_datetime", "exit_datetime"])

    @cached_property
    def equity(self) -> pd.DataFrame:
        """One row a bar."""
        return pd.read_csv(self.folder / "equity.csv", parse_dates=["datetime"])

    def __str__(self) -> str:
        return str(self.metrics["sentence"])


class _TimedBroker(bt.brokers.BackBroker):
    """backtrader's broker, with the seconds spent in it."""

    seconds = 0.0

    def next(self) -> None:
        start = time.perf_counter()
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
        With a remedy; a folder already begun then says in ``run.json`` that the run failed.

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
    bars.require(WARM_UP_BARS, "a backtest")
    read_s = time.perf_counter() - begun
    cerebro, broker = _cerebro(bars, strategy, parameters or {}, account)
    folder = _new_folder(out, bars)
    manifest = _manifest(bars, strategy, parameters or {}, account)
    _write_json(folder / "run.json", {**manifest, "status": "running"})
    try:
        with ExitStack() as files, _stopped_by_ctrl_c(cerebro) as interrupted:
            _add_analyzers(cerebro, folder, files, len(bars), progress)
            ran = _run(cerebro)
    except BaseException as error:
        told = str(error) or type(error).__name__
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        _write_json(folder / "run.json", {**manifest, "status": status, "error": told})
        raise
    _save_model(ran, bars, folder / "model.safetensors")
    network = ran.network
    manifest["device"] = network.device_name
    manifest["network"] = {
        "layers": [to_config(layer) for layer in network.layout.layers],
        "optimizer": to_config(network.layout.optimizer),
        "parameters": network.n_parameters,
        "features": list(ran.learner.feature_names),
    }
    wall_s = time.perf_counter() - begun
    network_s = ran.learner.network_s
    manifest["time"] = {
        "wall_s": wall_s,
        "read_s": read_s,
        "network_s": network_s,
        "broker_s": broker.seconds,
        "feed_s": wall_s - read_s - network_s - broker.seconds,  # feed, indicators, analyzers, files
    }
    status = "interrupted" if interrupted() else "complete"
    manifest["metrics"] = metrics_of(ran, bars, account.cash, broker.getvalue(), status)
    manifest["status"] = status
    _write_json(folder / "run.json", manifest)
    return Result(folder, manifest)


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


def _new_folder(out: str | Path | None, bars: Bars) -> Path:
    folder = Path(out) if out else Path("runs", f"{bars.path.stem}-{datetime.now():%Y%m%d-%H%M%S}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NeuroError(f"{folder} exists and is not an empty folder; give another --out, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _manifest(
    bars: Bars, strategy: type[NeuroStrategy], parameters: dict[str, Any], account: Account
) -> dict[str, Any]:
    defaults = dict(strategy.params._getitems())
    frame = bars.frame
    return {
        "bt_neuro": importlib.metadata.version("bt-neuro"),
        "status": "running",
        "started": datetime.now().isoformat(timespec="seconds"),
        "data": {
            "file": str(bars.path),
            "sha256": bars.sha256,
            "format": bars.format,
            "bars": len(bars),
            "first": str(frame["datetime"].iloc[0]),
            "last": str(frame["datetime"].iloc[-1]),
            "timeframe_s": bars.timeframe.total_seconds(),
            "point": bars.point,
            "notes": list(bars.notes),
        },
        "strategy": f"{strategy.__module__}:{strategy.__qualname__}",
        "strategy_sha256": _source_hash(strategy),
        "parameters": {name: _plain(value) for name, value in {**defaults, **parameters}.items()},
        "account": {**asdict(account), "spread_source": _spread_source(account, bars)},
        "versions": {"python": platform.python_version()}
        | {p: importlib.metadata.version(p) for p in PACKAGES},
        "platform": platform.platform(),
    }


def _spread_source(account: Account, bars: Bars) -> str:
    if account.spread is not None:
        return "option"
    return "file" if "spread" in bars.frame else "none: 0"


def _source_hash(strategy: type[NeuroStrategy]) -> str | None:
    import inspect

    try:
        return hashlib.sha256(inspect.getsource(inspect.getmodule(strategy) or strategy).encode()).hexdigest()
    except (OSError, TypeError):
        return None


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)
