"""Backtest: run a strategy over a bar file and write the run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.bars.clock import Span
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import CheckpointError
from bt_neuro.learning.checkpoint import MODEL, RUN_STATE, Checkpoint
from bt_neuro.plugin.bar_loop import request_stop
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.resume import LearnedBars
from bt_neuro.plugin.run_state import RunState
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.runs.epoch_tables import EpochRecord, pretraining_manifest, write_examples
from bt_neuro.runs.figures import network_manifest, run_figures
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import manifest_of
from bt_neuro.runs.recording import EQUITY, PREDICTIONS, TRADES, Recording
from bt_neuro.runs.results import Result
from bt_neuro.runs.resume import FORMING, keep_learned_bars, resume_tables
from bt_neuro.runs.saved_manifest import MANIFEST, read_manifest
from bt_neuro.runs.seed_money import BacktestPlayer
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.runs.tables import count_rows
from bt_neuro.runs.vote_player import NOT_WANTED, require_vote

WARM_UP_BARS = 60  # 34 for the indicators, and a few labels


class _TimedBroker(MarginBroker):
    """Margin broker that records the time of its first bar and the seconds spent in it."""

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
    era_progress: Callable[[int, int, int, int], None] | None = None,
    checkpoint_every: int | None = None,
    resume: str | Path | None = None,
    report: bool = True,
    seed_money: bool = False,
) -> Result:
    """Run a strategy over a bar file and write the run folder.

    Parameters
    ----------
    path : bar file in any format of `read_bars`
    strategy : the strategy class
    parameters : its params
    account : cash and costs
    out : folder to write, new or empty; default ``runs/<file stem>-<time>``
    bars_options : options of `read_bars`
    progress : called with (bars done, number of bars); with `seed_money` once more from the start
    era_progress : called in pretraining with (era, number of eras, bars learned in it, bars of an era)
    checkpoint_every : bars between checkpoints; by default only at the end
    resume : folder of a run, or its ``model.safetensors``, to resume on the same file or one that has grown.
        A new folder is written. Its predictions are bit-identical to those of one long run. Its account
        continues if the settings are the same, else it starts flat at the first new bar.
    report : whether to write ``report.html``, which takes a second or two
    seed_money : whether to trade each of several ``seeds`` alone too, which takes about as long again

    Returns
    -------
    Result

    Raises
    ------
    NeuroError
        If an argument is invalid or the run fails. A run with bars keeps its folder, with the status "failed".

    Notes
    -----
    Ctrl-C or SIGTERM ends the run after the current bar. The folder is then complete up to that bar, has the
    status "interrupted", and can be resumed.

    With the parameters ``pretrain`` and ``eras`` the network learns a span of bars several times before the
    test, which starts after the span. The figures of the eras, in ``eras.csv``, are in sample; all others are
    of the test. An interruption in the eras raises KeyboardInterrupt; the last era that ended can be resumed.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> result = backtest("data/SYNTHETIC_EURUSD_H1.csv", out=folder, bars_options={"end": "2024-01-20"},
    ...                   parameters={"device": "numpy"}, report=False)
    >>> result.manifest["status"], len(result.predictions) == result.metrics["predicted_bars"]
    ('complete', True)
    """
    begun = time.perf_counter()
    account = account or Account()
    checkpoint = None if resume is None else Checkpoint.read(resume)
    bars, forming = read_bars(path, **(bars_options or {})), dict[str, list[float]]()
    params = _checked_parameters(strategy, parameters, bars)
    if checkpoint is not None:
        _require_new_bars(checkpoint, bars)
        bars, forming = keep_learned_bars(checkpoint, bars)
        params["resume"] = str(checkpoint.path)
    require_vote(seed_money, (params if checkpoint is None else checkpoint.seeds)["seeds"])
    broker = _TimedBroker()
    data = BarsFeed(bars=bars.frame, name=bars.path.stem)
    cerebro = build_cerebro(
        data, strategy, params, account, point=bars.point, broker=broker, bars_options=bars_options
    )
    manifest = manifest_of(bars, bars_options or {}, strategy, params, account)
    folder = RunFolder.create(out, bars.path.stem, "backtest", manifest)
    model, resumed = folder.path / MODEL, dict[str, int]()

    def has_content() -> bool:
        return (
            count_rows(folder.path / EQUITY) > resumed.get(EQUITY, 0)
            or _pretraining(folder.path, params) is not None
        )

    with folder.recording(has_content, can_resume=model.exists):
        if checkpoint is not None:
            continues = _continues_account(checkpoint, folder.manifest)
            resumed |= resume_tables(checkpoint, folder.path, has_account=continues, all_features=True)
            folder.manifest["parameters"] |= checkpoint.seeds
            folder.save(resumed=_resumed(checkpoint, bars, PREDICTIONS in resumed, continues))
        stop = partial(request_stop, cerebro)
        with Recording(folder.path, resumed) as recording, graceful_shutdown(stop) as stopped_by:
            recording.add_to(
                cerebro, [lambda strategy: progress(len(strategy.data), len(bars))] if progress else []
            )
            if params["pretrain"] is not None:
                cerebro.addanalyzer(EpochRecord, folder=folder.path, report=era_progress)
            if checkpoint is not None and PREDICTIONS not in resumed:  # the baselines train on its bars too
                keep = partial(write_examples, folder.path)
                cerebro.addanalyzer(
                    LearnedBars, bars=bars.frame, on_features=recording.add_features, on_examples=keep
                )
            cerebro.addanalyzer(RunState, _name=RUN_STATE, continues=EQUITY in resumed)
            about = {"data": {"file": bars.path.name, "sha256": bars.sha256}, FORMING: forming}
            cerebro.addanalyzer(ModelCheckpoint, path=model, every_bars=checkpoint_every, about=about)
            try:
                # exactbars=1: lines keep what indicators need, so that memory is flat in the number of bars.
                (ran,) = cerebro.run(exactbars=1)
            finally:
                if stopped_by():
                    folder.manifest["stopped_by"] = stopped_by()
                if (pretraining := _pretraining(folder.path, params)) is not None:
                    folder.manifest["pretraining"] = pretraining
        if recording.rows[EQUITY] <= resumed.get(EQUITY, 0) and len(ran.data) < len(bars):
            raise KeyboardInterrupt(f"interrupted before the first {'new ' if checkpoint else ''}bar")
        if len(ran.data) < len(bars):
            folder.manifest.setdefault("stopped_by", "strategy")  # which called runstop() itself
        if checkpoint is not None and not model.exists():  # a run that was only to be scored
            shutil.copyfile(checkpoint.path, model)
        ended = time.perf_counter()
        folder.manifest |= {
            "status": "interrupted" if "stopped_by" in folder.manifest else "complete",
            "rows": recording.rows,
            "device": ran.network.device_name,
            "network": network_manifest(ran),
            "open_trades": ran.analyzers.trades.get_analysis()["open_trades"],
        }
        result = Result(folder.path, folder.manifest)  # reads its tables once, for the scores and the page
        player = BacktestPlayer(ran, result, strategy, params, account, bars, bars_options)
        money = player.play(progress) if seed_money else NOT_WANTED
        played = time.perf_counter()
        if report:  # Bokeh takes half a second to load; NumPy's part of the figures goes on meanwhile
            Thread(target=_load_page).start()
        metrics = run_figures(ran, bars, account, folder, result, money)
        folder.save(metrics=metrics, time=_time(ran, broker, begun, ended, played))
    if report:
        from bt_neuro.report.page import write_page  # here, so that no start waits for Bokeh

        write_page(result, bars)
    return result


def _load_page() -> None:
    with suppress(ImportError):  # `backtest` raises it
        import bt_neuro.report.page  # noqa: F401


def _checked_parameters(
    strategy: type[NeuroStrategy], parameters: dict[str, Any] | None, bars: Bars
) -> dict[str, Any]:
    params = all_parameters(strategy, parameters)
    history, wing = params["history_bars"], params["wing"]
    if isinstance(history, int) and isinstance(wing, int):  # else the strategy raises an error of its own
        least = WARM_UP_BARS + history + wing
        bars.require(least, f"indicators and a window of {history} bars to warm up, which needs {least}")
    if params["pretrain"] is not None:
        span = Span.of(params["pretrain"], "pretrain")
        span.require_bars(bars.frame["datetime"].to_numpy(), "pretrain")
        params["pretrain"] = span.text
    return params


def _require_new_bars(checkpoint: Checkpoint, bars: Bars) -> None:
    last, end = checkpoint.last_bar, len(bars) - 1
    if last is None or last < end:
        return
    learned = f"{checkpoint.path} has learned up to bar {last}"
    if last == end and _is_unscored(checkpoint):
        return
    if last == end:
        raise CheckpointError(f"nothing new: {learned}, the last one of {bars.path}. Give a longer file.")
    raise CheckpointError(
        f"{learned}, but {bars.path} ends at bar {end}. "
        "Give at least as many bars, read with the same options."
    )


def _is_unscored(checkpoint: Checkpoint) -> bool:
    """Return whether a run broke off before it was scored, by a kill, an error or Ctrl-C."""
    folder = checkpoint.path.parent
    return (folder / MANIFEST).exists() and "metrics" not in read_manifest(folder)


def _continues_account(checkpoint: Checkpoint, manifest: dict[str, Any]) -> bool:
    """Return whether the account continues: it was saved, its tables are there, and its settings are the same."""
    folder = checkpoint.path.parent
    if not checkpoint.has_account or not all((folder / name).exists() for name in (MANIFEST, EQUITY, TRADES)):
        return False
    before, names = read_manifest(folder).get("account"), set(Account.__dataclass_fields__)
    now = manifest["account"]
    return isinstance(before, dict) and all(before.get(name) == now[name] for name in names)


def _resumed(checkpoint: Checkpoint, bars: Bars, has_tables: bool, continues: bool) -> dict[str, Any]:
    last = checkpoint.last_bar
    return {
        "from": str(checkpoint.path),
        "last_bar": last,
        "last_time": None if last is None else str(bars.frame["datetime"].iloc[last]),
        "predictions": "all" if has_tables else "from here on: no tables lie beside the model",
        "account": "all" if continues else "flat at the start: other settings, or no tables beside the model",
    }


def _time(
    ran: NeuroStrategy, broker: _TimedBroker, begun: float, ended: float, played: float
) -> dict[str, float]:
    first_bar = broker.first_bar or begun
    pretraining_s = ran.pretraining.seconds if ran.pretraining is not None else 0.0
    network_s = ran.learner.network_s
    return {
        "wall_s": time.perf_counter() - begun,
        "start_s": first_bar - begun,  # to read the file, load libraries, build the network
        "pretraining_s": pretraining_s,
        "network_s": network_s,  # analyzers work meanwhile
        "broker_s": broker.seconds,
        "feed_s": ended - first_bar - pretraining_s - network_s - broker.seconds,  # indicators, orders, files
        "seed_money_s": played - ended,  # each network of a vote, traded alone
        "scores_s": time.perf_counter() - played,  # baselines, metrics
    }


def _pretraining(folder: Path, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the manifest's entry; None without a checkpoint, from which the eras could be resumed."""
    span = params["pretrain"]
    return pretraining_manifest(folder, span) if span and (folder / MODEL).exists() else None
