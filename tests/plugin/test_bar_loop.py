"""Shortcuts of backtrader's loop: the same lines, orders and notifications."""

import array
import math

import backtrader as bt
import pytest
from backtrader.linebuffer import LineBuffer
from modes import hours

from bt_neuro.account.fills import copy_of
from bt_neuro.plugin.bar_loop import LeanStrategy, move_lines, values_of
from bt_neuro.plugin.feed import BarsFeed


@pytest.mark.parametrize(("period", "extra"), [(None, 0), (1, 0), (3, 0), (1, 1)])
def test_lines_move_as_forward_moves_them(period, extra):
    lines, others = ([LineBuffer(), LineBuffer()] for _ in range(2))
    for line in (*lines, *others):
        if period is not None:
            line.updateminperiod(period)
            line.qbuffer(extrasize=extra)
    bound, other_bound = LineBuffer(), LineBuffer()
    lines[0].addbinding(bound), others[0].addbinding(other_bound)
    for bar in range(7):
        values = 1.5 * bar, math.inf
        bound.forward(), other_bound.forward()
        move_lines(lines, values)
        for line, value in zip(others, values, strict=True):
            line.forward()
            line[0] = value
        for line, other in zip((*lines, bound), (*others, other_bound), strict=True):
            assert (len(line), line.idx, line[0]) == (len(other), other.idx, other[0])
            assert values_of([line]) == [other[0]]
            assert array.array("d", line.array) == pytest.approx(array.array("d", other.array), nan_ok=True)


@pytest.fixture(scope="module")
def frame():
    return hours([1.0 + 0.01 * (hour % 7) for hour in range(40)])


class Hears(bt.Analyzer):
    def __init__(self):
        self.heard = []

    def notify_cashvalue(self, cash, value):
        self.heard.append((cash, value))


class Parent(bt.Analyzer):
    def __init__(self):
        self.child = Hears()


class Trades:
    calls = 0

    def next(self):
        self.times = [*getattr(self, "times", []), self.datetime[0]]
        if len(self) % 2:
            self.close() if self.position else self.buy(size=1)

    def notify_order(self, order):
        self.calls += 1
        self.states = [*getattr(self, "states", []), (order.ref, order.status, len(order.executed.exbits))]

    def notify_trade(self, trade):
        self.calls += 1


class HearsItself(Trades):
    def notify_fund(self, cash, value, fundvalue, shares):
        self.funds = [*getattr(self, "funds", []), (cash, value, fundvalue, shares)]


def ran(base, trades, bars, analyzer=None, **options):
    cerebro = bt.Cerebro(stdstats=False, **options)
    cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(type("Mine", (trades, base), {}))
    if analyzer:
        cerebro.addanalyzer(analyzer)
    (strategy,) = cerebro.run(exactbars=1)
    return strategy


def heard(strategy):
    found = [getattr(strategy, "calls", 0), getattr(strategy, "funds", [])]
    for analyzer in strategy.analyzers:
        found.append((analyzer.child if isinstance(analyzer, Parent) else analyzer).heard)
    statuses = [state[1:] for state in strategy.states]
    return found, statuses, strategy.times


@pytest.mark.parametrize("options", [{}, {"oldsync": True}, {"quicknotify": True}])
@pytest.mark.parametrize(
    ("trades", "analyzer"), [(Trades, None), (HearsItself, None), (Trades, Hears), (Trades, Parent)]
)
def test_who_listens_to_money_or_orders_hears_the_same(frame, trades, analyzer, options):
    lean, plain = (ran(base, trades, frame, analyzer, **options) for base in (LeanStrategy, bt.Strategy))
    assert heard(lean) == heard(plain)
    assert lean.calls


def test_a_copy_of_an_order_is_its_clone(frame):
    class Keeps(bt.Strategy):
        def next(self):
            if len(self) == 1:
                self.order = self.buy(size=1)

    cerebro = bt.Cerebro()
    cerebro.adddata(BarsFeed(bars=frame))
    cerebro.addstrategy(Keeps)
    (strategy,) = cerebro.run()
    clone, copy = strategy.order.clone(), copy_of(strategy.order)
    assert type(copy) is type(clone)
    assert {**vars(copy), "executed": 0} == {**vars(clone), "executed": 0}
    assert vars(copy_of(strategy.order.executed)) == vars(clone.executed)
