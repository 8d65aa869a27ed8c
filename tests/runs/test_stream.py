"""Live: a feed that releases bars late, a stream of lines, a process that is stopped or killed."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import backtrader as bt
import numpy as np
import pytest
from modes import random_hours
from paths import ROOT
from small import Small

from bt_neuro import BarsError, BarsFeed, CheckpointError, NeuroError, StrategyError, backtest
from bt_neuro.bars.line_reader import Bar
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.run_observer import RunObserver
from bt_neuro.runs.recording import forget
from bt_neuro.runs.stream import stream

backtest = partial(backtest, report=False)  # the page takes as long as all the rest

SMALL = f"{ROOT / 'tests' / 'small.py'}:Small"
ALL = 300
BARS = random_hours(ALL)
SAME_METRICS = ("signals", "hits", "mean_squared_error", "brier_score", "labels", "buy", "error")


class WithSlope(Small):
    """Also on indicators of backtrader, whose lines must bear idle periods."""

    def features(self):
        return {**super().features(), "slope": bt.ind.ROC(period=20), "mean": bt.ind.EMA(period=9)}

    def start(self):
        super().start()
        self.said, self.decided = [], []

    def next(self):
        super().next()
        self.said.append((len(self) - 1, self.signal and self.signal.outputs))

    def decide(self, signal):
        self.decided.append(signal.bar)
        super().decide(signal)


def as_bars(frame):
    columns = ["datetime", "open", "high", "low", "close", "volume", "spread"]
    return [
        Bar(row[0].to_pydatetime(), *map(float, row[1:])) for row in frame[columns].itertuples(index=False)
    ]


def as_lines(frame):
    return [",".join([str(bar.time), *map(repr, bar[1:])]) for bar in as_bars(frame)]


def run(feed, strategy=WithSlope, **params):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(feed)
    cerebro.addstrategy(strategy, **params)
    (ran,) = cerebro.run(exactbars=1)
    return ran


# -- a live feed of backtrader -------------------------------------------------------------------------------
def released(frame, pauses):
    """Return a live feed into which another thread puts the bars, with pauses between them."""
    bars = queue.Queue()

    def release():
        for number, bar in enumerate(as_bars(frame)):
            time.sleep(pauses.get(number, 0))
            bars.put(bar)
            if number % 7 == 0:
                bars.put(bar)  # again: brokers do that
        bars.put(None)

    threading.Thread(target=release, daemon=True).start()
    return LiveFeed(queue=bars, qcheck=0.01)


def assert_same_network(one, other):
    for name, tensor in one.network.state().items():
        assert np.array_equal(tensor, other.network.state()[name]), name


def test_a_live_feed_with_late_bars_and_idle_periods_is_a_backtest():
    live = run(released(BARS, {50: 0.1, 51: 0.05, 200: 0.2}))
    tested = run(BarsFeed(bars=BARS))
    assert live.said == tested.said
    assert live.decided == tested.decided
    assert_same_network(live, tested)
    assert live.data.ignored == len(range(0, ALL, 7))


def test_history_of_a_live_feed_is_learned_and_not_traded():
    bars = queue.Queue()
    for bar in [*as_bars(BARS[200:]), None]:
        bars.put(bar)
    live, tested = run(LiveFeed(queue=bars, history=as_bars(BARS[:200]))), run(BarsFeed(bars=BARS))
    assert live.said == tested.said
    assert live.decided == list(range(200, ALL))


def test_history_that_goes_back_is_left_out():
    bars, past = queue.Queue(), as_bars(BARS[:200])
    for bar in [*as_bars(BARS[200:]), None]:
        bars.put(bar)
    live = run(LiveFeed(queue=bars, history=[*past[:150], *past[100:]]))
    assert live.said == run(BarsFeed(bars=BARS)).said
    assert live.data.ignored == 50


def test_a_live_feed_needs_a_queue():
    with pytest.raises(StrategyError, match=r"queue must be a queue\.Queue of bars, got None"):
        LiveFeed()


def test_two_live_feeds_do_not_wait_for_each_other():
    timeframe = {"timeframe": bt.TimeFrame.Minutes, "compression": 60}
    feeds = [LiveFeed(queue=queue.Queue(), qcheck=0.01, **timeframe) for _ in range(2)]
    cerebro = bt.Cerebro(stdstats=False)
    for feed in feeds:
        cerebro.adddata(feed)
        for bar in as_bars(BARS):
            feed.p.queue.put(bar)
        feed.p.queue.put(None)
    cerebro.addstrategy(WithSlope)
    (ran,) = cerebro.run()
    assert ran.said[-1] == run(BarsFeed(bars=BARS)).said[-1]


class Flips(Small):
    """Turns its position round at every bar, with stop orders of which one cancels the other."""

    def decide(self, signal):
        self.order_target_percent(target=0.5 if len(self) % 2 else -0.5)
        if len(self) % 10 == 0:
            self.waiting = self.sell(size=1, price=0.01, exectype=bt.Order.Stop)
            self.buy(size=1, price=9.0, exectype=bt.Order.Stop, oco=self.waiting)
        elif len(self) % 10 == 5:
            self.cancel(self.waiting)


@pytest.mark.slow
def test_orders_and_trades_of_a_long_life_are_forgotten():
    """Else memory grows with the bars: backtrader keeps each order in five places."""

    def kept(bars, *now_and_then):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(BarsFeed(bars=random_hours(bars)))
        cerebro.addstrategy(Flips)
        cerebro.addanalyzer(RunObserver, now_and_then=now_and_then)
        (ran,) = cerebro.run(exactbars=1)
        broker = ran.broker
        trades = [
            trade for numbered in ran._trades.values() for trades in numbered.values() for trade in trades
        ]
        places = (ran._orders, broker.orders, broker._pchildren, broker._ocos, broker._ocol, trades)
        return broker.getvalue(), list(map(len, places))

    value, everything = kept(1000)
    same_value, some = kept(1000, forget)
    assert value == same_value
    assert all(few <= many for few, many in zip(some, everything, strict=True))
    assert max(some) < 900 < sorted(everything)[-4]
    assert max(kept(1024, forget)[1]) < 20  # a round of 256 bars has just ended


# -- a stream ------------------------------------------------------------------------------------------------
class Stream:
    """A stream in this process: its answers to new bars and to other lines, its events, its folder."""

    def __init__(self, lines, out=None, strategy=Small, **options):
        self.answers, self.complaints, self.events = [], [], []
        result = stream(
            lines,
            self.answers.append,
            warn=self.complaints.append,
            event=self.events.append,
            strategy=strategy,
            out=out,
            **options,
        )
        self.told = [one for one in self.answers if "bar" in one]
        self.others = [one for one in self.answers if "bar" not in one]
        self.folder, self.manifest, self.metrics = result.folder, result.manifest, result.metrics


def tables(folder, *names):
    return [
        (folder / name).read_bytes() for name in names or ("predictions.csv", "features.npy", "outputs.npy")
    ]


def weights(folder):
    return {name: tensor.tolist() for name, tensor in Checkpoint.read(folder).network.tensors.items()}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    BARS.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def tested_run(file, tmp_path_factory):
    return backtest(file, strategy=Small, out=tmp_path_factory.mktemp("tested"))


@pytest.fixture(scope="module")
def tested(tested_run):
    return tested_run.folder


def test_a_stream_is_a_backtest(tested, tested_run, tmp_path):
    ran = Stream(as_lines(BARS), tmp_path, point=tested_run.manifest["data"]["point"])
    assert tables(ran.folder) == tables(tested)
    assert weights(ran.folder) == weights(tested)
    assert [told["bar"] for told in ran.told] == list(range(ALL))
    assert {path.name for path in tmp_path.iterdir()} == {
        "bars.csv", "predictions.csv", "features.npy", "outputs.npy", "statistics.npy", "model.safetensors",
        "run.json", "equity.csv", "trades.csv", "answers.jsonl", "answers-told.txt", "health.json",
    }  # fmt: skip
    assert tables(ran.folder, "trades.csv", "equity.csv") == tables(tested, "trades.csv", "equity.csv")
    assert ran.metrics["equity_end"] == pytest.approx(tested_run.metrics["equity_end"], rel=1e-9)
    assert (ran.manifest["status"], ran.metrics["bars"], ran.metrics["new_bars"]) == ("complete", ALL, ALL)
    assert ran.metrics.items() >= {name: tested_run.metrics[name] for name in SAME_METRICS}.items()


@pytest.mark.slow
def test_live_feed_stream_and_backtest_agree_on_5000_bars(runtime, tmp_path):
    check_all_three("5000 bars", str(runtime.index), tmp_path)


@pytest.mark.slow
def test_live_feed_stream_and_backtest_agree_on_5000_bars_of_numpy(tmp_path):
    check_all_three("5000 bars", "numpy", tmp_path)


def check_all_three(_, device, tmp_path):
    bars = random_hours(5000)
    bars.to_csv(tmp_path / "bars.csv", index=False)
    params = {"device": device}
    tested = backtest(
        tmp_path / "bars.csv", strategy=Small, parameters=params, out=tmp_path / "tested"
    ).folder
    streamed = Stream(as_lines(bars), tmp_path / "streamed", parameters=params)
    assert tables(streamed.folder) == tables(tested)
    assert weights(streamed.folder) == weights(tested)
    live = run(released(bars, {100: 0.1, 3000: 0.1}), Small, device=device)
    for name, tensor in live.network.state().items():
        assert np.array_equal(tensor, Checkpoint.read(tested).network.tensors[name]), name


def test_each_line_says_what_the_tables_say(tested, tmp_path):
    told = Stream(as_lines(BARS), tmp_path).told
    table = backtest_predictions(tested)
    assert [one["signal"] for one in told[: table["bar"][0]]] == [None] * table["bar"][0]
    spoken = [one for one in told if one["signal"]]
    assert [one["signal"] for one in spoken] == table["signal"].tolist()
    assert [one["time"] for one in spoken] == table["datetime"].astype(str).tolist()
    assert [f"{one['probabilities']['buy']:.9g}" for one in spoken] == [f"{p:.9g}" for p in table["p_buy"]]
    assert all(one["confidence"] == one["probabilities"][one["signal"]] for one in spoken)
    scored = [known for one in told for known in one["scored"]]
    assert [known["bar"] for known in scored] == table["bar"][:-1].tolist()
    assert [known["label"] for known in scored] == table["label"][:-1].tolist()
    assert json.loads(json.dumps(told)) == told


def backtest_predictions(folder):
    from bt_neuro import Result

    return Result(folder, {}).predictions


def test_lines_that_are_no_bars_are_named_and_skipped(tested, tmp_path):
    lines = as_lines(BARS)
    bad = ["nonsense", "2024-01-01 05:30,1.1,1.0,1.2,1.1", "2024-01-01 05:40,nan,1,1,1"]
    given = [*lines[:5], *bad, *lines[5:100], lines[3], lines[99], "", *lines[100:]]
    ran = Stream(given, tmp_path)
    assert tables(ran.folder) == tables(tested)
    assert [one["line"] for one in ran.others if "error" in one] == [6, 7, 8]
    assert len(ran.answers) == len(given)
    assert (ran.metrics["malformed_lines"], ran.metrics["ignored_bars"]) == (3, 2)


@pytest.mark.parametrize("cut", [20, 150])
def test_a_stream_goes_on_in_place(cut, tested, tmp_path):
    first = Stream(as_lines(BARS)[:cut], tmp_path, checkpoint_every=1000)
    second = Stream(as_lines(BARS)[cut - 3 :], resume=tmp_path)  # three bars come again
    assert second.folder == tmp_path
    assert [told["bar"] for told in first.told + second.told] == list(range(ALL))
    assert second.metrics["ignored_bars"] == 3
    assert tables(tmp_path) == tables(tested)
    assert weights(tmp_path) == weights(tested)


def test_a_restart_that_is_slow_says_why(tmp_path):
    first = Stream(as_lines(BARS)[:100], tmp_path)
    fast = Stream(as_lines(BARS)[100:110], resume=tmp_path)
    slow = Stream(as_lines(BARS)[110:120], resume=tmp_path, parameters={"size": 0.5})
    assert first.complaints == fast.complaints == []
    assert slow.complaints == [
        "110 bars pass again before a new one is taken: the strategy, a parameter or bt-neuro is not that of the "
        "checkpoint."
    ]


def test_a_stream_goes_on_from_a_backtest(tested, file, tmp_path):
    BARS[:150].to_csv(tmp_path / "begun.csv", index=False)
    begun = backtest(tmp_path / "begun.csv", strategy=Small, out=tmp_path / "begun").folder
    ran = Stream(as_lines(BARS)[150:], tmp_path / "live", resume=begun)
    assert tables(ran.folder) == tables(tested)
    assert weights(ran.folder) == weights(tested)
    assert ran.told[0]["bar"] == 150
    again = Stream(as_lines(BARS)[150:], tmp_path / "other", resume=begun, history=file)
    assert again.told == []  # the file holds them all: learned, and not told
    assert weights(again.folder) == weights(tested)


@pytest.mark.slow
def test_a_last_row_that_was_still_forming_keeps_its_prices(file, tmp_path):
    forming = BARS[:150].copy()
    forming.loc[149, ["high", "low", "close", "volume"]] = [*[forming.loc[149, "open"]] * 3, 1]
    forming.to_csv(tmp_path / "begun.csv", index=False)
    begun = backtest(tmp_path / "begun.csv", strategy=Small, out=tmp_path / "begun").folder
    with pytest.warns(UserWarning, match=r"was still forming when learned; its prices of that time are kept"):
        ran = Stream([], tmp_path / "live", resume=begun, history=file)
    assert ran.folder.exists()


def test_a_bare_model_needs_its_bars(tested, file, tmp_path):
    model = shutil.copy(tested / "model.safetensors", tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"no run\.json beside it\. Give its bars as --history FILE"):
        Stream([], tmp_path / "live", resume=model)
    lines = as_lines(random_hours(ALL + 5))[ALL:]
    ran = Stream(lines, tmp_path / "live", resume=model, history=file)
    assert [told["bar"] for told in ran.told] == list(range(ALL, ALL + 5))
    assert all(told["signal"] for told in ran.told)


def test_history_is_learned_first(tested, tmp_path):
    BARS[:150].to_csv(tmp_path / "past.csv", index=False)
    ran = Stream(as_lines(BARS)[150:], tmp_path / "live", history=tmp_path / "past.csv")
    assert tables(ran.folder) == tables(tested)
    assert ran.told[0]["bar"] == 150


def test_a_frozen_stream_predicts_and_does_not_learn(tmp_path):
    ran = Stream(as_lines(BARS), tmp_path, parameters={"learning": False})
    assert Checkpoint.read(tmp_path).network.steps == 0
    assert ran.told[-1]["signal"]


@pytest.mark.parametrize(
    ("prepare", "options", "error", "complaint"),
    [
        (lambda folder: None, {"out": "x"}, NeuroError, "is resumed in place: leave out --out and --history"),
        (lambda folder: (folder / "bars.csv").write_text(""), {}, BarsError, "must have a header"),
        (
            lambda folder: (folder / "bars.csv").write_text("datetime,open,high,low,close,volume,spread\n"),
            {},
            CheckpointError,
            "bars 0 to 99 are not those that the checkpoint learned on",
        ),
        (
            lambda folder: (folder / "bars.csv").write_text(
                (folder / "bars.csv").read_text().replace("1.1", "1.2")
            ),
            {},
            CheckpointError,
            "bars 0 to 99 are not those that the checkpoint learned on",
        ),
        (lambda folder: None, {"point": 0.01}, NeuroError, "point must be None, as .* got 0.01"),
        (
            lambda folder: None,
            {"parameters": {"wing": 2}},
            CheckpointError,
            "wing, the label's delay must be 1",
        ),
    ],
)
def test_a_stream_that_cannot_go_on_says_why(prepare, options, error, complaint, tmp_path):
    Stream(as_lines(BARS)[:100], tmp_path)
    prepare(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(error, match=complaint):
        Stream(as_lines(BARS)[100:], resume=tmp_path, **options)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_what_cannot_begin_leaves_no_folder(tmp_path):
    with pytest.raises(NeuroError, match="no parameter 'wong'"):
        Stream(as_lines(BARS), tmp_path / "live", parameters={"wong": 1})
    assert not (tmp_path / "live").exists()


def test_an_error_of_the_source_is_raised_after_the_checkpoint(tmp_path):
    def broken():
        yield from as_lines(BARS)[:50]
        raise OSError("the line went dead")

    with pytest.raises(OSError, match="went dead"):
        Stream(broken(), tmp_path)
    assert Checkpoint.read(tmp_path).last_bar == 49


def test_a_bar_cut_off_by_a_crash_is_dropped(tested, tmp_path):
    Stream(as_lines(BARS)[:100], tmp_path)
    with (tmp_path / "bars.csv").open("a") as table:
        table.write("2024-01-05 04:00:00,1.1")
    Stream(as_lines(BARS)[100:], resume=tmp_path)
    assert tables(tmp_path) == tables(tested)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX locks")
def test_two_processes_do_not_write_to_one_stream(tmp_path):
    def while_it_runs():
        yield from as_lines(BARS)[:3]
        before = (tmp_path / "run.json").read_bytes()
        with pytest.raises(NeuroError, match="another process writes to"):
            Stream([], resume=tmp_path)
        assert (tmp_path / "run.json").read_bytes() == before

    Stream(while_it_runs(), tmp_path)
    assert Stream(as_lines(BARS)[3:5], resume=tmp_path).metrics["bars"] == 5


# -- a process -----------------------------------------------------------------------------------------------
class Process:
    """`bt-neuro stream` in a process of its own."""

    def __init__(self, *words):
        command = [
            sys.executable,
            "-m",
            "bt_neuro",
            "stream",
            "--strategy",
            SMALL,
            "--device",
            "numpy",
            *words,
        ]
        self.process = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self, sent=None):
        """Send a signal, or end the input; return exit code and what was said on stderr."""
        if sent is not None:
            self.process.send_signal(sent)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def test_each_line_is_answered_at_once(tested, tmp_path):
    process = Process("--out", tmp_path / "live")
    told = [process.ask(line)["bar"] for line in as_lines(BARS)[:60]]
    process.process.stdin.write("2024-01-05 04:00:00,1.1,1.1,1.1,1.1")  # without its end
    code, said = process.end()
    assert (code, told) == (0, list(range(60)))
    assert "the last line has no end" in said
    assert f"end of input; 60 bars, saved in {tmp_path / 'live'}" in said


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize(
    "sent",
    [signal.SIGTERM, *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGINT, signal.SIGHUP))],
)
def test_a_stopped_stream_saves_and_exits_0(sent, tmp_path):
    process = Process("--out", tmp_path / "live")
    for line in as_lines(BARS)[:70]:
        process.ask(line)
    code, said = process.end(sent)
    assert (code, Checkpoint.read(tmp_path / "live").last_bar) == (0, 69)
    assert said.splitlines()[-1].startswith(f"stopped by {sent.name}; 70 bars, saved in")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes")
@pytest.mark.slow
def test_a_stream_nobody_reads_saves_and_says_so(tmp_path):
    process = Process("--out", tmp_path / "live")
    for line in as_lines(BARS)[:50]:
        process.ask(line)
    process.process.stdout.close()
    for line in as_lines(BARS)[50:52]:
        process.process.stdin.write(line + "\n")
    process.process.stdin.close()
    with process.process.stderr as complaints:
        said = complaints.read()
    assert process.process.wait(timeout=60) == 1
    assert said.endswith(
        f"Error: no process reads the answers. Continue with --resume {tmp_path / 'live'}.\n"
    )
    assert Checkpoint.read(tmp_path / "live").last_bar == 50


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_blocked_reader_blocks_no_signal(sent, tmp_path):
    """Nobody reads answers or notes, and both pipes are full; what was not told is told by the next start."""
    process = Process("--out", tmp_path / "live", "--heartbeat", "0.001")
    process.ask(as_lines(BARS)[0])
    for line in as_lines(BARS)[1:]:
        process.process.stdin.write(line + "\n")
    process.process.stdin.flush()
    size = -1
    while size != (size := (tmp_path / "live" / "answers.jsonl").stat().st_size):
        time.sleep(1.0)  # until the pipe is full
    process.process.send_signal(sent)
    assert process.process.wait(20) == 0
    told = [json.loads(line)["bar"] for line in process.process.stdout if line.endswith("}\n")]
    process.process.communicate()
    saved = Checkpoint.read(tmp_path / "live").last_bar
    assert told == list(range(1, told[-1] + 1))
    assert told[-1] < saved < ALL - 1
    again = Stream([], resume=tmp_path / "live")
    assert [one["bar"] for one in again.told] == list(range(told[-1] + 1, saved + 1))
