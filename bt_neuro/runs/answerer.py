"""Answerer: an analyzer that stores each new bar of a stream with its answer, and sends the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import backtrader as bt

from bt_neuro.account.bar_time import opening_line
from bt_neuro.learning.signals import CLASSES, ScoredSignal, Signal
from bt_neuro.runs.answers import BAR
from bt_neuro.runs.trades import time_text


class Answerer(bt.Analyzer):
    """Answer each new bar: signal, labels of earlier bars, orders, fills and account.

    The answer is stored, then the bar, then the answer is sent: a bar that is stored has an answer. Add it
    first, so that tables and checkpoints do not delay it. Of several instruments each has one, and the answer
    begins with the ``row`` of the bar in the log, and its ``symbol``.

    Params:
      - ``lines`` (required): the `LineQueue`
      - ``log``, ``answers`` (required): the `BarsLog` and the `AnswerLog`
      - ``send`` (required): called with each new answer
      - ``again`` (default: ``None``): the `AnswersAgain`, where all bars run again
    """

    params = (("lines", None), ("log", None), ("answers", None), ("send", None), ("again", None))

    def start(self) -> None:
        self._bar = -1

    def next(self) -> None:
        strategy, data = self.strategy, self.data
        broker, bar = strategy.broker, len(data) - 1
        if bar == self._bar:
            return
        self._bar = bar
        taken = broker.take()
        if data._laststatus != data.LIVE:
            return
        line, log, answers = self.p.lines.line, self.p.log, self.p.answers
        about, row = {}, bar
        if answers.key != BAR:
            row = self.p.lines.row
            about = {answers.key: row, "symbol": data._name}
        runs_again = row < log.rows and row <= answers.last_bar
        if runs_again and self.p.again is None:
            return
        signal = strategy.signal if strategy.signal is not None and strategy.signal.bar == bar else None
        predicted = signal_message(bar, time_text(opening_line(data)[0]), signal, strategy.scored)
        message = about | predicted | taken
        message["account"] = {
            "position": broker.getposition(data).size,
            "cash": broker.getcash(),
            "equity": broker.getvalue(),
            "costs": broker.books.paid,
            "is_settled": data._name not in broker.unsettled,
        }
        if runs_again:
            self.p.again.compare(message)
            return
        if line is not None and line.has_id:
            message["id"] = line.id
        answers.add(message)
        if line is not None and row >= log.rows:
            log.add(line.bar)
        if row > answers.sent_bar:
            self.p.send(message)


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


class Sender:
    """Send answers and record the last bar of them; after a reader is gone, send nothing more.

    Parameters
    ----------
    send : called with plain JSON values
    answers : the `AnswerLog`
    end : called when the reader has gone

    Attributes
    ----------
    is_broken : whether the reader has gone
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], answers: Any, end: Callable[[], None]) -> None:
        self._send, self._answers, self._end = send, answers, end
        self.is_broken = False

    def __call__(self, message: dict[str, Any]) -> None:
        if self.is_broken:
            return
        try:
            self._send(message)
        except (BrokenPipeError, BlockingIOError):
            self.is_broken = True
            self._end()
            return
        if self._answers.key in message:
            self._answers.record_sent(message[self._answers.key])
