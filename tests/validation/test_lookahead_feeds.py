"""lookahead-check over several feeds: it names who peeks in any pair of them, and accuses nobody else."""

from __future__ import annotations

from functools import partial

import backtrader as bt
import pandas as pd
import pytest
from command import bt_neuro
from foreign_feeds import HALF_HOURS, csv, live, ours, pandas, replayed, timeframe
from leaky.once_ahead import NextClose
from modes import random_hours
from small import Small

from bt_neuro import lookahead_check
from bt_neuro.bars.resample import resample_bars
from bt_neuro.errors import NeuroError, StrategyError
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.stamps import stamped

PARAMETERS = {"features": "shape", "history_bars": 1}
PAIRS = [
    pytest.param((60, 1440), id="D1 in H1"),
    pytest.param((60, 240), id="H4 in H1", marks=pytest.mark.slow),
    pytest.param((30, 60), id="H1 in M30", marks=pytest.mark.slow),
]


class Honest(Small):
    """Buys what is cheaper than the last slow close that is known."""

    def decide(self, signal):
        self.target(0.5 if self.data1.close[0] > self.data.close[0] else 0.0)


class PeeksAhead(Small):
    """Buys what is cheaper than the next slow close."""

    def decide(self, signal):
        self.target(0.5 if self.data1.close[1] > self.data.close[0] else 0.0)


class Computes(Small):
    """Has a feature of the slow feed that is a bar ahead."""

    def features(self):
        return {**super().features(), "ahead": NextClose(self.data1).close}


def resampled(cerebro, bars, minutes, fast=None):
    cerebro.resampledata(BarsFeed(bars=fast), **timeframe(minutes))


def resampled_pandas(cerebro, bars, minutes, fast=None):
    step = int(fast["datetime"].diff().min().total_seconds()) // 60
    feed = bt.feeds.PandasData(dataname=fast.set_index("datetime"), openinterest=None, **timeframe(step))
    cerebro.resampledata(stamped(feed, "open"), **timeframe(minutes))


def add_both(cerebro, frames, slow, minutes):
    fast, coarse = frames.values()
    ours(cerebro, fast, minutes[0])
    more = {"fast": fast} if slow in (resampled, resampled_pandas) else {}
    slow(cerebro, coarse, minutes[1], **more)


def check(strategy, slow, minutes, folder):
    files = []
    for length in minutes:
        bars = resample_bars(HALF_HOURS[:288], pd.Timedelta(minutes=30), pd.Timedelta(minutes=length))
        files.append(folder / f"M{length}.csv")
        bars.to_csv(files[-1], index=False)

    def add(cerebro, frames):
        cerebro.folder = folder
        add_both(cerebro, frames, slow, minutes)

    return lookahead_check(
        files[0], inputs=files[1:], add_feeds=add, strategy=strategy, parameters=PARAMETERS, cuts=2
    )


GOOD = [ours, pandas, csv, resampled, resampled_pandas, live]


@pytest.mark.parametrize("minutes", PAIRS)
@pytest.mark.parametrize("slow", GOOD, ids=lambda add: add.__name__)
def test_who_reads_closed_bars_passes(slow, minutes, tmp_path):
    result = check(Honest, slow, minutes, tmp_path)
    assert result.passed, result
    assert result.orders > 5


@pytest.mark.parametrize("minutes", PAIRS)
@pytest.mark.parametrize("slow", [ours, pandas, csv], ids=lambda add: add.__name__)
@pytest.mark.parametrize(
    ("strategy", "what", "future"), [(PeeksAhead, "the order", "mask"), (Computes, "ahead", "cut")]
)
def test_who_peeks_in_the_other_feed_is_named(strategy, what, future, slow, minutes, tmp_path):
    leak = check(strategy, slow, minutes, tmp_path).leak
    assert (leak.what, leak.future, leak.instrument) == (what, future, f"M{minutes[0]}")


@pytest.mark.parametrize("minutes", PAIRS)
@pytest.mark.parametrize("slow", [pandas, csv], ids=lambda add: add.__name__)
def test_stamps_declared_wrongly_are_named(slow, minutes, tmp_path):
    declared = partial(slow, at="close")  # they are openings
    if slow is csv and minutes[1] == 1440:
        pytest.skip("backtrader's CSV feed moves a day's stamp to its end")
    leak = check(Honest, declared, minutes, tmp_path).leak
    assert leak.what == "the order"
    assert leak.future in ("cut", "perturbed")


@pytest.mark.parametrize("slow", [replayed, partial(pandas, at=None)])
def test_what_cannot_be_causal_is_refused(slow, tmp_path):
    with pytest.raises(NeuroError, match=r"stamps|replayed"):
        check(Honest, slow, (60, 1440), tmp_path)


@pytest.mark.parametrize("slow", [live, resampled_pandas], ids=lambda add: add.__name__)
def test_a_bar_that_backtrader_holds_back_is_named(slow, tmp_path):
    # It loads the next bar of each feed and rewinds, which leaves the bar in the lines.
    leak = check(PeeksAhead, slow, (60, 1440), tmp_path).leak
    assert (leak.what, leak.future) == ("the run", "cut")


def test_a_line_that_holds_no_next_bar_is_an_error(tmp_path):
    with pytest.raises(StrategyError, match="IndexError"):
        check(PeeksAhead, resampled, (60, 1440), tmp_path)


# -- portfolios ----------------------------------------------------------------------------------------------
class PeeksInB(Small):
    def decide(self, signal):
        ahead = self.data.close[1] if self.data._name == "B" else self.data.close[0]
        self.target(0.3 if ahead > self.data.close[0] else -0.3)


class PeeksInAnother(Small):
    """Trades one instrument by the next bar of another."""

    def decide(self, signal):
        other = self.datas[1]
        self.target(0.3 if len(other) and other.close[1] > other.close[0] else -0.3)


@pytest.fixture
def files(tmp_path):
    late = random_hours(200, seed=2)[40:]
    early = random_hours(200, seed=3)[:150]
    for name, bars in zip("ABC", (random_hours(200), late, early), strict=True):
        bars.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


@pytest.mark.slow
def test_a_portfolio_passes_and_who_peeks_in_it_is_named(files):
    options = {"parameters": PARAMETERS, "cuts": 2}
    result = lookahead_check(files, strategy=Small, **options)
    assert result.passed, result
    assert result.file == "A.csv, B.csv, C.csv"
    assert result.predicted_bars > 480
    assert lookahead_check(files, strategy=PeeksInB, **options).leak.instrument == "B"
    assert not lookahead_check([files / "A.csv", files / "C.csv"], strategy=PeeksInAnother, **options).passed


@pytest.mark.slow
def test_the_command_takes_portfolios_and_inputs(files):
    (files / "mine.py").write_text(
        "from bt_neuro import NeuroStrategy\n"
        "class Mine(NeuroStrategy):\n"
        "    def decide(self, signal):\n"
        "        self.target(0.3 if self.data1.close[1] > self.data1.close[0] else -0.3)\n"
    )
    words = ["lookahead-check", files / "A.csv", "--device", "numpy", "--processes", "1", "--cuts", "1"]
    words += ["--no-report", "--out"]
    found = bt_neuro(*words, files / "1", "--input", files / "C.csv", "--strategy", files / "mine.py")
    assert found.exit_code == 3, found.output
    assert "of A, " in found.stdout
    passed = bt_neuro(*words, files / "2", files / "C.csv")
    assert passed.exit_code == 0, passed.output
    assert "on A.csv, C.csv, 350 bars" in passed.stdout
