"""Another label: which barrier does price meet first? Traded with orders that stand at the same barriers.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/triple_barrier.py --param bars=24 --param width=3
Source: M. Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 3.
"""

from backtrader import Order

from bt_neuro import CheckpointError, Known, NeuroStrategy


class TripleBarrierLabel:
    """Buy: the upper barrier comes first; sell: the lower; none: neither within ``bars``, or both in one bar.

    The barriers of bar t lie ``width`` average ranges, of bars up to t, from its close. Its label is known when
    a later bar touches one, which may be before an earlier bar's is, and at the latest ``bars`` bars after t.
    """

    classes = ("none", "buy", "sell")

    def __init__(self, bars, width):
        self.delay_bars, self.width = bars, width
        self.range, self.waiting = 0.0, []

    def update(self, bar, high, low, close):
        waiting, self.waiting, known = self.waiting, [], []
        for start, lower, upper in waiting:
            down, up = low <= lower, high >= upper
            if down or up or bar - start >= self.delay_bars:
                known.append(Known(start, (float(down == up), float(up > down), float(down > up))))
            else:
                self.waiting.append([start, lower, upper])
        self.range = 0.98 * (self.range or high - low) + 0.02 * (high - low)  # of some 50 bars
        self.waiting.append([bar, close - self.width * self.range, close + self.width * self.range])
        return known

    def state(self):
        return {"barriers": [self.delay_bars, self.width], "range": self.range, "waiting": self.waiting[:]}

    def restore(self, state):
        if state["barriers"] != [self.delay_bars, self.width]:
            raise CheckpointError(f"the checkpoint's bars and width are {state['barriers']}: run with these")
        self.range, self.waiting = state["range"], state["waiting"][:]


class TripleBarrier(NeuroStrategy):
    params = (("bars", 12), ("width", 2.0))

    def label(self):
        return TripleBarrierLabel(self.p.bars, self.p.width)

    def decide(self, signal):
        if self.position and signal.bar >= self.leave_at:
            self.cancel(self.stop_order)  # and with it the target
            self.close()
        elif not self.position and signal.name != "none":
            _, lower, upper = self.learner.label.waiting[-1]  # of this bar
            units = self.p.size * self.broker.getvalue() / self.data.close[0]
            enter = self.buy_bracket if signal.is_buy else self.sell_bracket
            stop, target = (lower, upper) if signal.is_buy else (upper, lower)
            _, self.stop_order, _ = enter(
                size=units, exectype=Order.Market, stopprice=stop, limitprice=target
            )
            self.leave_at = signal.bar + self.p.bars
