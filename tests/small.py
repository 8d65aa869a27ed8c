"""A small network, strategy and label: the same code paths as the article's, in a hundredth of the time."""

from __future__ import annotations

from bt_neuro import ConfirmedLabel, Dense, Network, NeuroStrategy, RunningBatchNorm

LAYERS = (
    RunningBatchNorm(100, activation="tanh"),
    Dense(8, activation="tanh"),
    Dense(3, activation="sigmoid"),
)


class Small(NeuroStrategy):
    params = (("features", "article"), ("history_bars", 4), ("device", "numpy"), ("learning_rate", 0.01))

    def layers(self, inputs):
        return list(LAYERS)


class Logged(Small):
    """Remembers every signal, score and order, as what must not change with the future."""

    def start(self):
        super().start()
        self.log = []

    def decide(self, signal):
        self.log.append((signal.bar, signal.outputs))
        super().decide(signal)

    def notify_order(self, order):
        if order.status == order.Completed:
            self.log.append((len(self), order.executed.price, order.executed.size))


class HigherClose:
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


def small_network(inputs: int, **options) -> Network:
    return Network(LAYERS, inputs, **{"device": "numpy", **options})
