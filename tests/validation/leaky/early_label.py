from small import Small

from bt_neuro import ConfirmedLabel


class Early:
    """Rises, or does not, from bar to bar: told one bar before that is known."""

    classes = ("none", "buy", "sell")
    delay_bars = 1

    def __init__(self, close):
        self.close = close

    def update(self, bar, high, low, close):
        try:
            rises = self.close[1] > close
        except IndexError:
            return []
        return [ConfirmedLabel(bar - 1, (0.0, float(rises), float(not rises)))]

    def state(self):
        return {}

    def restore(self, state):
        pass


class EarlyLabel(Small):
    def label(self):
        return Early(self.data.close)
