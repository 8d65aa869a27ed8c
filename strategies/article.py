"""The article's expert: twelve features of twenty bars, 178,755 parameters, fractals of wing 1.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/article.py
"""

from bt_neuro import NeuroStrategy


class Article(NeuroStrategy):
    """Holds what the last signal said, as `NeuroStrategy` does, at the article's own learning rate.

    On EURUSD H1 that rate leaves this network no better than the class frequencies; the measurements behind the
    default of 2e-4 are in docs/explanation/defaults.md.
    """

    params = (("features", "article"), ("learning_rate", 1e-3))
