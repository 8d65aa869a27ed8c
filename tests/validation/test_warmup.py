"""warmup-check: indicators whose memory is known, networks that cannot differ, and its figures by hand."""

from __future__ import annotations

import json

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from command import bt_neuro
from paths import ROOT
from small import Small

from bt_neuro import Dense, read_bars, warmup_check
from bt_neuro.errors import NeuroError
from bt_neuro.validation.trace_recording import FeedBars, TraceTask, record_trace

SAMPLE = ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv"


def check(strategy, step=40, starts=2, span=100, **options):
    return warmup_check(SAMPLE, strategy=strategy, step=step, starts=starts, span=span, **options)


class Sum(bt.Indicator):
    """Never forgets where it began."""

    lines = ("sum",)
    total = 0.0

    def next(self):
        self.total += self.data[0]
        self.lines.sum[0] = self.total


class Fixed(Small):
    """Does not learn and has no statistics: what it says depends on its features alone."""

    params = (("learning", False),)

    def layers(self, inputs):
        return [Dense(3, activation="sigmoid")]


def with_features(strategy, features):
    return type(f"{strategy.__name__}Other", (strategy,), {"features": lambda self: features(self.data)})


@pytest.mark.parametrize(
    ("features", "bars", "slowest"),
    [
        (lambda data: {"close": data.close}, 0, "close"),
        (lambda data: {"close": data.close, "sma": bt.ind.SMA(data, period=10)}, 9, "sma"),
        (lambda data: {"before": data.close(-3), "move": data.close - data.open}, 3, "before"),
        (lambda data: {"close": data.close, "sum": Sum(data)}, None, "sum"),
    ],
)
def test_features_agree_once_their_memory_is_full(features, bars, slowest):
    result = check(with_features(Fixed, features))
    assert (result.features_agree_after, result.slowest_feature) == (bars, slowest)


def test_a_network_that_does_not_learn_agrees_from_its_first_prediction_on():
    result = check(with_features(Fixed, lambda data: {"sma": bt.ind.SMA(data, period=10)}))
    assert result.first_prediction == 10 + 4 - 1
    assert result.stages[0].bars == 2 * (40 - 12)
    for stage in result.stages:
        assert (stage.same_signals, stage.mean_difference) == (1.0, 0.0)
        assert stage.late_error == stage.early_error
    assert sum(stage.bars for stage in result.stages) == 2 * (100 - 12)


def test_figures_of_learning_are_those_of_two_runs_by_hand():
    step, span = 150, 250
    result = check(Small, step=step, starts=1, span=span)
    bars = read_bars(SAMPLE)

    def predictions(first):
        frame = bars.frame[first : step + span]
        trace = record_trace(TraceTask((FeedBars.of(bars)._replace(frame=frame),), Small, {}))
        table = pd.DataFrame(
            np.hstack([trace.outputs, trace.targets]), columns=list("nbsNBS"), index=frame.index
        )
        return table.assign(signal=trace.signals)[table["n"].notna()]

    both = predictions(step).join(predictions(0).add_suffix("_early"))
    assert [(stage.from_bar, stage.to_bar) for stage in result.stages] == [(0, 150), (150, 250)]
    for stage in result.stages:
        part = both.loc[step + stage.from_bar : step + stage.to_bar - 1]
        assert stage.bars == len(part)
        same = part["signal"] == part["signal_early"]
        either = (part[["signal", "signal_early"]] != "none").any(axis=1)
        assert stage.same_signals == pytest.approx(same.mean())
        assert stage.same_trades == pytest.approx(same[either].mean())
        late, early = (
            part[[f"{c}{which}" for c in "nbs"]].div(part[[f"{c}{which}" for c in "nbs"]].sum(axis=1), axis=0)
            for which in ("", "_early")
        )
        assert stage.mean_difference == pytest.approx(abs(late.to_numpy() - early.to_numpy()).mean())
        for which, error in (("", stage.late_error), ("_early", stage.early_error)):
            known = part[part["N"].notna()]
            squares = [(known[f"{c}{which}"] - known[f"{c.upper()}{which}"]) ** 2 for c in "nbs"]
            assert error == pytest.approx(np.mean(squares))


def test_the_sentence_tells_indicators_from_learning():
    result = check(with_features(Fixed, lambda data: {"sma": bt.ind.SMA(data, period=10)}))
    assert ", started 40 to 80 bars later: the features agree after 9 bars, sma the last; " in str(result)
    never = check(with_features(Small, lambda data: {"sum": Sum(data)}))
    assert "the features never agree, because sum depends on where the bars begin" in str(never)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"step": 0}, "step, starts and span must be 1 or more, got 0, 2 and 100"),
        ({"step": 4000}, "6,000 bars are too few for a start 8,000 bars later"),
        ({"span": 36}, "must predict bars, got none in 36"),
    ],
)
def test_what_cannot_be_compared_is_refused(options, complaint):
    with pytest.raises(NeuroError, match=complaint):
        check(Small, **options)


WORDS = ["warmup-check", SAMPLE, "--strategy", ROOT / "tests" / "small.py:Small", "--device", "numpy"]
WORDS += ["--processes", "1", "--step", "50", "--starts", "1", "--span", "120"]


@pytest.mark.slow
def test_the_command_prints_a_sentence_and_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = bt_neuro(*WORDS)
    assert out.exit_code == 3, out.output  # in 120 bars the RSI does not come to agree
    sentence, _, _, header, *rows = out.stdout.splitlines()
    assert "started 50 bars later" in sentence
    assert header.startswith("bars since the start")
    assert [row.split("  ")[0] for row in rows[:3]] == ["0 to 50", "50 to 100", "100 to 120"]
    assert "compare the errors" in out.stdout
    printed = json.loads(bt_neuro(*WORDS, "--json").stdout)
    assert printed["starts"] == [50]
    assert f"{printed['stages'][0]['same_signals_pct']:.1f} %" in rows[0]
    assert printed["sentence"] == sentence
