"""A network that goes on with bars as they come: learn, tell the signal, keep all that a restart needs."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.bars.line_reader import Bar, LineReader
from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import BarsError, CheckpointError, NeuroError
from bt_neuro.io import remove
from bt_neuro.learning.checkpoint import MODEL, Checkpoint
from bt_neuro.learning.signals import CLASSES, ScoredSignal, Signal
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.bars_log import BarsTable, SecuredBars
from bt_neuro.runs.folder import new_folder, process_manifest, write_json
from bt_neuro.runs.manifest import strategy_manifest
from bt_neuro.runs.recording import add_run_observer
from bt_neuro.runs.resumed_rows import NUMBERS, PREDICTIONS, ResumedRows, resume_rows
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.runs.tables import time_text

BARS = "bars.csv"
MOST_WAITING = 1024  # bars that may be read ahead of the network


def stream(
    lines: Iterable[str],
    tell: Callable[[dict[str, Any]], None],
    *,
    complain: Callable[[str], None] = lambda text: None,
    strategy: type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    history: str | Path | None = None,
    checkpoint_every: int = 100,
) -> dict[str, Any]:
    """Learn from bars as they come, and tell the signal of each.

    Parameters
    ----------
    lines : as `LineReader` reads them; iterated in a thread of its own, so it may wait
    tell : called with plain JSON values for each new bar, as soon as its signal is there
    complain : called with a text about each line that was skipped
    strategy, parameters : as in `backtest`; orders of `decide` go to backtrader's own broker, on paper
    out : the folder to write, which must be new or empty; ``runs/stream-<time>`` by default
    resume : the folder of a stream, which goes on in place; or of a backtest, or its ``model.safetensors``
    history : bar file to learn from first, or, with a model to resume, the bars it has seen
    checkpoint_every : bars from one checkpoint to the next

    Returns
    -------
    dict, the content of ``run.json``

    Raises
    ------
    NeuroError
        With a remedy.

    Notes
    -----
    The folder holds all bars, and they are there before their signal is told. After a kill the bars since
    the last checkpoint are learned again, which gives the same bits, and are not told again.
    SIGTERM and Ctrl-C end the stream after the bar it is in, with a checkpoint.

    Examples
    --------
    >>> import tempfile
    >>> bars = [f"2024-01-{day:02} 00:00,1.1,1.3,1.0,1.2" for day in range(1, 31)]
    >>> told = []
    >>> _ = stream(bars, told.append, out=tempfile.mkdtemp(), parameters={"device": "numpy"})
    >>> len(told), told[-1]["time"], told[-1]["signal"]  # 34 bars warm up the features
    (30, '2024-01-30 00:00:00', None)
    """
    params = {**dict(strategy.params._getitems()), **(parameters or {})}
    in_place = resume is not None and (Path(resume) / BARS).exists()
    with ExitStack() as open_files:
        if in_place:
            folder, table, saved = _own_folder(Path(str(resume)), out, history)
        else:
            saved = None if resume is None else Checkpoint.read(resume)
            frame = _past(saved, history)
            folder = new_folder(out, "stream")
            BarsTable.begin(folder / BARS, frame)
            table = BarsTable(folder / BARS)
        open_files.callback(table.close)
        known = table.bars
        if saved is not None:
            params["resume"] = str(saved.path)
        manifest = {**process_manifest(), **strategy_manifest(strategy, params)}
        try:
            if saved is not None and saved.last_bar is not None and saved.last_bar >= known:
                ends = f"{saved.path} has learned up to bar {saved.last_bar}"
                raise CheckpointError(
                    f"{ends}, but there are only {known} bars; give all of them as --history"
                )
            resumed_rows = ResumedRows() if saved is None else resume_rows(saved, folder)
            write_json(folder / "run.json", manifest)
            bars: queue.Queue[Bar | None] = queue.Queue(MOST_WAITING)
            feed = LiveFeed(queue=bars, history=table.read(), accept=table.append)
            reader = _Reader(lines, bars, complain)
            open_files.callback(reader.stop)
            with graceful_shutdown(feed.end) as stopped_by:
                cerebro = _cerebro(feed, strategy, params)
                cerebro.addanalyzer(Tell, tell=tell, _name="tell")
                add_run_observer(cerebro, folder, open_files, resumed_rows, has_account=False)
                cerebro.addanalyzer(SecuredBars, _name="bars", table=table)
                cerebro.addanalyzer(ModelCheckpoint, path=folder / MODEL, every_bars=checkpoint_every)
                reader.start()
                (ran,) = cerebro.run(exactbars=1)  # as in a backtest: memory is flat
            recorded = ran.analyzers.run_observer.get_analysis()
            manifest |= {
                "status": _status(stopped_by(), reader.error),
                "device": ran.network.device_name,
                "bars": table.bars,
                "new_bars": table.bars - known,
                "malformed_lines": reader.malformed,
                "ignored_bars": feed.ignored,
                "hit_rate": recorded["hit_rate"],
                "step_time": recorded["step_time"],
            }
            write_json(folder / "run.json", manifest)
            if ran.analyzers.tell.is_broken:
                raise NeuroError(f"nobody reads the signals any more; go on with --resume {folder}")
        except BaseException as error:
            if not in_place and table.bars == known and not (folder / MODEL).exists():
                remove(folder)
            else:
                told = str(error) or type(error).__name__
                write_json(folder / "run.json", {**manifest, "status": "failed", "error": told})
            raise
        if reader.error is not None:
            raise reader.error
    return {**manifest, "folder": str(folder)}


def _own_folder(folder: Path, out: Any, history: Any) -> tuple[Path, BarsTable, Checkpoint | None]:
    """Return a stream's folder, its bars and its checkpoint, if there is one already."""
    if out is not None or history is not None:
        raise NeuroError(f"{folder} is a stream and goes on in place: leave out --out and --history")
    saved = Checkpoint.read(folder) if (folder / MODEL).exists() else None
    table = BarsTable(folder / BARS)
    if saved is None:  # killed before its first checkpoint: it begins anew, with the bars it has
        for name in (PREDICTIONS, *NUMBERS):
            (folder / name).unlink(missing_ok=True)
    return folder, table, saved


