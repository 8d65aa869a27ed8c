"""A trend filter and features of one's own: buy with a rising market, sell with a falling one.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/trend_only.py --param trend_bars=100
"""

import backtrader as bt

from bt_neuro import NeuroStrategy


class TrendOnly(NeuroStrategy):
    """Takes the signals that agree with a long average of the close, and leaves when price crosses it.

    Features and filter are lines of backtrader, read at index 0: at bar t they hold bars up to t.

    Params:

      - ``trend_bars`` (default: ``200``): bars in the average
    """

    params = (("trend_bars", 200),)

    def __init__(self, **unknown):
        self.trend = bt.ind.EMA(self.data.close, period=self.p.trend_bars)
        self.atr = bt.ind.ATR(self.data, period=14)
        super().__init__(**unknown)  # calls features(), which may use the lines above

    def features(self):
        high, low, close = self.data.high, self.data.low, self.data.close
        return {
            **super().features(),  # those of the visible shape
            # In ranges, so that it has no price scale.
            "above_trend": bt.DivByZero(close - self.trend, self.atr),
            "move_of_day": bt.DivByZero(close - close(-24), self.atr),
            "place_in_bar": bt.DivByZero(close - low, high - low, zero=0.5),
        }

    def decide(self, signal):
        rising = self.data.close[0] > self.trend[0]
        if rising and signal.is_buy:
            self.target(self.p.size)
        elif not rising and signal.is_sell:
            self.target(-self.p.size)
        elif self.position and rising != (self.position.size > 0):
            self.target(0)
