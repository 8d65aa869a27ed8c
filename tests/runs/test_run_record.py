"""RunRecord: scores, baselines and page of a strategy in a custom Cerebro equal those of the command."""

from __future__ import annotations

import gc
from contextlib import suppress

import backtrader as bt
import pandas as pd
import pytest
from modes import random_hours
from small import Small

from bt_neuro import BarsFeed, RunRecord, backtest, margin_account, open_run
from bt_neuro.account.account import Account
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.stamps import stamped
from bt_neuro.report.page import write_page

BARS = random_hours(260)
PARAMETERS = {"features": "shape", "history_bars": 2}


def run(*feeds, out, strategies=(Small,), conditions=({},), report=False, **mode):
    cerebro = bt.Cerebro(stdstats=False, **mode)
    for number, feed in enumerate(feeds):
        cerebro.adddata(feed, name=f"feed{number}")
    for settings in conditions:
        margin_account(cerebro, "forex", point=1e-4, **{"spread": 12, **settings})
    for strategy in strategies:
        cerebro.addstrategy(strategy, **(PARAMETERS if strategy is Small else {}))
    cerebro.addanalyzer(RunRecord, out=out, report=report)
    return cerebro.run()


@pytest.fixture(scope="module")
def by_command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    BARS.to_csv(folder / "feed0.csv", index=False)
    account = Account.of("forex", spread=12)
    options = {"strategy": Small, "parameters": PARAMETERS, "account": account, "report": False}
    return backtest(folder / "feed0.csv", **options, out=folder / "run")


def foreign():
    return bt.feeds.PandasData(
        dataname=BARS.set_index("datetime"), openinterest=None, timeframe=bt.TimeFrame.Minutes, compression=60
    )


@pytest.mark.parametrize(
    ("feeds", "mode"),
    [
        (lambda: [BarsFeed(bars=BARS)], {}),
        (lambda: [BarsFeed(bars=BARS)], {"exactbars": 1}),
        (lambda: [BarsFeed(bars=BARS), BarsFeed(bars=random_hours(260, seed=2)[9:])], {}),
        (lambda: [stamped(foreign(), "open")], {}),
    ],
    ids=["preloaded", "bar by bar", "beside another feed", "of pandas"],
)
def test_its_figures_are_those_of_the_command(feeds, mode, by_command, tmp_path):
    (strategy,) = run(*feeds(), out=tmp_path / "run", **mode)
    result = open_run(tmp_path / "run")
    assert result.predictions.equals(by_command.predictions)
    mine, theirs = strategy.analyzers.runrecord.get_analysis(), by_command.metrics
    assert mine == result.metrics
    names = ["hit_rate_pct", "lift_pct", "baselines", "best_baseline", "verdict"]
    if len(strategy.datas) == 1:  # beside another feed trading begins with it
        names += [
            "return_pct",
            "trades",
            "sharpe_ratio_daily_annualised",
            "buy_and_hold_after_costs_pct",
            "orders",
        ]
        pd.testing.assert_frame_equal(result.trades, by_command.trades, check_exact=True)
    assert {name: mine[name] for name in names} == {name: theirs[name] for name in names}


def test_its_account_is_that_of_its_feed(tmp_path):
    conditions = {"name": "feed0"}, {"name": "feed1", "spread": 3}
    run(*[BarsFeed(bars=BARS) for _ in conditions], out=tmp_path / "run", conditions=conditions)
    assert open_run(tmp_path / "run").manifest["account"]["spread"] == 12


def test_the_page_is_there(tmp_path):
    run(BarsFeed(bars=BARS), out=tmp_path / "run", report=True)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "feed0" in page
    assert "visible half" in page


class Plain(bt.Strategy):
    pass


def test_it_is_idle_beside_other_strategies(tmp_path):
    plain, _ = run(BarsFeed(bars=BARS), out=tmp_path / "run", strategies=(Plain, Small))
    assert plain.analyzers.runrecord.get_analysis() == {}
    assert open_run(tmp_path / "run").manifest["status"] == "complete"


class Breaks(Small):
    def next(self):
        super().next()
        if len(self) == 100:
            raise ZeroDivisionError


def test_a_run_whose_strategy_fails_is_recorded_once_its_cerebro_is_gone(tmp_path):
    """Backtrader calls no `stop` after an exception."""
    with suppress(ZeroDivisionError):
        run(BarsFeed(bars=BARS), out=tmp_path / "run", strategies=(Breaks,))
    gc.collect()
    result = open_run(tmp_path / "run")
    assert (result.manifest["status"], len(result.equity)) == ("failed", 99)
    assert str(result).endswith("failed, Cerebro.run() raised an exception")
    write_page(result)


def test_what_it_needs_is_named(tmp_path):
    with pytest.raises(StrategyError, match="must have a margin account"):
        run(BarsFeed(bars=BARS), out=tmp_path / "one", conditions=())
    assert not (tmp_path / "one").exists()
    with pytest.raises(StrategyError, match="must have a feed that keeps its bars"):
        run(stamped(foreign(), "open"), out=tmp_path / "two", exactbars=1)
    write_page(open_run(tmp_path / "two"))
