"""The best network known for the fractal label: two dense layers on one bar of the visible shape.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/dense.py
"""

from bt_neuro import CategoricalCrossentropy, Dense, NeuroStrategy, RunningBatchNorm


class DenseShape(NeuroStrategy):
    """A network of 5,200 parameters in place of the article's attention; everything else is the default."""

    params = (("history_bars", 1), ("learning_rate", 1e-3))

    def layers(self, inputs):
        return [RunningBatchNorm(500), Dense(64, "relu"), Dense(64, "relu"), Dense(3, "softmax")]

    def loss(self):
        return CategoricalCrossentropy()
