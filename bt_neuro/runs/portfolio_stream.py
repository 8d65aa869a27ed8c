"""Session of a stream of several instruments on one paper account."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import backtrader as bt

from bt_neuro.learning.checkpoint import MODEL
from bt_neuro.metrics.summary import portfolio_stream_metrics, stream_metrics
from bt_neuro.metrics.trading import return_pct
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.runs.answerer import Answerer, Sender
from bt_neuro.runs.answers import ROW, AnswersAgain
from bt_neuro.runs.bars_log import BARS, BarsLog
from bt_neuro.runs.health import Health
from bt_neuro.runs.line_queue import LineReaderThread
from bt_neuro.runs.paper_account import paper_broker
from bt_neuro.runs.portfolio_cerebro import PortfolioEquity, member_of
from bt_neuro.runs.recording import EQUITY, Recording
from bt_neuro.runs.results import PortfolioStream
from bt_neuro.runs.stream_folder import StreamStart, remove_tables
from bt_neuro.runs.stream_session import Session
from bt_neuro.runs.symbol_feeds import SymbolFeed, SymbolQueue
from bt_neuro.runs.tables import TextTable

NO_SNAPSHOT = "an account of several instruments has no snapshot"


class PortfolioSession(Session):
    """A stream of several instruments: one feed, network and strategy each in one Cerebro, on one account.

    Its account has no snapshot: a restart runs all bars and commands again, in the order in which they came.
    """

    key = ROW

    def _begin(self) -> StreamStart:
        """Return the start of a run over all bars, and remove the tables of the one before."""
        self._symbols: list[str] = self.folder.manifest["names"]
        path = self.folder.path
        for folder in (path, *(path / symbol for symbol in self._symbols)):
            folder.mkdir(exist_ok=True)
            remove_tables(folder)
        return StreamStart(None, False, 0, {}, NO_SNAPSHOT)

    def _open_log(self) -> BarsLog:
        return BarsLog(self.folder.path / BARS, symbols=self._symbols)

    def _queue(self, reader: LineReaderThread, limits: Any, send: Sender) -> SymbolQueue:
        return SymbolQueue(reader, limits, send, self._command)

    def _end_feeds(self) -> None:
        self.lines.end()

    def _ran_row(self) -> int:
        return self.lines.row

    def _run(self, start: StreamStart) -> None:
        path = self.folder.path
        self._cerebro = cerebro = bt.Cerebro(stdstats=False)
        self._broker = cerebro.broker = paper_broker(self._account, None)
        self._health = Health(path, self._event, self.heartbeat_s, self._counts)
        self._feeds = {symbol: SymbolFeed(queue=self.lines, limits=None) for symbol in self._symbols}
        self._recordings: dict[str, Recording] = {}
        again = AnswersAgain(self._answers, path)
        answering = {"lines": self.lines, "log": self._log, "answers": self._answers, "send": self.sender}
        answering["again"] = again
        analyzers: dict[str, list[tuple[type[bt.Analyzer], dict[str, Any]]]] = {}
        with ExitStack() as tables:
            self._equity = tables.enter_context(TextTable(path / EQUITY, PortfolioEquity.header))
            for symbol, feed in self._feeds.items():
                cerebro.adddata(feed, name=symbol)
                recording = tables.enter_context(Recording(path / symbol))
                self._recordings[symbol] = recording
                about = {"run": self._signature, "symbol": symbol}
                analyzers[symbol] = [
                    (Answerer, {**answering, "_name": "answers"}),
                    *recording.analyzers([lambda strategy: self._sync()], {"health": self._health}),
                    (ModelCheckpoint, {"path": path / symbol / MODEL, "about": about}),
                ]
            equity = {"table": self._equity, "names": self._symbols}
            analyzers[self._symbols[0]].append((StreamEquity, equity))
            member, budget = member_of(self._strategy, analyzers, {}), 1 / len(self._symbols)
            for symbol in self._symbols:
                cerebro.addstrategy(member, **{**self._params, "data": symbol, "budget": budget})
            past = self.folder.manifest["first_live_bar"]
            self.lines.attach(self._feeds, past)
            rows = start.again(self._log)
            self.lines.begin(None, rows, self._broker.command, self._ready, self._health.beat)
            self._is_running = True
            if self._is_ended:
                self.end()
            ran = cerebro.run(exactbars=1)
        self._ran = dict(zip(self._symbols, ran, strict=True))

    def _account_state(self) -> dict[str, Any]:
        return {symbol: self._broker.position_state(feed) for symbol, feed in self._feeds.items()}

    def _last_bar(self) -> str | None:
        return None if self.lines.row < 0 else str(self.lines.time)

    def result(self) -> PortfolioStream:
        """Write the manifest with the metrics of all bars, and return the result."""
        folder, broker = self.folder, self._broker
        rows = {
            f"{name}/{table}": n for name, one in self._recordings.items() for table, n in one.rows.items()
        }
        folder.manifest |= {
            "rows": {EQUITY: self._equity.rows, BARS: self._log.rows, **rows},
            "device": self._ran[self._symbols[0]].network.device_name,
        }
        result = PortfolioStream(folder.path, folder.manifest)
        by_name = {}
        for symbol, feed in self._feeds.items():
            one = result.instrument(symbol)
            step_time = self._ran[symbol].analyzers.run_observer.get_analysis()["step_time"]
            metrics = stream_metrics({"bars": len(feed)}, one.predictions, one.outputs)
            by_name[symbol] = {**metrics, "position": broker.getposition(feed).size, "step_time": step_time}
        account = {
            "equity_start": self._account.cash,
            "equity_end": broker.getvalue(),
            "return_pct": return_pct(result.equity, self._account.cash),
            **broker.counts.as_dict(),
        }
        self._health.write("ended")
        folder.save(metrics=portfolio_stream_metrics(self._line_counts(), account, by_name))
        return result


class StreamEquity(PortfolioEquity):
    """One row for each time at which some instrument has a new bar, after the last bar of that time."""

    def start(self) -> None:
        super().start()
        self._row: tuple[object, ...] = ()

    def next(self) -> None:
        now = self.now()
        if now > self._time:
            self._write()
        self._time, self._row = now, self.row(now)

    def stop(self) -> None:
        self._write()
        self.p.table.flush()

    def _write(self) -> None:
        if self._row:
            self.append(self._row)
