"""Risk rules: every trade risks the same share of the equity, behind a stop that follows the price.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/atr_stop.py --param risk=0.002 --param stop_atr=3
"""

import backtrader as bt

from bt_neuro import NeuroStrategy, StrategyError


class AtrStop(NeuroStrategy):
    """Enters with a trailing stop some average true ranges away, and leaves there or at the opposite signal.

    The wider the market's range, the further the stop and the smaller the position. Range, price and equity
    are those of the deciding bar; the entry executes at the next open. The stop may fill from the bar after
    that on, for backtrader arms it once the entry has executed; a gap fills it beyond its price.

    Params:

      - ``risk`` (default: ``0.001``): share of the equity lost when price falls from the close to the stop
      - ``stop_atr`` (default: ``2.5``): distance of the stop, in average true ranges of 14 bars
      - ``size`` (default: ``0.95``): the most that a position may take of the equity, however calm the market
    """

    params = (("risk", 0.001), ("stop_atr", 2.5))

    def __init__(self, **unknown):
        super().__init__(**unknown)
        if min(self.p.risk, self.p.stop_atr) <= 0:
            raise StrategyError(f"risk is {self.p.risk}, stop_atr {self.p.stop_atr}: give numbers above 0")
        self.atr = bt.ind.ATR(self.data, period=14)

    def decide(self, signal):
        held = self.position.size
        if (held > 0 and signal.is_sell) or (held < 0 and signal.is_buy):
            self.cancel(self.stop_order)
            self.close()
        elif not held and signal.name != "none" and self.atr[0] > 0:
            distance, price = self.p.stop_atr * self.atr[0], self.data.close[0]
            share = min(self.p.risk * price / distance, self.p.size)
            enter = self.buy_bracket if signal.is_buy else self.sell_bracket
            _, self.stop_order, _ = enter(
                size=share * self.broker.getvalue() / price,
                exectype=bt.Order.Market,
                stopexec=bt.Order.StopTrail,
                stopargs={"trailamount": distance},
                limitexec=None,
            )
