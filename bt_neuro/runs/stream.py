"""Stream: learn from bars as they arrive, send a signal for each, keep all that a restart needs."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import backtrader as bt
import pandas as pd

from bt_neuro.account.bar_time import opening_line
from bt_neuro.bars.line_reader import Bar, LineReader
from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import BarsError, CheckpointError, NeuroError
from bt_neuro.learning.checkpoint import MODEL, Checkpoint
from bt_neuro.learning.signals import CLASSES, ScoredSignal, Signal
from bt_neuro.metrics.summary import stream_metrics
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.strategy import NeuroStrategy, all_parameters
from bt_neuro.runs.bars_log import BARS, BarsLog, BarsSync
from bt_neuro.runs.folder import MANIFEST, RunFolder
from bt_neuro.runs.manifest import strategy_manifest
from bt_neuro.runs.recording import ARRAYS, OUTPUTS, PREDICTIONS, Recording
from bt_neuro.runs.results import Stream
from bt_neuro.runs.resume import resume_tables
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.runs.trades import time_text

MOST_WAITING = 1024  # bars that may be parsed ahead of the network


def stream(
    lines: Iterable[str],
    send: Callable[[dict[str, Any]], None],
    *,
    warn: Callable[[str], None] = lambda text: None,
    strategy: type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    history: str | Path | None = None,
    checkpoint_every: int = 100,
) -> Stream:
    """Learn from bars as they arrive, and send the signal of each.

    Parameters
    ----------
    lines : lines in a format of `LineReader`; iterated in a thread of its own, so the iterator may block
    send : called with plain JSON values for each new bar, as soon as its signal is computed
    warn : called with a text about each line that was skipped
    strategy, parameters : as in `backtest`; orders of `decide` are executed by backtrader's own broker
    out : folder to write, which must be new or empty; default ``runs/stream-<time>``
    resume : folder of a stream, which is resumed in place; or of a backtest, or its ``model.safetensors``
    history : bar file to learn from first, or, with a model to resume, the bars that it has learned
    checkpoint_every : bars between checkpoints

    Returns
    -------
    Stream

    Raises
    ------
    NeuroError
        With a remedy.

    Notes
    -----
    The folder holds all bars. Each is written before its signal is sent. After a kill the bars since the last
    checkpoint are learned again, which gives the same bits, and are not sent again. SIGTERM and Ctrl-C end
    the stream after the current bar, with a checkpoint.

    Examples
    --------
    >>> import tempfile
    >>> bars = [f"2024-01-{day:02} 00:00,1.1,1.3,1.0,1.2" for day in range(1, 31)]
    >>> sent = []
    >>> _ = stream(bars, sent.append, out=tempfile.mkdtemp(), parameters={"device": "numpy"})
    >>> len(sent), sent[-1]["time"], sent[-1]["signal"]
    (30, '2024-01-30 00:00:00', 'none')
    """
    params = all_parameters(strategy, parameters)
    in_place = resume is not None and (Path(resume) / BARS).exists()
    if in_place and (out is not None or history is not None):
        raise NeuroError(f"{resume} is a stream and is resumed in place: leave out --out and --history")
    checkpoint = None
    if resume is not None and (not in_place or (Path(resume) / MODEL).exists()):
        checkpoint = Checkpoint.read(resume)
        params["resume"] = str(checkpoint.path)
    manifest = strategy_manifest(strategy, params)
    with ExitStack() as open_files:
        if in_place:
            log = open_files.enter_context(BarsLog(Path(str(resume)) / BARS))  # locks the folder
            folder = RunFolder.resume(str(resume), "stream", manifest)
        else:
            past = _past(checkpoint, history)
            folder = RunFolder.create(out, "stream", "stream", manifest)
            BarsLog.create(folder.path / BARS, past)
            log = open_files.enter_context(BarsLog(folder.path / BARS))
        old_bars = log.rows

        def has_content() -> bool:
            return log.rows > old_bars or (folder.path / MODEL).exists()

        with folder.recording(has_content):
            resumed = _resumed_tables(checkpoint, folder.path, old_bars)
            bars: queue.Queue[Bar | None] = queue.Queue(MOST_WAITING)
            feed = LiveFeed(queue=bars, history=log.read(), accept=log.add)
            reader = _Reader(lines, bars, warn)
            open_files.callback(reader.stop)
            with (
                Recording(folder.path, resumed, has_account=False) as recording,
                graceful_shutdown(feed.end) as stopped_by,
            ):
                cerebro = bt.Cerebro(stdstats=False)
                cerebro.adddata(feed, name="stream")
                cerebro.addstrategy(strategy, **params)
                cerebro.addanalyzer(SignalSender, send=send, _name="sender")
                recording.add_to(cerebro)
                cerebro.addanalyzer(BarsSync, _name="bars", log=log)
                cerebro.addanalyzer(ModelCheckpoint, path=folder.path / MODEL, every_bars=checkpoint_every)
                reader.start()
                (ran,) = cerebro.run(exactbars=1)  # as in a backtest: memory is flat
            if signal := stopped_by():
                folder.manifest["stopped_by"] = signal
            result = Stream(folder.path, folder.manifest)
            folder.manifest |= {"rows": {**recording.rows, BARS: log.rows}, "device": ran.network.device_name}
            outputs = result.read_array(OUTPUTS) if len(result.predictions) else None
            counts = {
                "bars": log.rows,
                "new_bars": log.rows - old_bars,
                "malformed_lines": reader.malformed,
                "ignored_bars": feed.ignored,
            }
            step_time = ran.analyzers.run_observer.get_analysis()["step_time"]
            metrics = stream_metrics(counts, result.predictions, outputs) | {"step_time": step_time}
            folder.save(metrics=metrics)
            if ran.analyzers.sender.is_broken:
                raise NeuroError(f"nobody reads the signals. Go on with --resume {folder.path}.")
            if reader.error is not None:
                raise reader.error
            folder.save(status="interrupted" if stopped_by() else "complete")
    return result


def _resumed_tables(checkpoint: Checkpoint | None, folder: Path, old_bars: int) -> dict[str, int]:
    if checkpoint is None:  # a stream killed before its first checkpoint starts anew, with its bars
        for name in (PREDICTIONS, *ARRAYS):
            (folder / name).unlink(missing_ok=True)
        return {}
    if checkpoint.last_bar is not None and checkpoint.last_bar >= old_bars:
        raise CheckpointError(
            f"{checkpoint.path} has learned up to bar {checkpoint.last_bar}, "
            f"but there are only {old_bars} bars. Give all of them as --history."
        )
    return resume_tables(checkpoint, folder)


def _past(checkpoint: Checkpoint | None, history: str | Path | None) -> pd.DataFrame | None:
    """Return the bars before the stream, if any."""
    if checkpoint is None:
        return None if history is None else read_bars(history).frame
    manifest = checkpoint.path.with_name(MANIFEST)
    if not manifest.exists():
        if history is None:
            raise CheckpointError(
                f"{checkpoint.path} has no {MANIFEST} beside it. Give its bars as --history FILE."
            )
        return read_bars(history).frame
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))["data"]
        file, options = data["file"], data.get("options", {})
    except (ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{manifest} cannot be read: {error}") from error
    # The fingerprint finds a file that has changed since; one that has grown is welcome.
    return read_bars(file if history is None else history, **options).frame


class _Reader(threading.Thread):
    """Thread that parses lines while the network works."""

    def __init__(
        self, lines: Iterable[str], bars: queue.Queue[Bar | None], warn: Callable[[str], None]
    ) -> None:
        super().__init__(name="bt-neuro-lines", daemon=True)  # it may wait for a line that never comes
        self._lines, self._bars, self._warn = lines, bars, warn
        self._stopped = threading.Event()
        self.malformed = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        reader = LineReader()
        try:
            for number, line in enumerate(self._lines, start=1):
                try:
                    bar = reader.read(line)
                except BarsError as error:
                    self.malformed += 1
                    self._warn(f"line {number} skipped: {error}")
                    continue
                if bar is not None and not self._put(bar):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the stream was called
            self.error = error
        finally:
            self._put(None)

    def _put(self, bar: Bar | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._bars.put(bar, timeout=0.5)
                return True
            except queue.Full:
                continue
        return False

    def stop(self) -> None:
        self._stopped.set()


class SignalSender(bt.Analyzer):
    """Send each new bar's signal, and the labels of earlier bars that it confirms.

    Params:
      - ``send`` (required): function of a dict of plain JSON values
    """

    params = (("send", None),)

    def start(self) -> None:
        self.is_broken = False

    def next(self) -> None:
        strategy, data = self.strategy, self.data
        if data._laststatus != data.LIVE or self.is_broken:
            return
        bar = len(data) - 1
        signal = strategy.signal if strategy.signal is not None and strategy.signal.bar == bar else None
        try:
            self.p.send(signal_message(bar, time_text(opening_line(data)[0]), signal, strategy.scored))
        except BrokenPipeError:
            self.is_broken = True
            data.end()


def signal_message(bar: int, time: str, signal: Signal | None, scored: list[ScoredSignal]) -> dict[str, Any]:
    """Return a bar's signal as plain JSON values; None during the warm-up."""
    return {
        "bar": bar,
        "time": time,
        "signal": signal and signal.name,
        "probabilities": signal and dict(zip(CLASSES, signal.probabilities, strict=True)),
        "confidence": signal and signal.confidence,
        "scored": [
            {"bar": one.signal.bar, "signal": one.signal.name, "label": one.label, "hit": one.is_hit}
            for one in scored
        ],
    }
