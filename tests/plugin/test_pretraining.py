"""Eras before the test: what they learn, what they must not see, and that they can be interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from itertools import product
from types import SimpleNamespace

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from modes import random_hours
from paths import ROOT
from small import Small
from typer.testing import CliRunner

from bt_neuro import (
    Adam,
    BarsError,
    BarsFeed,
    CheckpointError,
    Dropout,
    ModelCheckpoint,
    NonFiniteError,
    StrategyError,
    backtest,
    open_run,
)
from bt_neuro.cli import app
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.epochs import Epoch, RunningFigures
from bt_neuro.plugin.pretraining import PRETRAINING

backtest = partial(backtest, report=False)

BARS = random_hours(400)  # from 2024-01-01, an hour apart
SPAN = "2024-01-03..2024-01-08"
FIRST, TEST = 48, 192  # number of its first bar, and of the first one after it
ERAS = 3
TABLES = ("eras.csv", "examples.csv", "predictions.csv", "baselines.csv", "features.npy", "model.safetensors")


class Watched(Small):
    """Remembers what it was told and when it decided."""

    params = (("pretrain", SPAN), ("eras", ERAS))

    def start(self):
        super().start()
        seen = SimpleNamespace(told=[], states=[], decided=[])
        # A function is not saved in a checkpoint, as lists would be: a resumed run has seen fewer eras.
        self.seen = lambda: seen

    told = property(lambda self: self.seen().told)
    states = property(lambda self: self.seen().states)
    decided = property(lambda self: self.seen().decided)

    def notify_epoch(self, eras):
        self.told.append(eras)
        self.states.append(self.network.state())

    def decide(self, signal):
        self.decided.append(signal.bar)
        super().decide(signal)


class WithDropout(Watched):
    params = (("wing", 2), ("seeds", 2))

    def optimizer(self):
        return [Adam(0.01), Adam(0.001)]

    def layers(self, inputs):
        first, *others = super().layers(inputs)
        return [first, Dropout(0.3), *others]


def run(frame=BARS, strategy=Watched, **parameters):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=frame))
    cerebro.addstrategy(strategy, **parameters)
    (ran,) = cerebro.run()
    return ran


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    BARS.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    return backtest(file, strategy=Watched, out=tmp_path_factory.mktemp("whole"))


# -- what is learned -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("wing", [1, 2, 5])
@pytest.mark.parametrize("embargo", [0, 9])
def test_the_bars_of_the_span_are_learned_whose_labels_are_known_by_its_end(wing, embargo):
    ran = run(wing=wing, embargo_bars=embargo)
    learned = ran.pretraining.examples
    assert [example.bar for example in learned] == list(range(FIRST, TEST - max(wing, embargo)))
    assert all(example.known_bar == example.bar + wing < TEST for example in learned)
    assert ran.decided == list(range(TEST, len(BARS)))
    tested = len(BARS) - TEST - wing
    assert ran.network.steps == ERAS * len(learned) + tested


def test_an_era_is_the_lessons_in_their_order_and_its_figures_are_of_what_they_started_from():
    ran = run()
    alone = Small.layers(ran, ran.network.n_inputs)
    network = type(ran.network)(alone, ran.network.n_inputs, optimizer=ran.optimizer(), device="numpy")
    running = RunningFigures(1)
    examples = ran.pretraining.examples
    for number, (state, eras) in enumerate(zip(ran.states, ran.told, strict=True), start=1):
        for example in examples:
            running.add([network.learn([example.window], [example.target])], [example.target])
        assert all(np.array_equal(state[name], tensor) for name, tensor in network.state().items())
        (era,) = eras
        (figures,) = running.figures()
        assert (era.number, era.learning_rate) == (number, 0.01)
        assert (era.error, era.undefine_pct, era.forecast_pct) == pytest.approx(figures)
    assert ran.told == ran.pretraining.log.epochs


@pytest.mark.parametrize(
    ("span", "first", "test"),
    [
        (("2024-01-03", "2024-01-08"), FIRST, TEST),
        ((date(2024, 1, 3), datetime(2024, 1, 8, 23)), FIRST, TEST),
        (" 2024-01-03 .. 2024-01-08 12:00 ", FIRST, TEST - 11),
        ("2024-01-03 05:30..2024-01-08 12:30", FIRST + 6, TEST - 11),
        ("2023-06-01..2024-01-08", 36, TEST),  # 33 bars of indicators, a window of 4
    ],
)
def test_both_ends_of_a_span_belong_to_it(span, first, test):
    ran = run(pretrain=span, eras=1)
    assert ran.pretraining.examples[0].bar == first
    assert ran.decided[0] == test


@pytest.mark.parametrize("on", ["numpy", "auto"])
def test_bars_after_the_span_change_no_era(on):
    def perturbed(bar):
        frame = BARS.copy()
        frame.loc[bar:, ["open", "high", "low", "close"]] *= 3
        frame.loc[bar:, "volume"] = 7
        return frame

    clean, other, spoilt = (run(perturbed(bar), device=on) for bar in (len(BARS), TEST, TEST - 3))
    assert clean.told == other.told
    for then, now in zip(clean.states, other.states, strict=True):
        assert all(np.array_equal(then[name], now[name]) for name in then)
    assert clean.told != spoilt.told  # the check can fail: bars of the span
    assert clean.signal != other.signal


def test_eras_end_when_they_have_settled():
    ran = run(eras=50, until_settled=True, learning_rate=0.0)  # nothing moves but the running statistics
    assert 2 <= len(ran.told) < 50
    assert ran.pretraining.log.has_settled
    moving = run(eras=4, until_settled=True, learning_rate=0.05)
    assert len(moving.told) == 4
    assert not moving.pretraining.log.has_settled


def test_several_networks_may_share_their_optimizer():
    told = run(seeds=3, eras=1).told
    assert [era.learning_rate for era in told[0]] == 3 * [0.01]


def test_several_networks_have_figures_of_their_own(file, tmp_path):
    result = backtest(file, strategy=WithDropout, out=tmp_path / "run")
    eras = pd.read_csv(result.folder / "eras.csv")
    assert eras[["seed", "era"]].values.tolist() == [[seed, era] for era in (1, 2, 3) for seed in (0, 1)]
    first, second = (rows["error"].tolist() for _, rows in eras.groupby("seed"))
    assert first != second
    assert eras["learning_rate"].tolist() == 3 * [0.01, 0.001]
    assert [last["seed"] for last in result.manifest["pretraining"]["last_era"]] == [0, 1]


# -- what is refused -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parameters", "error", "complaint"),
    [
        ({"pretrain": "2024-01-03"}, BarsError, r"'2024-01-03' is no span.\nWrite FROM..TO"),
        ({"pretrain": "..2024-01-03"}, BarsError, "is no span"),
        ({"pretrain": 7}, BarsError, "7 is no span"),
        ({"pretrain": "soon..later"}, BarsError, "pretrain 'soon' is no time"),
        ({"pretrain": "2024-01-08..2024-01-03"}, BarsError, "ends before it begins"),
        ({"pretrain": "2019-01-01..2019-02-01"}, BarsError, "no bar lies in pretrain 2019-01-01..2019-02-01"),
        ({"pretrain": "2030-01-01..2030-02-01"}, BarsError, "The bars run from 2024-01-01 00:00:00 to 2024"),
        ({"pretrain": "2024-01-03 01:10..2024-01-03 01:50"}, BarsError, "no bar lies in"),
        ({"pretrain": "2024-01-03..2024-12-31"}, BarsError, "leaves no bar to test"),
        (
            {"pretrain": "2024-01-01..2024-01-01"},
            StrategyError,
            "must hold a bar with all features",
        ),
        ({"pretrain": SPAN, "eras": 0}, StrategyError, "eras must be an integer"),
        (
            {"pretrain": SPAN, "until_settled": 1},
            StrategyError,
            "until_settled must be True or False, .*got 1",
        ),
        (
            {"pretrain": SPAN, "until_settled": True},
            StrategyError,
            "eras must be 2 or more with until_settled",
        ),
        ({"until_settled": True}, StrategyError, "Give pretrain too"),
        (
            {"pretrain": SPAN, "embargo_bars": 500},
            StrategyError,
            "must have a full window and a confirmed label",
        ),
    ],
)
def test_a_span_that_cannot_be_learned_is_refused_and_leaves_no_folder(
    parameters, error, complaint, file, tmp_path
):
    with pytest.raises(error, match=complaint):
        backtest(file, strategy=Small, parameters=parameters, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"pretrain": "soon..later"}, "'soon' is no time"),
        ({"pretrain": "2024-01-03..2025-01-01"}, "pretrain 2024-01-03..2025-01-01 must leave bars"),
        ({"pretrain": "2023-01-01..2023-02-01"}, "must hold a bar with all features"),
    ],
)
def test_a_script_of_ones_own_is_told_too(parameters, complaint):
    with pytest.raises(StrategyError, match=complaint):
        run(strategy=Small, **parameters)


def test_eras_that_diverge_say_so_and_keep_those_before(file, tmp_path):
    class Diverges(Watched):
        def notify_epoch(self, eras):
            super().notify_epoch(eras)
            state = self.network.state()
            state["dense_2.bias"] = np.full_like(state["dense_2.bias"], np.nan)
            self.network.set_state(state, self.network.steps)

    with pytest.raises(
        NonFiniteError, match="in epoch 2, up to bar 190: the outputs of step 0, member 0, must be finite"
    ):
        backtest(file, strategy=Diverges, out=tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (manifest["status"], manifest["pretraining"]["eras"]) == ("failed", 1)
    assert np.isfinite(Checkpoint.read(tmp_path / "run").network.tensors["dense_2.bias"]).all()


# -- what is written -----------------------------------------------------------------------------------------
def test_a_line_an_era(whole):
    eras = pd.read_csv(whole.folder / "eras.csv")
    assert list(eras) == ["learning_rate", "era", "error", "undefine_pct", "forecast_pct", "in_sample"]
    assert eras["era"].tolist() == [1, 2, 3]
    assert eras["in_sample"].all()
    pretraining = whole.manifest["pretraining"]
    last = eras.iloc[-1]
    assert pretraining["last_era"] == [
        {name: last[name] for name in list(eras) if name not in ("era", "in_sample")}
    ]
    assert (pretraining["in_sample"], pretraining["span"], pretraining["eras"]) == (True, SPAN, ERAS)
    assert pretraining["bars"] == TEST - FIRST - 1 == len(pd.read_csv(whole.folder / "examples.csv"))


def test_all_other_figures_are_of_the_test(whole):
    assert whole.predictions["bar"].tolist() == whole.equity["bar"].tolist() == list(range(TEST, len(BARS)))
    assert whole.metrics["scored_bars"] == len(BARS) - TEST - 1
    assert (whole.trades["entry_bar"] > TEST).all()
    assert f"tested after 3 eras on {SPAN}" in str(whole)
    assert "resumed" not in str(whole)


def test_baselines_have_learned_the_span_too(whole, file, tmp_path):
    alone = backtest(
        file, strategy=Small, bars_options={"start": "2024-01-07 08:00"}, out=tmp_path / "alone"
    )  # the same bars predicted, or a few less
    with_span = {name: score["log_loss"] for name, score in whole.metrics["baselines"].items()}
    assert with_span["class frequencies"] < alone.metrics["baselines"]["class frequencies"]["log_loss"]


@pytest.mark.slow
def test_page_and_console_call_eras_in_sample(whole, tmp_path):
    from report_runs import console_text

    from bt_neuro.report.page import render_page

    text = console_text(whole)
    assert "Before the test 143 bars were learned in 3 eras" in text
    assert "In sample, after the last era: error" in text
    page = render_page(whole)
    assert "Eras, in sample" in page
    assert page.count("in sample") >= 4  # and above each of the three figures


# -- interrupted ---------------------------------------------------------------------------------------------
def assert_same(one, other):
    for name in TABLES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    then, now = (json.loads((folder / "run.json").read_text()) for folder in (one, other))
    assert then["pretraining"] == now["pretraining"]


def stopping(strategy, at):
    """Return the strategy, which presses Ctrl-C where told: ("era", 1), ("launch", 2), ("bar", 9)."""

    class Stopped(strategy):
        def press(self, *where):
            if where == at:
                os.kill(os.getpid(), signal.SIGINT)

        def notify_examples(self, era, learned, examples):
            self.press("launch", era)

        def notify_epoch(self, eras):
            super().notify_epoch(eras)
            self.press("era", eras[0].number)

        def decide(self, signal):
            super().decide(signal)
            self.press("bar", signal.bar)

    return Stopped


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("strategy", "at"),
    [
        (Watched, ("era", 1)),
        (WithDropout, ("launch", 2)),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in product((Watched, WithDropout), (("era", 2), ("launch", 3)))
        ),
    ],
    ids=str,
)
def test_interrupted_eras_go_on_to_the_bit(strategy, at, file, whole, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    with pytest.raises(KeyboardInterrupt, match=rf"in epoch \d of 3: continue with --resume {first}"):
        backtest(file, strategy=stopping(strategy, at), out=first)
    stopped = open_run(first)
    kind, number = at
    done = number - (kind == "launch")
    assert stopped.manifest["status"] == "interrupted"
    assert stopped.manifest["stopped_by"] == "SIGINT"
    assert str(stopped).startswith(f"{first}: interrupted, ")
    assert stopped.manifest["pretraining"]["eras"] == done
    assert Checkpoint.read(first).last_bar == TEST - 1

    told = []

    class Counted(strategy):
        def notify_epoch(self, eras):
            told.append(eras[0].number)

    resumed = backtest(file, strategy=Counted, resume=first, out=second)
    assert told == list(range(done + 1, ERAS + 1))
    if strategy is WithDropout:
        whole = backtest(file, strategy=strategy, out=tmp_path / "whole")
    assert_same(whole.folder, second)
    for name in ("hit_rate_pct", "brier_score", "baselines", "return_pct", "sentence"):
        assert resumed.metrics[name] == whole.metrics[name], name


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("at", [("era", 3), ("bar", TEST), ("bar", 300)], ids=str)
def test_interrupted_in_the_test_it_goes_on_without_learning_an_era(at, file, whole, tmp_path):
    first = tmp_path / "first"
    with suppress(KeyboardInterrupt):
        backtest(file, strategy=stopping(Watched, at), out=first)
    assert json.loads((first / "run.json").read_text())["status"] == "interrupted"

    class Counted(Watched):
        def notify_epoch(self, eras):
            raise AssertionError(eras)

    backtest(file, strategy=Counted, resume=first, out=tmp_path / "second")
    assert_same(whole.folder, tmp_path / "second")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_interrupted_in_the_first_era_there_is_nothing_to_go_on_with(file, tmp_path):
    with pytest.raises(KeyboardInterrupt, match="interrupted in epoch 1 of 3"):
        backtest(file, strategy=stopping(Watched, ("launch", 1)), out=tmp_path / "first")
    assert not (tmp_path / "first").exists()


def test_more_eras_go_on_where_the_fewer_ended(file, tmp_path):
    class Ends(Watched):
        def notify_epoch(self, eras):
            raise KeyboardInterrupt("by a script")

    with pytest.raises(KeyboardInterrupt, match="by a script: continue with"):
        backtest(file, strategy=Ends, parameters={"eras": 1}, out=tmp_path / "first")
    six = backtest(file, strategy=Watched, parameters={"eras": 2}, out=tmp_path / "two")
    resumed = backtest(
        file, strategy=Watched, parameters={"eras": 2}, resume=tmp_path / "first", out=tmp_path / "second"
    )
    assert_same(six.folder, resumed.folder)


def test_another_span_and_a_run_without_one_are_refused(whole, file, tmp_path):
    options = {"strategy": Watched, "out": tmp_path / "second"}
    longer = tmp_path / "longer.csv"
    random_hours(450).to_csv(longer, index=False)
    other = {"pretrain": "2024-01-03..2024-01-07"}
    with pytest.raises(CheckpointError, match=rf"pretrain must be {SPAN}, got 2024-01-03..2024-01-07"):
        backtest(longer, parameters=other, resume=whole.folder, **options)
    plain = backtest(file, strategy=Small, out=tmp_path / "plain").folder
    with pytest.raises(CheckpointError, match="it was not pretrained"):
        backtest(longer, resume=plain, **options)
    assert not (tmp_path / "second").exists()


def test_in_ones_own_cerebro(tmp_path):
    """A `ModelCheckpoint` saves each era, and a strategy goes on from it."""

    class Ends(Watched):
        def notify_epoch(self, eras):
            if eras[0].number == 2:
                raise KeyboardInterrupt

    def run_saving(strategy, name, **parameters):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(BarsFeed(bars=BARS))
        cerebro.addstrategy(strategy, **parameters)
        cerebro.addanalyzer(ModelCheckpoint, path=tmp_path / name)
        return cerebro.run()[0]

    one = run_saving(Watched, "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        run_saving(Ends, "cut.safetensors")
    two = run_saving(Watched, "cut.safetensors", resume=tmp_path / "cut.safetensors")
    assert [eras[0].number for eras in two.told] == [3]
    assert two.pretraining.log.epochs == one.pretraining.log.epochs
    assert (tmp_path / "cut.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_a_damaged_log_of_eras_is_named(whole):
    from bt_neuro.io import Fields
    from bt_neuro.learning.epochs import EpochLog

    state = Checkpoint.read(whole.folder).network.about.group(PRETRAINING).values
    for damage in ({"ended": [[]]}, {"ended": [[{"number": 0}]]}, {"ended": 3}, {"figures": []}):
        with pytest.raises(CheckpointError):
            EpochLog(1).restore(Fields({**state, **damage}, "pretraining"))
    log = EpochLog(1)
    log.restore(Fields(state, "pretraining"))
    assert all(isinstance(era, Epoch) for (era,) in log.epochs)


# -- the command ---------------------------------------------------------------------------------------------
def words(file, out, *more):
    strategy = f"{ROOT / 'tests' / 'small.py'}:Small"
    line = ["backtest", file, "--strategy", strategy, "--device", "numpy", "--no-report", "--out", out]
    return list(map(str, [*line, "--pretrain", SPAN, "--eras", ERAS, *more]))


def test_the_command_learns_eras(file, whole, tmp_path):
    said = CliRunner().invoke(app, words(file, tmp_path / "run"))
    assert said.exit_code == 0, said.output
    assert "In sample, after the last era" in said.stdout
    for name in TABLES[:-1]:
        assert (tmp_path / "run" / name).read_bytes() == (whole.folder / name).read_bytes()


def test_the_command_names_a_span_it_cannot_read(file, tmp_path):
    said = CliRunner().invoke(app, words(file, tmp_path / "run", "--pretrain", "2024-13-01..2024-14-01"))
    assert said.exit_code == 1
    assert "Error: pretrain '2024-13-01' is no time" in said.stderr


def test_eras_need_a_span(file):
    said = CliRunner().invoke(app, ["backtest", str(file), "--eras", "3"])
    assert said.exit_code == 1
    assert "Error: --eras needs a span to pretrain on" in said.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_in_an_era_it_goes_on_to_the_same_end(sent, file, tmp_path):
    def started(name, *more):
        line = [sys.executable, "-m", "bt_neuro", *words(file, tmp_path / name, "--eras", "60", *more)]
        return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ended(run):
        run.communicate(timeout=100)
        return run.returncode

    assert ended(started("whole")) == 0
    killed = started("killed")
    while not (tmp_path / "killed" / "model.safetensors").exists():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.002)
    killed.send_signal(sent)
    _, complained = killed.communicate(timeout=60)
    if sent is not signal.SIGKILL:
        assert killed.returncode == 130
        assert f"continue with --resume {tmp_path / 'killed'}" in complained
    about = Checkpoint.read(tmp_path / "killed").network.about.group(PRETRAINING)
    assert 1 <= len(about.items("ended")) < 60
    assert ended(started("resumed", "--resume", tmp_path / "killed")) == 0
    assert_same(tmp_path / "whole", tmp_path / "resumed")
