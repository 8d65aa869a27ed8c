"""Another network: convolutions over the bars instead of attention, a tenth of the article's parameters.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/convolution.py --param filters=32
"""

from bt_neuro import Conv1D, Dense, NeuroStrategy, RunningBatchNorm


class Convolution(NeuroStrategy):
    """Looks for shapes of three bars anywhere in the window; trades as `NeuroStrategy` does.

    A window is the last ``history_bars`` closed bars, oldest first, and no bar to come. The first layer makes
    ``filters`` channels of each bar's features, the second reads three bars in a row.

    Params:

      - ``filters`` (default: ``16``): channels of a bar
    """

    params = (("filters", 16),)

    def layers(self, inputs):
        features = inputs // self.p.history_bars
        return [
            RunningBatchNorm(100, activation="tanh"),
            Conv1D(self.p.filters, kernel_size=features, strides=features, activation="tanh"),
            Conv1D(self.p.filters, kernel_size=3, activation="tanh"),
            Dense(48, activation="tanh"),
            Dense(3, activation="sigmoid"),
        ]
