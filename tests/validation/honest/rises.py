from small import Small

from bt_neuro import ConfirmedLabel


class Rising:
    """Is the close three bars later higher? Known three bars later."""

    classes = ("none", "buy", "sell")
    delay_bars = 3

    def __init__(self):
        self.closes = []

    def update(self, bar, high, low, close):
        self.closes.append(close)
        if len(self.closes) <= self.delay_bars:
            return []
        rose = close > self.closes.pop(0)
        return [ConfirmedLabel(bar - self.delay_bars, (0.0, float(rose), float(not rose)))]

    def state(self):
        return {"closes": self.closes}

    def restore(self, state):
        self.closes = state["closes"]


class Rises(Small):
    """Learns another label."""

    def label(self):
        return Rising()
