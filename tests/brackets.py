"""A strategy with working stop orders and attributes of its own, all of which a restart must bring back."""

from __future__ import annotations

import backtrader as bt
from small import Small


class Brackets(Small):
    """Enters with a trailing stop, counts what it did, and leaves after some bars."""

    def __init__(self, **unknown):
        super().__init__(**unknown)
        self.atr = bt.ind.ATR(self.data, period=14)
        self.mean = bt.ind.EMA(self.data.close - self.data.open, period=9)

    def start(self):
        super().start()
        self.entries, self.recent, self.leave_at, self.stop_order = 0, [], 0, None

    def decide(self, signal):
        self.recent = [*self.recent[-4:], (signal.bar, self.mean[0])]
        if self.position and signal.bar >= self.leave_at:
            self.cancel(self.stop_order)
            self.close()
        elif not self.position and self.atr[0] > 0:
            enter = self.buy_bracket if sum(mean for _, mean in self.recent) > 0 else self.sell_bracket
            self.entries += 1
            _, self.stop_order, _ = enter(
                size=100 + self.entries,
                exectype=bt.Order.Market,
                stopexec=bt.Order.StopTrail,
                stopargs={"trailamount": 1.5 * self.atr[0]},
                limitexec=None,
            )
            self.leave_at = signal.bar + 5 + self.entries % 7
