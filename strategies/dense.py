"""The best network known for the fractal label: two dense layers on one bar of the visible shape.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/dense.py
"""

from bt_neuro import Adam, CategoricalCrossentropy, CosineDecay, Dense, NeuroStrategy, RunningBatchNorm


class DenseShape(NeuroStrategy):
    """A network of 5,200 parameters in place of the article's attention.

    Its rate falls to a tenth within 5,000 bars: it learns quickly while all is new, and is steady afterwards.
    """

    params = (("history_bars", 1), ("learning_rate", 2e-3))

    def layers(self, inputs):
        return [RunningBatchNorm(500), Dense(64, "relu"), Dense(64, "relu"), Dense(3, "softmax")]

    def loss(self):
        return CategoricalCrossentropy()

    def optimizer(self):
        return Adam(CosineDecay(self.p.learning_rate, 5_000, alpha=0.1), average=3_000)
