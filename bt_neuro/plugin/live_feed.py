"""Live feed of bars from a queue."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import backtrader as bt

from bt_neuro.bars.closing import closing_time
from bt_neuro.bars.limits import Limits
from bt_neuro.bars.line_reader import Bar
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.feed import day_number
from bt_neuro.plugin.feed_base import FeedBase
from bt_neuro.plugin.feed_frame import COLUMNS
from bt_neuro.plugin.stamps import CLOSE, require_closed, timeframe_length

DIGIT_BARS = 500


class LiveFeed(FeedBase):
    """Feed the bars that another thread puts into a queue, each once and as soon as it arrives.

    Params:

      - ``queue`` (required): a ``queue.Queue`` of `Bar`; ``None`` in it ends the feed
      - ``history`` (default: ``()``): closed bars to begin with, an iterable of `Bar`; they are delivered
        with the status ``DELAYED``, those of the queue with ``LIVE``
      - ``limits`` (default: ``Limits()``): limits of plausible bars; others are skipped
      - ``reject`` (default: ``None``): called with each bar that was left out, and the reason
      - ``qcheck`` (default: ``0.25``): seconds to wait for a bar before Cerebro may do other work
      - ``timeframe`` and ``compression`` (default: ``None``): of the bars; needed beside other feeds. They stamp
        each bar with its close; without them the line ``datetime`` holds the opening

    Lines:
      - ``opened``: opening time of the bar, as it came
      - ``spread``: in points; the other lines are those of every backtrader feed.

    Attributes
    ----------
    ignored : bars that were not later than the one before; they are left out
    rejected : bars that broke a limit; they are left out
    digits : most decimals of a price in the first 500 bars

    Examples
    --------
    >>> arrived = queue.Queue()
    >>> for hour in (0, 1, 1, 2):
    ...     arrived.put(Bar(datetime(2024, 1, 1, hour), 1.10, 1.12, 1.09, 1.11))
    >>> arrived.put(Bar(datetime(2024, 1, 1, 3), 1.10, float("nan"), 1.09, 1.11))
    >>> arrived.put(None)
    >>> class Show(bt.Strategy):
    ...     def next(self):
    ...         print(self.data.datetime.datetime(0), self.data.close[0])
    >>> cerebro = bt.Cerebro()
    >>> data = cerebro.adddata(LiveFeed(queue=arrived))
    >>> _ = cerebro.addstrategy(Show), cerebro.run()
    2024-01-01 00:00:00 1.11
    2024-01-01 01:00:00 1.11
    2024-01-01 02:00:00 1.11
    >>> data.ignored, data.rejected
    (1, 1)
    """

    params = (
        ("queue", None),
        ("history", ()),
        ("limits", Limits()),
        ("reject", None),
        ("qcheck", 0.25),
        ("timeframe", None),
        ("compression", 1),
    )

    stamps: str | None = None

    def __init__(self) -> None:
        if not hasattr(self.p.queue, "get_nowait"):
            raise StrategyError(
                f"queue must be a queue.Queue of bars, got {self.p.queue!r}. Give LiveFeed(queue=...)."
            )
        self._length = None
        if self.p.timeframe is None:
            self.p.timeframe = bt.TimeFrame.Days  # of no meaning without other feeds
        elif (length := timeframe_length(self.p.timeframe, self.p.compression)) is None:
            raise StrategyError("LiveFeed: the timeframe must be from seconds to a month. Give another.")
        else:
            self.stamps, self._length = CLOSE, length
        self.ignored = self.rejected = self.digits = 0
        self.close_before: float | None = None
        self.time_before = datetime.min
        self._ended = False

    def islive(self) -> bool:
        return True

    def haslivedata(self) -> bool:
        return not self.p.queue.empty()

    def end(self) -> None:
        """Deliver no further bar; safe in a signal handler and from other threads."""
        self._ended = True

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        super().qbuffer(savemem, replaying)
        self.minbuffer(2)  # an idle period drops the oldest bar, which must not be the last one

    def start(self) -> None:
        super().start()
        require_closed(self)
        names = ("datetime", "opened", *COLUMNS, "spread", "openinterest")
        self._filled = [getattr(self.lines, name) for name in names]
        self._history: Iterator[Bar] = iter(self.p.history)
        self._is_past = True

    def _load(self) -> bool | None:
        if self._ended:
            if self._is_past:
                self._env.runstop()  # the strategy then knows that the history has not ended there
            return False
        if self._is_past:
            for bar in self._history:
                if self._is_new(bar):
                    return self._deliver(bar, self.DELAYED)
            self._is_past = False
        while True:
            try:
                bar = self.p.queue.get(timeout=self._qcheck) if self._qcheck else self.p.queue.get_nowait()
            except queue.Empty:
                return None  # nothing yet
            if bar is None:
                self._ended = True  # other feeds may go on
                return False
            fault = self.p.limits.fault(bar, self.close_before) if self.p.limits else None
            if fault is not None:
                self.rejected += 1
                self._reject(bar, fault)
            elif self._is_new(bar):
                return self._deliver(bar, self.LIVE)

    def _is_new(self, bar: Bar) -> bool:
        if bar.time > self.time_before:
            return True
        self.ignored += 1
        self._reject(bar, f"{bar.time} is not later than the last bar, {self.time_before}")
        return False

    def _reject(self, bar: object, reason: str) -> None:
        if self.p.reject is not None:
            self.p.reject(bar, reason)

    def _deliver(self, bar: Bar, status: int) -> bool:
        self.put_notification(status)
        self.time_before, self.close_before = bar.time, bar.close
        if len(self) <= DIGIT_BARS:
            self.digits = bar.digits(self.digits)
        opened = day_number(bar.time)
        closed = opened if self._length is None else day_number(closing_time(bar.time, self._length))
        for line, value in zip(self._filled, (closed, opened, *bar[1:], 0.0), strict=True):
            line[0] = value
        return True

    def resample(self, **options: Any) -> None:
        raise StrategyError("LiveFeed cannot be resampled. Use the parameter timeframes of NeuroStrategy.")

    def replay(self, **options: Any) -> None:
        raise StrategyError("LiveFeed cannot be replayed: half-made bars would be learned.")
