"""One backtest: build a Cerebro, run it, write the run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.bars.clock import Span
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import CheckpointError
from bt_neuro.learning.checkpoint import MODEL, Checkpoint
from bt_neuro.metrics.baselines import pretrained_baseline_probabilities
from bt_neuro.metrics.summary import metrics_of
from bt_neuro.nn.config import to_config
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.runs.era_tables import EraRecord, pretraining_manifest, read_examples
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import manifest_of, write_baselines
from bt_neuro.runs.recording import add_run_observer
from bt_neuro.runs.results import Result
from bt_neuro.runs.resumed_rows import FEATURES, VOTES, ResumedRows, resume_rows
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.runs.tables import EquityRecord

WARM_UP_BARS = 60  # 34 for the indicators, and a few labels
NOT_BEGUN = "interrupted before the first bar"


class _TimedBroker(MarginBroker):
    """Margin broker with the time of its first bar and the seconds spent in it."""

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
    era_progress : called now and then with (era, eras, bars learned in this one, bars of an era) where
        `parameters` have a ``pretrain``
    checkpoint_every : bars from one checkpoint to the next; by default only at the end
    resume : the folder of a run, or its ``model.safetensors``, to go on from; `path` is then the same file,
        or one that has grown. A new folder is written: its predictions are those of one long run, to the
        bit; its account starts flat at the first new bar.
    report : write ``report.html``, which takes a second or two

    Returns
    -------
    Result

    Raises
    ------
    NeuroError
        With a remedy; if bars had already run, the folder stays and says in ``run.json`` that the run failed.

    Notes
    -----
    Ctrl-C or SIGTERM ends the run after the bar it is in; the folder is then complete up to that bar, says
    ``"status": "interrupted"``, and can be resumed.

    With the parameters ``pretrain`` and ``eras`` a span of bars is learned again and again before the test,
    which starts with the first bar after it. The figures of the eras, in ``eras.csv``, are in-sample; all
    others are of the test alone. Stopped in its eras the run raises KeyboardInterrupt, and the folder can be
    resumed from the last era that has ended; killed, from the same.

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
    saved = None if resume is None else Checkpoint.read(resume)
    options = bars_options or {}
    bars = read_bars(path, **options)
    params = {**dict(strategy.params._getitems()), **(parameters or {})}
    history, wing = params["history_bars"], params["wing"]
    if isinstance(history, int) and isinstance(wing, int):  # else the strategy refuses them by name
        bars.require(WARM_UP_BARS + history + wing, f"indicators and a window of {history} bars to warm up")
    if params["pretrain"] is not None:
        span = Span.of(params["pretrain"], "pretrain")
        span.require_bars(bars.frame["datetime"].to_numpy(), "pretrain")
        params["pretrain"] = span.text
    if saved is not None:
        _require_new_bars(saved, bars)
        params["resume"] = str(saved.path)
    broker = _TimedBroker()
    data = BarsFeed(bars=bars.frame, name=bars.path.stem)
    cerebro = build_cerebro(data, strategy, params, account, point=bars.point, broker=broker)
    folder = RunFolder.create(
        out, bars.path.stem, "backtest", manifest_of(bars, options, strategy, params, account)
    )

    def has_content() -> bool:
        return _has_bars(folder.path) or _epochs(folder.path, params["pretrain"]) is not None

    with folder.recording(has_content, can_resume=(folder.path / MODEL).exists):
        resumed_rows = ResumedRows()
        if saved is not None:
            resumed_rows = resume_rows(saved, folder.path)
            folder.save(resumed=_resumed(saved, bars, resumed_rows))
        with ExitStack() as files, graceful_shutdown(cerebro.runstop) as stopped_by:
            tell = [lambda strategy: progress(len(strategy.data), len(bars))] if progress else []
            add_run_observer(cerebro, folder.path, files, resumed_rows, now_and_then=tell)
            if params["pretrain"] is not None:
                cerebro.addanalyzer(EraRecord, folder=folder.path, report=era_progress)
            about = {"data": {"file": bars.path.name, "sha256": bars.sha256}}
            cerebro.addanalyzer(
                ModelCheckpoint, path=folder.path / MODEL, every_bars=checkpoint_every, about=about
            )
            try:
                # exactbars=1: lines keep what indicators need, so that memory is flat in the number of bars.
                (ran,) = cerebro.run(exactbars=1)
            finally:
                if stopped_by():
                    folder.manifest["stopped_by"] = stopped_by()
                if (epochs := _epochs(folder.path, params["pretrain"])) is not None:
                    folder.manifest["pretraining"] = epochs
        if not _has_bars(folder.path):
            raise KeyboardInterrupt("interrupted before the first new bar" if saved else NOT_BEGUN)
        if len(ran.data) < len(bars):
            folder.manifest.setdefault("stopped_by", "strategy")  # which called runstop() itself
        ended = time.perf_counter()
        folder.manifest |= _outcome(ran, "interrupted" if "stopped_by" in folder.manifest else "complete")
        result = Result(folder.path, folder.manifest)  # reads its tables once, for the scores and the page
        metrics = _scored(ran, bars, account, result)
        first_bar = broker.first_bar or begun
        pretraining_s = ran.pretraining.seconds if ran.pretraining is not None else 0.0
        folder.save(
            rows={f"{name}.csv": len(getattr(result, name)) for name in Result.tables},
            metrics=metrics,
            time={
                "wall_s": time.perf_counter() - begun,
                "start_s": first_bar - begun,  # to read the file, load libraries, build the network
                "pretraining_s": pretraining_s,
                "network_s": ran.learner.network_s,  # and what analyzers did meanwhile
                "broker_s": broker.seconds,
                # feed, indicators, orders, files
                "feed_s": ended - first_bar - pretraining_s - ran.learner.network_s - broker.seconds,
                "scores_s": time.perf_counter() - ended,  # baselines, figures
            },
        )
    if report:
        from bt_neuro.report.page import write_report  # loads Bokeh, half a second that no start waits for

        write_report(result, bars)
    return result


def _require_new_bars(saved: Checkpoint, bars: Bars) -> None:
    last = saved.last_bar
    if last is None or last < len(bars) - 1:
        return
    learned, end = f"{saved.path} has learned up to bar {last}", f"{bars.path} ends at bar {len(bars) - 1}"
    if last == len(bars) - 1:
        raise CheckpointError(f"nothing new: {learned}, the last one of {bars.path}; give a longer file")
    raise CheckpointError(f"{learned}, but {end}; give at least as many bars, read with the same options")


def _resumed(saved: Checkpoint, bars: Bars, resumed_rows: ResumedRows) -> dict[str, Any]:
    last = saved.last_bar
    return {
        "from": str(saved.path),
        "last_bar": last,
        "last_time": None if last is None else str(bars.frame["datetime"].iloc[last]),
        "predictions": "all" if resumed_rows.has_tables else "from here on: no tables lie beside the model",
        "account": "flat at the start",
    }


def _outcome(ran: NeuroStrategy, status: str) -> dict[str, Any]:
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
    }


def _scored(ran: NeuroStrategy, bars: Bars, account: Account, tables: Result) -> dict[str, Any]:
    """Return the metrics of the tables that the run has written, and write what the baselines said."""
    folder, predictions = tables.folder, tables.predictions
    features = np.load(folder / FEATURES, mmap_mode="r") if len(predictions) else np.empty((0, 1))
    votes = np.load(folder / VOTES, mmap_mode="r") if (folder / VOTES).exists() else None
    examples = read_examples(folder)
    answers = pretrained_baseline_probabilities(
        examples, predictions, bars.frame, features, ran.learner.history_bars
    )
    write_baselines(folder / "baselines.csv", predictions["bar"], answers)
    recorded = ran.analyzers.run_observer.get_analysis()
    return metrics_of(
        predictions=predictions,
        answers=answers,
        votes=votes,
        equity=tables.equity,
        trades=tables.trades,
        bars=bars,
        account=account,
        hit_rate=recorded["hit_rate"],
        step_time=recorded["step_time"],
        refused_orders=ran.analyzers.trades.get_analysis()["refused_orders"],
        status=tables.manifest["status"],
        pretraining=tables.manifest.get("pretraining"),
    )


def _has_bars(folder: Path) -> bool:
    header = len(",".join(EquityRecord.header)) + 1
    equity = folder / "equity.csv"
    return equity.exists() and equity.stat().st_size > header


def _epochs(folder: Path, span: str | None) -> dict[str, Any] | None:
    """Without a checkpoint nothing can be resumed from the epochs, and they do not count."""
    return pretraining_manifest(folder, span) if span and (folder / MODEL).exists() else None
