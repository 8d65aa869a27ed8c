"""Session of a stream: its folder, its files, and the run over them, which may begin again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import backtrader as bt

from bt_neuro.account.account import Account
from bt_neuro.bars.limits import Limits
from bt_neuro.errors import NonFiniteError
from bt_neuro.learning.checkpoint import MODEL, RUN_STATE
from bt_neuro.metrics.summary import stream_metrics
from bt_neuro.metrics.trading import return_pct
from bt_neuro.plugin.bar_loop import request_stop
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.run_state import RunState
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.answerer import Answerer, Sender
from bt_neuro.runs.answers import BAR, AnswerLog
from bt_neuro.runs.bars_log import BARS, BarsCount, BarsLog
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.health import Health
from bt_neuro.runs.line_queue import LineQueue, LineReaderThread
from bt_neuro.runs.paper_account import STATE, PaperBroker, paper_broker
from bt_neuro.runs.recording import Recording
from bt_neuro.runs.results import PortfolioStream, Stream
from bt_neuro.runs.stream_folder import (
    BARS_COUNT,
    StreamStart,
    add_command,
    remove_cut_command,
    require_bars,
    start_of,
)

LAST_TOLD = "last-told"
Send = Callable[[dict[str, Any]], None]


class Session:
    """A stream at work: its folder, its files and the run over them, which may begin again."""

    key = BAR  # of an answer's number

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
        self._is_ended = self._is_running = False
        self._old_bars = 0
        self._sent_again = 0

    def has_content(self) -> bool:
        return hasattr(self, "_log") and (self._log.rows > 0 or (self.folder.path / MODEL).exists())

    def end(self) -> None:
        """End after the current bar; safe in a signal handler."""
        self._is_ended = True
        if self._is_running:
            self._end_feeds()  # one that waits for a bar
            request_stop(self._cerebro)  # also ends epochs

    def _end_feeds(self) -> None:
        self._feed.end()

    def _begin(self) -> StreamStart:
        return start_of(self.folder, self._signature)

    def _open_log(self) -> BarsLog:
        return self._start.open_log(self.folder.path)

    def _queue(self, reader: LineReaderThread, limits: Limits, send: Sender) -> Any:
        return LineQueue(reader, limits, send, self._command)

    def open(
        self,
        stack: ExitStack,
        reader: LineReaderThread,
        limits: Limits,
        send: Send,
        tell_from: int | str,
        position: float | None,
    ) -> None:
        self._start: StreamStart = self._begin()
        self._log: BarsLog = stack.enter_context(self._open_log())
        remove_cut_command(self.folder.path)
        require_bars(self._start, self._log)
        if self._start.reason is not None and self._log.rows:
            self._warn(f"{self._log.rows:,} bars pass again before a new one is taken: {self._start.reason}.")
        self._answers = AnswerLog(self.folder.path, self._log.rows - 1, self.key)
        stack.callback(self._answers.close)
        if lost := self._answers.lost_bars:
            self._warn(f"{lost:,} bars that were answered are not in {BARS}. Send them again.")
        self._old_bars, self._position = self._log.rows, position
        self.sender = Sender(send, self._answers, self.end)
        self.lines = self._queue(reader, limits, self.sender)
        first = self._answers.sent_bar + 1 if tell_from == LAST_TOLD else tell_from
        for message in self._answers.since(int(first)):
            self.sender(message)
            self._sent_again += 1

    def is_to_run_again(self) -> bool:
        """Run until the lines end; return whether a bar broke the run and it must begin again without it."""
        try:
            self._run(self._start)
        except (NonFiniteError, ArithmeticError) as error:  # the latter of a feature that divides by 0
            line = self.lines.line
            if line is None or self._ran_row() < self._log.rows:  # not this bar, but one that was stored
                raise
            self.lines.refuse(line, f"the bar was not taken: {error}")
            self._start = self._begin()
            return True  # also where the stream has ended meanwhile: `result` needs a run that returned
        return False

    def _ran_row(self) -> int:
        return len(self._feed) - 1

    def _run(self, start: StreamStart) -> None:
        path, log = self.folder.path, self._log
        self._cerebro = cerebro = bt.Cerebro(stdstats=False)
        self._feed: LiveFeed = LiveFeed(queue=self.lines, history=start.history(log), limits=None)
        feed, self._is_running = self._feed, True
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
            Answerer, lines=self.lines, log=log, answers=self._answers, send=self.sender, _name="answers"
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
        account = self._account_state()
        if self._position is not None:
            account = self._command({"position": self._position})
            self._position = None
        self._event(
            {
                "event": "ready",
                "bars": self._log.rows,
                "told": self._sent_again,
                "start_s": round(time.perf_counter() - self.begun, 3),
                "account": account,
                "folder": str(self.folder.path),
            }
        )
        self._health.write("running")

    def _account_state(self) -> dict[str, Any]:
        return self._broker.position_state(self._feed)

    def _last_bar(self) -> str | None:
        return None if self._feed.close_before is None else str(self._feed.time_before)

    def _counts(self) -> dict[str, Any]:
        return {
            "bars": self._log.rows,
            "last_bar": self._last_bar(),
            "malformed_lines": self.lines.malformed,
            "ignored_bars": self.lines.ignored,
            "equity": self._broker.getvalue(),
            "is_settled": not self._broker.unsettled,
        }

    def _line_counts(self) -> dict[str, int]:
        return {
            "bars": self._log.rows,
            "new_bars": self._log.rows - self._old_bars,
            "malformed_lines": self.lines.malformed,
            "ignored_bars": self.lines.ignored,
        }

    def result(self) -> Stream | PortfolioStream:
        """Write the manifest with the metrics of all bars, and return the result."""
        folder, log = self.folder, self._log
        result = Stream(folder.path, folder.manifest)
        folder.manifest |= {
            "rows": {**self._recording.rows, BARS: log.rows},
            "device": self._ran.network.device_name,
        }
        broker = self._broker
        money = {
            "equity_start": self._account.cash,
            "equity_end": broker.getvalue(),
            "return_pct": return_pct(result.equity, self._account.cash),
            "position": broker.getposition(self._feed).size,
            **broker.counts.as_dict(),
        }
        step_time = self._ran.analyzers.run_observer.get_analysis()["step_time"]
        metrics = (
            stream_metrics(self._line_counts(), result.predictions, result.outputs)
            | money
            | {"step_time": step_time}
        )
        self._health.write("ended")
        folder.save(metrics=metrics)
        return result
