"""Queue of a stream's lines: parsed in a thread, checked and answered in order, bars passed on to the feed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from bt_neuro.bars.limits import Limits
from bt_neuro.bars.line_reader import Bar, LineReader, parse_object
from bt_neuro.errors import BarsError
from bt_neuro.runs.paper_account import is_command, require_command

MOST_WAITING = 1024  # lines that may be parsed ahead of the network


class Line(NamedTuple):
    """A line of the stream: a bar, a command, or the reason why it is neither."""

    number: int
    bar: Bar | None = None
    command: dict[str, Any] | None = None
    error: str | None = None
    ignored: str | None = None
    id: Any = None
    has_id: bool = False
    symbol: str | None = None

    def answer(self, **values: Any) -> dict[str, Any]:
        """Return an answer to this line: values, its number, its symbol and its id if it has them."""
        symbol = {} if self.symbol is None else {"symbol": self.symbol}
        return {**values, "line": self.number, **symbol, **({"id": self.id} if self.has_id else {})}


class LineReaderThread(threading.Thread):
    """Thread that parses lines while the network works.

    Attributes
    ----------
    error : what the iterator raised, or None
    """

    def __init__(self, lines: Iterable[str], symbols: Sequence[str] = ()) -> None:
        super().__init__(name="bt-neuro-lines", daemon=True)  # it may wait for a line that never comes
        self.queue: queue.Queue[Line | None] = queue.Queue(MOST_WAITING)
        self._lines, self._symbols, self._stopped = lines, symbols, threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        reader = LineReader(symbols=self._symbols)
        try:
            for number, line in enumerate(self._lines, start=1):
                if not self._put(parse(reader, number, line)):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the stream was called
            self.error = error
        finally:
            self._put(None)

    def _put(self, line: Line | None) -> bool:
        while not self._stopped.is_set():
            try:
                self.queue.put(line, timeout=0.5)
                return True
            except queue.Full:
                continue
        return False

    def stop(self) -> None:
        self._stopped.set()


def parse(reader: LineReader, number: int, line: str) -> Line:
    """Return a line as a bar, a command, or the reason why it is neither."""
    named: dict[str, Any] = {}
    reader.symbol = None
    try:
        if line.lstrip("\ufeff \r\n\t").startswith("{"):
            values = parse_object(line.strip("\ufeff \r\n\t"))
            if "id" in values:
                named = {"id": values.pop("id"), "has_id": True}
            if is_command(values):
                command = dict(reader.without_symbol(values))
                require_command(command)
                if reader.symbol is not None:
                    command["symbol"] = reader.symbol
                return Line(number, command=command, symbol=reader.symbol, **named)
            return Line(number, reader.read_values(values), symbol=reader.symbol, **named)
        bar = reader.read(line)
    except BarsError as error:
        return Line(number, error=str(error), symbol=reader.symbol, **named)
    if bar is None:
        return Line(number, ignored="a header" if line.strip("\ufeff \r\n") else "an empty line")
    return Line(number, bar, symbol=reader.symbol)


class LineQueue:
    """Queue of a `LiveFeed`: bars to run again, then those of new lines.

    Parameters
    ----------
    lines : the thread that parses
    limits : of plausible bars
    answer : called with the answer to a line that is no new bar
    command : called with a command that is new, and its line

    Attributes
    ----------
    line : the line of the bar given last; None for one that runs again
    malformed, ignored : number of lines
    """

    def __init__(
        self,
        lines: LineReaderThread,
        limits: Limits,
        answer: Callable[[dict[str, Any]], None],
        command: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._lines, self._limits, self._answer, self._command = lines, limits, answer, command
        self.line: Line | None = None
        self.malformed = self.ignored = 0
        self._again: Iterator[Bar | dict[str, Any]] = iter(())
        self._is_live = False

    def begin(
        self,
        feed: Any,
        again: Iterator[Bar | dict[str, Any]],
        run_command: Callable[[dict[str, Any]], Any],
        ready: Callable[[], None],
        beat: Callable[[], None],
    ) -> None:
        """Start a run.

        Parameters
        ----------
        feed : the `LiveFeed`, which has the last bar; None of several instruments
        again : bars and commands that were taken before, in order
        run_command : called with each command of these
        ready : called once before the first new line
        beat : called now and then
        """
        self._feed, self._again, self._run_command = feed, again, run_command
        self._ready, self._beat, self._is_live, self.line = ready, beat, False, None

    def empty(self) -> bool:
        return self._is_live and self._lines.queue.empty()

    def get_nowait(self) -> Bar | None:
        return self.get(0.0)

    def get(self, timeout: float) -> Bar | None:
        """Return the next bar; None at the end of the lines.

        Raises
        ------
        queue.Empty
            If there is none in time.
        """
        for item in self._again:
            if isinstance(item, Bar):
                return item
            self._run_command(item)
        if not self._is_live:
            self._is_live = True
            self._ready()
        self._beat()
        while True:
            line = self._lines.queue.get(timeout=timeout) if timeout else self._lines.queue.get_nowait()
            if line is None:
                self._lines.queue.put(None)  # also for a run that begins again
                return None
            if self._is_bar(line):
                self.line = line
                return line.bar

    def _is_bar(self, line: Line) -> bool:
        """Return whether a line is a new bar; answer it if it is not."""
        bar = line.bar
        error, ignored = line.error, line.ignored
        if line.command is not None:
            self._answer(line.answer(account=self._command(line.command)))
            return False
        if bar is not None:
            feed = self._feed_of(bar)
            if bar.time <= feed.time_before:
                ignored = f"a bar that is not later than the last one, {feed.time_before}"
            else:
                error = self._limits.fault(bar, feed.close_before) or self._late(bar)
        if error is not None:
            self.refuse(line, error)
        elif ignored is not None:
            self.ignored += bar is not None
            self._answer(line.answer(ignored=ignored))
        else:
            return True
        return False

    def _feed_of(self, bar: Bar) -> Any:
        return self._feed

    def _late(self, bar: Bar) -> str | None:
        """Return why a bar comes too late for other instruments."""
        return None

    def refuse(self, line: Line, error: str) -> None:
        """Count a malformed line, and answer it."""
        self.malformed += 1
        self._answer(line.answer(error=error))