def _past(saved: Checkpoint | None, history: str | Path | None) -> Any:
    """Return the frame of the bars that came before the stream, if any."""
    if saved is None:
        return None if history is None else read_bars(history).frame
    manifest = saved.path.with_name("run.json")
    if not manifest.exists():
        if history is None:
            raise CheckpointError(f"{saved.path} has no run.json beside it: give its bars as --history FILE")
        return read_bars(history).frame
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))["data"]
        file, options = data["file"], data.get("options", {})
    except (ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{manifest} cannot be read: {error}") from error
    # A file that has changed since is found by the fingerprint; one that has grown is welcome.
    return read_bars(file if history is None else history, **options).frame


def _cerebro(feed: LiveFeed, strategy: type[NeuroStrategy], parameters: dict[str, Any]) -> bt.Cerebro:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(feed, name="stream")
    cerebro.addstrategy(strategy, **parameters)
    return cerebro


def _status(stopped_by: str | None, error: BaseException | None) -> str:
    if error is not None:
        return f"failed: {error}"
    return f"stopped by {stopped_by}" if stopped_by else "end of input"


class _Reader(threading.Thread):
    """Turns lines into bars while the network works."""

    def __init__(
        self, lines: Iterable[str], bars: queue.Queue[Bar | None], complain: Callable[[str], None]
    ) -> None:
        super().__init__(name="bt-neuro-lines", daemon=True)  # it may wait for a line that never comes
        self._lines, self._bars, self._complain = lines, bars, complain
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
                    self._complain(f"line {number} skipped: {error}")
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


class Tell(bt.Analyzer):
    """Tell each new bar's signal, and what has become known of earlier ones.

    Params:
      - ``tell`` (required): called with plain JSON values
    """

    params = (("tell", None),)

    def start(self) -> None:
        self.is_broken = False

    def next(self) -> None:
        strategy, data = self.strategy, self.data
        if data._laststatus != data.LIVE or self.is_broken:
            return
        bar = len(data) - 1
        signal = strategy.signal if strategy.signal is not None and strategy.signal.bar == bar else None
        try:
            self.p.tell(told(bar, time_text(data.datetime[0]), signal, strategy.scored))
        except BrokenPipeError:
            self.is_broken = True
            data.end()


def told(bar: int, time: str, signal: Signal | None, scored: list[ScoredSignal]) -> dict[str, Any]:
    """Return a bar's signal as plain values; None where there is none yet."""
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
