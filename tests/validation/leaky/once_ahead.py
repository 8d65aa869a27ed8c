import backtrader as bt
from small import Small


class NextClose(bt.Indicator):
    """The next bar's close, by an index that is one too large."""

    lines = ("close",)

    def next(self):
        self.lines.close[0] = self.data.close[0]

    def once(self, start, end):
        closes = self.data.close.array
        for bar in range(start, end):
            self.lines.close.array[bar] = closes[min(bar + 1, end - 1)]


class OnceAhead(Small):
    """Uses an indicator that is one bar ahead, and only where it seldom decides anything."""

    def __init__(self, **unknown):
        self.coming = NextClose(self.data)
        super().__init__(**unknown)

    def decide(self, signal):
        if signal.bar % 50 == 0 and self.coming[0] > self.data.close[0]:
            self.buy(size=1)
