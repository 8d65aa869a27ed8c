"""Stream: learn from bars as they arrive, answer each, keep all that a restart needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.account.account import Account
from bt_neuro.bars.limits import Limits
from bt_neuro.errors import NeuroError, NonFiniteError
from bt_neuro.learning.checkpoint import MODEL, RUN_STATE
from bt_neuro.metrics.summary import stream_metrics
from bt_neuro.plugin.bar_loop import request_stop
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.run_state import RunState
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.answerer import Answerer, Teller
from bt_neuro.runs.answers import AnswerLog
from bt_neuro.runs.bars_log import BARS, BarsCount, BarsLog
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.health import Health
from bt_neuro.runs.line_queue import LineQueue, LineReaderThread
from bt_neuro.runs.paper_account import STATE, PaperBroker, paper_broker
from bt_neuro.runs.recording import Recording
from bt_neuro.runs.results import Stream
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.runs.stream_folder import (
    BARS_COUNT,
    StreamStart,
    add_command,
    open_folder,
    require_bars,
    start_of,
)

LAST_TOLD = "last-told"
Send = Callable[[dict[str, Any]], None]


def stream(
    lines: Iterable[str],
    send: Send,
    *,
    warn: Callable[[str], None] = lambda text: None,
    event: Send = lambda values: None,
    on_stop: Callable[[], None] = lambda: None,
    strategy: type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    point: float | None = None,
    limits: Limits | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    history: str | Path | None = None,
    checkpoint_every: int = 100,
    tell_from: int | str = LAST_TOLD,
    position: float | None = None,
    heartbeat_s: float | None = None,
) -> Stream:
    """Learn from bars as they arrive, and answer each line.

    Parameters
    ----------
    lines : lines in a format of `LineReader`; iterated in a thread of its own, so the iterator may block
    send : called with plain JSON values, one answer per line, as soon as it is computed
    warn : called with a text about what cannot be saved
    event : called with plain JSON values when the stream is ready, and at each heartbeat
    on_stop : called when a signal ends the stream; `send` must then not block any more
    strategy, parameters : as in `backtest`
    account : cash and costs of the paper account; that of the folder if a stream is resumed
    point : smallest step of the price; None takes that of the history, or the decimals of the first bars
    limits : of plausible bars
    out : folder to write, which must be new or empty; default ``runs/stream-<time>``
    resume : folder of a stream, which is resumed in place; or of a backtest, or its ``model.safetensors``
    history : bar file to learn from first, or, with a model to resume, the bars that it has learned
    checkpoint_every : bars between checkpoints
    tell_from : number of the first bar whose answer is sent again; "last-told": those that were not told
    position : units that the real account holds, see `PaperBroker.command`
    heartbeat_s : seconds between heartbeats; None for none

    Returns
    -------
    Stream

    Raises
    ------
    NeuroError
        With a remedy.

    Notes
    -----
    The folder holds all bars. Each is written with its answer before the answer is sent. After a kill the
    bars since the last checkpoint are run again, which gives the same bits. SIGTERM, SIGHUP and Ctrl-C end
    the stream after the current bar, with a checkpoint. A bar whose features or outputs are not finite is
    answered with an error, and the stream continues from its last checkpoint without that bar.

    Examples
    --------
    >>> import tempfile
    >>> bars = [f"2024-01-{day:02} 00:00,1.1,1.3,1.0,1.2" for day in range(1, 31)]
    >>> sent = []
    >>> _ = stream(bars, sent.append, out=tempfile.mkdtemp(), parameters={"device": "numpy"})
    >>> len(sent), sent[-1]["time"], sent[-1]["signal"]
    (30, '2024-01-30 00:00:00', 'none')
    """
    begun = time.perf_counter()
    params, limits = all_parameters(strategy, parameters), limits or Limits()
    if tell_from != LAST_TOLD and (
        isinstance(tell_from, bool) or not isinstance(tell_from, int) or tell_from < 0
    ):
        raise NeuroError(f"tell_from must be a bar's number or {LAST_TOLD!r}, got {tell_from!r}.")
    folder, account, point = open_folder(out, resume, history, strategy, params, account, point, limits)
    session = _Session(folder, strategy, params, account, point, warn, event)
    session.every_bars, session.heartbeat_s, session.begun = checkpoint_every, heartbeat_s, begun

    def stop() -> None:
        session.end()
        on_stop()

    with folder.recording(session.has_content), ExitStack() as stack:
        reader = LineReaderThread(lines)
        stack.callback(reader.stop)
        session.open(stack, reader, limits, send, tell_from, position)
        with graceful_shutdown(stop) as stopped_by:
            reader.start()
            while session.is_to_run_again():
                pass
        if signal := stopped_by():
            folder.manifest["stopped_by"] = signal
        result = session.result()
        if session.tell.is_broken and not signal:
            raise NeuroError(f"nobody reads the answers. Go on with --resume {folder.path}.")
        if reader.error is not None:
            raise reader.error
        folder.save(status="interrupted" if signal else "complete")
    return result


class _Session:
    """A stream at work: its folder, its files and the run over them, which may begin again."""

    def __init__(
        self,
        folder: RunFolder,
        strategy: type[NeuroStrategy],
        params: dict[str, Any],
        account: Account,
        point: float | None,
        warn: Callable[[str], None],
        event: Send,
    ) -> None:
        self.folder, self._strategy, self._params = folder, strategy, params
        self._account, self._point, self._warn, self._event = account, point, warn, event
        about = {name: folder.manifest[name] for name in ("strategy", "strategy_sha256", "parameters")}
        about["parameters"] = {
            name: value for name, value in about["parameters"].items() if name not in ("resume", "device")
        }
        self._signature = {**about, "bt-neuro": folder.manifest["versions"]["bt-neuro"]}
        self.every_bars, self.begun = 100, 0.0
        self.heartbeat_s: float | None = None
        self._feed: LiveFeed | None = None
        self._is_ended = False
        self._old_bars = 0
        self._told = 0

    def has_content(self) -> bool:
        return hasattr(self, "_log") and (self._log.rows > 0 or (self.folder.path / MODEL).exists())

    def end(self) -> None:
        """End after the current bar; safe in a signal handler."""
        self._is_ended = True
        if self._feed is not None:
            self._feed.end()  # one that waits for a bar
            request_stop(self._cerebro)  # also ends epochs

    def open(
        self,
        stack: ExitStack,
        reader: LineReaderThread,
        limits: Limits,
        send: Send,
        tell_from: int | str,
        position: float | None,
    ) -> None:
        self._start: StreamStart = start_of(self.folder, self._signature)
        self._log: BarsLog = stack.enter_context(self._start.open_log(self.folder.path))
        require_bars(self._start, self._log)
        self._answers = AnswerLog(self.folder.path, self._log.rows - 1)
        stack.callback(self._answers.close)
        self._old_bars, self._position = self._log.rows, position
        self.tell = Teller(send, self._answers, self.end)
        self.lines = LineQueue(reader, limits, self.tell, self._command)
        first = self._answers.told_bar + 1 if tell_from == LAST_TOLD else tell_from
        for message in self._answers.since(int(first)):
            self.tell(message)
            self._told += 1

    def is_to_run_again(self) -> bool:
        """Run until the lines end; return whether a bar broke the run and it must begin again without it."""
        if self._start is None:
            self._start = start_of(self.folder, self._signature)
        try:
            self._run(self._start)
        except (NonFiniteError, ArithmeticError) as error:  # the latter of a feature that divides by 0
            line = self.lines.line
            if line is None or self._ran_bar() < self._log.rows:  # not this bar, but one that was stored
                raise
            self.lines.refuse(line, f"the bar was not taken: {error}")
            self._start = start_of(self.folder, self._signature)
            return not self._is_ended
        return False

    def _ran_bar(self) -> int:
        assert self._feed is not None
        return len(self._feed) - 1

    def _run(self, start: StreamStart) -> None:
        path, log = self.folder.path, self._log
        self._cerebro = cerebro = bt.Cerebro(stdstats=False)
        self._feed = feed = LiveFeed(queue=self.lines, history=start.history(log), limits=None)
        if self._is_ended:
            self.end()
        self._broker: PaperBroker = paper_broker(self._account, self._point)
        self._recording = Recording(path, start.counts)
        self._health = Health(path, self._event, self.heartbeat_s, self._counts)
        cerebro.broker = self._broker
        cerebro.adddata(feed, name="stream")
        params = dict(self._params)
        if start.checkpoint is not None:
            params["resume"] = str(start.checkpoint.path)
        cerebro.addstrategy(self._strategy, **params)
        cerebro.addanalyzer(
            Answerer, lines=self.lines, log=log, answers=self._answers, tell=self.tell, _name="answers"
        )
        self._recording.add_to(cerebro, more={"health": self._health})
        cerebro.addanalyzer(BarsCount, _name=BARS_COUNT, log=log)
        cerebro.addanalyzer(RunState, _name=RUN_STATE, is_fast=start.is_fast, warn=self._warn, more=STATE)
        cerebro.addanalyzer(
            ModelCheckpoint,
            _name="checkpoint",
            path=path / MODEL,
            every_bars=self.every_bars,
            at_bar=start.first_live - 1,
            in_background=True,
            sync=self._sync,
            about={"run": self._signature},
        )
        self.lines.begin(feed, start.again(log), self._broker.command, self._ready, self._health.beat)
        with self._recording:
            try:
                (self._ran,) = cerebro.run(exactbars=1)  # as in a backtest: memory is flat
            finally:  # else a run that begins again could read one checkpoint now and another one later
                for ran in getattr(cerebro, "runningstrats", ()):
                    ran.analyzers.getbyname("checkpoint").wait()

    def _sync(self) -> None:
        self._log.sync()
        self._answers.sync()

    def _command(self, values: dict[str, Any]) -> dict[str, Any]:
        add_command(self.folder.path, self._log.rows - 1, values)
        return self._broker.command(values)

    def _ready(self) -> None:
        account = self._broker.position_state()
        if self._position is not None:
            account = self._command({"position": self._position})
            self._position = None
        self._event(
            {
                "event": "ready",
                "bars": self._log.rows,
                "told": self._told,
                "start_s": round(time.perf_counter() - self.begun, 3),
                "account": account,
                "folder": str(self.folder.path),
            }
        )
        self._health.write("running")

    def _counts(self) -> dict[str, Any]:
        feed, broker = self._feed, self._broker
        assert feed is not None
        return {
            "bars": self._log.rows,
            "last_bar": None if feed.close_before is None else str(feed.time_before),
            "malformed_lines": self.lines.malformed,
            "ignored_bars": self.lines.ignored,
            "equity": broker.getvalue(),
            "is_settled": broker.is_settled,
        }

    def result(self) -> Stream:
        """Write the manifest with the metrics of all bars, and return the result."""
        folder, log = self.folder, self._log
        result = Stream(folder.path, folder.manifest)
        folder.manifest |= {
            "rows": {**self._recording.rows, BARS: log.rows},
            "device": self._ran.network.device_name,
        }
        counts = {
            "bars": log.rows,
            "new_bars": log.rows - self._old_bars,
            "malformed_lines": self.lines.malformed,
            "ignored_bars": self.lines.ignored,
        }
        broker = self._broker
        money = {
            "equity_start": self._account.cash,
            "equity_end": broker.getvalue(),
            "position": broker.getposition(self._feed).size,
            **broker.counts.as_dict(),
        }
        step_time = self._ran.analyzers.run_observer.get_analysis()["step_time"]
        metrics = (
            stream_metrics(counts, result.predictions, result.outputs) | money | {"step_time": step_time}
        )
        self._health.write("ended")
        folder.save(metrics=metrics)
        return result
