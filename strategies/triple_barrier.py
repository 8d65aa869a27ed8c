"""Another label: which barrier does price meet first? Traded with orders that stand at the same barriers.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/triple_barrier.py --param bars=24 --param width=3
Source: M. Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 3.
"""

from bt_neuro import CheckpointError, ConfirmedLabel, NeuroStrategy


class TripleBarrierLabel:
    """Buy: the upper barrier comes first; sell: the lower; none: neither within ``bars``, or both in one bar.

    The barriers of bar t lie ``width`` average ranges, of bars up to t, from its close. Its label is
    known when a later bar touches one, perhaps before that of an earlier bar, or else ``bars`` bars after t.
    """

    classes = ("none", "buy", "sell")

    def __init__(self, bars, width):
        self.delay_bars, self.width, self.range, self.waiting = bars, width, 0.0, []

    def update(self, bar, high, low, close):
        known = []
        for start, lower, upper in self.waiting[:]:
            down, up = low <= lower, high >= upper
            if down or up or bar - start >= self.delay_bars:
                self.waiting.remove([start, lower, upper])
                known.append(ConfirmedLabel(start, (float(down == up), float(up > down), float(down > up))))
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
    """Enters at the next open; stop and target at the deciding bar's barriers, time limit ``bars`` bars."""

    params = (("bars", 12), ("width", 2.0))

    def label(self):
        return TripleBarrierLabel(self.p.bars, self.p.width)

    def decide(self, signal):
        if self.position and signal.bar >= self.leave_at:
            self.cancel(self.bracket[1])  # the stop, and with it the target
            self.close()
        elif not self.position and signal.name != "none":
            _, lower, upper = self.learner.label.waiting[-1]  # of this bar
            units = self.p.size * self.broker.getvalue() / self.data.close[0]
            enter = self.buy_bracket if signal.is_buy else self.sell_bracket
            stop, target = (lower, upper) if signal.is_buy else (upper, lower)
            self.bracket = enter(size=units, exectype=None, stopprice=stop, limitprice=target)  # at market
            self.leave_at = signal.bar + self.p.bars
