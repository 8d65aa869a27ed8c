"""A small network and a small strategy: the same code paths as the article's, in a hundredth of the time."""

from __future__ import annotations

from bt_neuro import Dense, Network, NeuroStrategy, RunningBatchNorm

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


def small_network(inputs: int, **options) -> Network:
    return Network(LAYERS, inputs, **{"device": "numpy", **options})
