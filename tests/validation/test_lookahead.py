"""lookahead-check finds each leak and accuses nobody else; what it is made of, piece by piece."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from command import bt_neuro
from hypothesis import given, settings
from hypothesis import strategies as st
from modes import random_hours
from paths import ROOT
from small import Small

from bt_neuro import NeuroStrategy, lookahead_check, open_run
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.feed import backtrader_timeframe
from bt_neuro.plugin.feed_frame import require_bars
from bt_neuro.validation.future import perturbed
from bt_neuro.validation.lookahead import places
from bt_neuro.validation.trace import Trace, differences
from bt_neuro.validation.trace_recording import FeedBars, TraceTask, record_trace

SAMPLE = ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv"
LEAKY, HONEST = ROOT / "tests" / "validation" / "leaky", ROOT / "tests" / "validation" / "honest"
REAL = ROOT.parent / "shared" / "data" / "EURUSD_H1.csv"


def check(strategy, end="2024-01-12", cuts=2, **options):  # 216 bars; a small network speaks from bar 36
    return lookahead_check(
        SAMPLE,
        strategy=strategy if isinstance(strategy, type) else str(strategy),
        parameters={"device": "numpy"},
        bars_options={"end": end},
        cuts=cuts,
        **options,
    )


# -- leaks ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("file", "bar", "what", "future"),
    [
        ("close_ahead", 36, "the order", "mask"),  # close[1]
        ("rare_peek", 111, "the order", "mask"),  # the array, one bar ahead, at one bar of the file
        ("early_label", 37, "the prediction", "mask"),  # a label told one bar too early
        ("whole_scaling", 0, "scaled", "cut"),  # mean and deviation of the whole file
        ("once_ahead", 36, "NextClose.close", "cut"),  # an indicator one bar ahead
        ("learning_indicator", 36, "the order", "cut"),  # an indicator that learns
        ("learns_tomorrow", 36, "the network's state", "cut"),  # seen in the weights before in any prediction
        ("next_time", 36, "the order", "mask"),  # when the next bar comes
        ("fails_at_the_end", 36, "the run", "cut"),  # looks, and does nothing with it
    ],
)
def test_a_leak_is_found_and_named(file, bar, what, future):
    leak = check(LEAKY / f"{file}.py").leak
    assert (leak.bar, leak.what, leak.future) == (bar, what, future)
    assert leak.from_bar == bar + 1 or what == "scaled"
    assert leak.whole != leak.other


def test_a_leak_that_begins_late_in_the_file_is_found():
    leak = check(LEAKY / "late_ahead.py", cuts=4).leak
    assert (leak.what, leak.future) == ("NextCloseAtLast.close", "cut")
    assert leak.bar == leak.from_bar - 1 > 108
    assert leak.start_bar > 0
    assert leak.time > "2024-01-09"


def test_the_sentence_says_where_and_the_remedy_what_to_do():
    result = check(LEAKY / "once_ahead.py")
    assert str(result) == (
        f"Look-ahead found: {LEAKY / 'once_ahead.py'} on SYNTHETIC_EURUSD_H1.csv, 216 bars. At bar 36, "
        "2024-01-03 12:00:00, NextClose.close depends on later bars. With the true ones: 1.10691. With no bars "
        "from bar 37 on: 1.10729."
    )
    assert "bar by bar" in result.remedy
    assert result.covered == ()


# -- honest ones ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("strategy", "end"),
    [
        (NeuroStrategy, "2024-01-04"),
        (ROOT / "strategies" / "article.py", "2024-01-04"),
        (ROOT / "strategies" / "trend_only.py", "2024-01-17"),
        (HONEST / "own_features.py", "2024-01-12"),
        (HONEST / "rises.py", "2024-01-12"),
        (HONEST / "timer.py", "2024-01-12"),
    ],
)
def test_an_honest_strategy_passes(strategy, end):
    result = check(strategy, end)
    assert result.passed, result
    assert len(result.cuts) == 2
    assert "No look-ahead found" in str(result)


@pytest.mark.slow
def test_opened_files_are_named_as_not_covered():
    result = check(HONEST / "reads_file.py")
    assert result.files == (str(HONEST / "levels.csv"),)
    assert f"It opened {HONEST / 'levels.csv'}." in result.not_covered[0]
    assert check(HONEST / "rises.py").files == ()


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason=f"no real bars in {REAL}")
def test_the_default_passes_on_real_bars_in_two_processes():
    result = lookahead_check(REAL, processes=2, bars_options={"end": "2005-12-31"})
    assert result.passed, result
    assert len(result.cuts) == 12
    assert result.orders > 1000


# -- what cannot be checked ----------------------------------------------------------------------------------
class Dice(Small):
    def decide(self, signal):
        self.buy(size=random.random())


class Coin(Small):
    """Two runs of it are often alike for some bars."""

    def decide(self, signal):
        self.order_target_size(target=random.choice([0, 100]))


class Breaks(Small):
    def decide(self, signal):
        if signal.bar == 100:
            raise KeyError("basket")


@pytest.mark.parametrize(
    ("strategy", "options", "complaint"),
    [
        (Dice, {}, r"must be equal, got .* for the order at bar 3\d\.\nSeed random numbers"),
        (Coin, {}, "Two runs over the same bars must be equal"),
        (Breaks, {}, r"The strategy failed after 100 bars: KeyError: 'basket'"),
        (
            Small,
            {"end": "2024-01-02"},
            r"must predict some of the 24 bars, got too few\. Give a longer file\. It failed: .*IndexError",
        ),
        (Small, {"cuts": 0}, r"cuts must be 1 or more, got 0"),
    ],
)
def test_what_cannot_be_checked_is_refused(strategy, options, complaint):
    with pytest.raises(StrategyError, match=complaint):
        check(strategy, **options)


# -- its parts -----------------------------------------------------------------------------------------------
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 59))
def test_perturbed_bars_are_bars_and_go_the_other_way(seed, cut):
    bars = random_hours(60, seed)
    wild = perturbed(bars, cut)
    require_bars(wild)
    assert len(wild) == min(2 * cut, 60)
    assert wild[:cut].equals(bars[:cut].astype(wild.dtypes))
    prices = wild[["open", "high", "low", "close"]]
    assert (prices > 0).all(axis=None)
    assert (prices.max(axis=1) == wild["high"]).all()
    assert (prices.min(axis=1) == wild["low"]).all()
    before, true, false = bars["close"][cut - 1], bars["close"][cut], wild["close"][cut]
    assert (false < before) if true >= before else (false > before)
    assert (wild["volume"][cut:] != bars["volume"][cut : len(wild)]).all()


def run_of(strategy, bars, **options):
    timeframe = backtrader_timeframe(bars["datetime"])
    return TraceTask((FeedBars("euro", bars, 1e-5, timeframe),), strategy, {}, **options)


def test_the_mask_hides_all_bars_to_come_and_no_other():
    bars, seen = random_hours(60), []

    class Looks(Small):
        def decide(self, signal):
            seen.append([np.array(line.array) for line in (self.data.close, self._feature_lines["rsi"])])

    record_trace(run_of(Looks, bars))
    record_trace(run_of(Looks, bars, mask=True))
    open_, hidden = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(hidden) == 60 - 36
    for bar, (true, shown) in enumerate(zip(open_, hidden, strict=True), start=36):
        for one, other in zip(true, shown, strict=True):
            np.testing.assert_array_equal(one[: bar + 1], other[: bar + 1])
            assert not (one[bar + 1 :] == other[bar + 1 :]).any()


@pytest.fixture(scope="module")
def trace():
    return record_trace(run_of(Small, random_hours(60), digest_after=(50,)))


def test_a_trace_is_equal_to_itself(trace):
    assert trace.bars == 60
    assert trace.first_signal == 36
    assert list(trace.states) == [50]
    assert list(differences(trace, trace, 60)) == []


def one_bit(numbers, bar):
    numbers = numbers.copy()
    numbers[bar] = np.nextafter(numbers[bar], np.inf)
    return numbers


@pytest.mark.parametrize(
    ("change", "bar", "what"),
    [
        (lambda t: {"lines": t.lines | {"rsi": one_bit(t.lines["rsi"], 40)}}, 40, "rsi"),
        (lambda t: {"outputs": one_bit(t.outputs, 41)}, 41, "the prediction"),
        (lambda t: {"signals": np.where(np.arange(60) == 42, "hold", t.signals)}, 42, "the signal"),
        (lambda t: {"orders": [*t.orders, (59, "buy of 1")]}, 59, "the order"),
        (lambda t: {"orders": t.orders[1:]}, None, "the order"),
        (lambda t: {"states": t.states | {50: "0" * 32}}, 49, "the network's state"),
        (lambda t: {"signals": t.signals[:30], "outputs": t.outputs[:30], "failure": "oops"}, 30, "the run"),
    ],
)
def test_each_difference_is_named_with_its_first_bar(trace, change, bar, what):
    other: Trace = replace(trace, **change(trace))
    first = next(differences(trace, other, 60))
    assert (first.bar, first.what) == (trace.orders[0][0] if bar is None else bar, what)
    assert not list(differences(trace, other, first.bar)) or what == "the order"


@given(bars=st.integers(3, 100_000), count=st.integers(1, 40), data=st.data())
def test_cuts_leave_a_prediction_before_them_and_a_bar_after(bars, count, data):
    first = data.draw(st.integers(0, bars - 2))
    cuts = places(first, bars=bars, count=count)
    assert 1 <= len(cuts) <= count
    assert cuts == sorted(set(cuts))
    assert first < cuts[0]
    assert cuts[-1] < bars


# -- the command ---------------------------------------------------------------------------------------------
WORDS = ["lookahead-check", SAMPLE, "--to", "2024-01-12", "--device", "numpy", "--processes", "1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the command writes its folder


def test_the_command_says_what_a_pass_covers_and_what_not():
    out = bt_neuro(*WORDS, "--strategy", HONEST / "rises.py", "--cuts", "2")
    assert out.exit_code == 0, out.output
    first, *rest = out.stdout.splitlines()
    assert first.startswith("No look-ahead found: ")
    assert [line for line in rest if line.endswith(":")] == ["This covers:", "It does not cover:"]
    assert out.stderr == ""


def test_the_command_exits_with_3_and_the_remedy_where_there_is_a_leak():
    out = bt_neuro(*WORDS, "--strategy", LEAKY / "rare_peek.py", "--param", "peeks_at=50")
    assert out.exit_code == 3
    sentence, remedy, _, written = out.stdout.splitlines()
    folder = written.removeprefix("Written to ")
    assert str(open_run(folder)) == sentence
    assert remedy in unescape((Path(folder) / "report.html").read_text(encoding="utf-8"))
    assert "At bar 50, " in sentence
    assert "Read index 0" in remedy


def test_json_is_alone_on_stdout_and_holds_the_leak():
    out = bt_neuro(*WORDS, "--strategy", LEAKY / "close_ahead.py", "--json")
    assert out.exit_code == 3
    printed = json.loads(out.stdout)
    assert (printed["passed"], printed["leak"]["bar"], printed["leak"]["what"]) == (False, 36, "the order")


@pytest.mark.slow
def test_two_processes_say_the_same_as_one():
    words = [*WORDS[:-1], "2", "--json", "--strategy"]
    for file in (HONEST / "own_features.py", LEAKY / "once_ahead.py"):
        here, there = (bt_neuro(*run, file) for run in ([*WORDS, "--json", "--strategy"], words))
        one, other = (json.loads(run.stdout) for run in (here, there))
        assert one | {"folder": ""} == other | {"folder": ""}
