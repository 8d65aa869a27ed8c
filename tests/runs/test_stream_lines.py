"""Lines of a stream: one answer each, in order, with the line's id; nothing implausible is stored."""

from __future__ import annotations

import json
import math
import queue
import random
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta

import backtrader as bt
import pytest
from brackets import Brackets
from modes import random_hours
from remembers import Remembers, Side
from small import Small

from bt_neuro import NeuroError
from bt_neuro.bars.limits import Limits
from bt_neuro.bars.line_reader import Bar
from bt_neuro.learning.checkpoint import MODEL, Checkpoint
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.runs import answers as answers_module
from bt_neuro.runs.stream import stream

BARS = random_hours(120)
COLUMNS = ["datetime", "open", "high", "low", "close", "volume", "spread"]
ROWS = [(row[0], *map(float, row[1:])) for row in BARS[COLUMNS].itertuples(index=False)]
LINES = [",".join(map(str, row)) for row in ROWS]
LATER = str(ROWS[-1][0] + timedelta(hours=1))
TOMORROW = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d %H:%M}"


def run(lines, out=None, **options):
    told = []
    result = stream(lines, told.append, strategy=options.pop("strategy", Small), out=out, **options)
    return told, result


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (f"{LATER},1.1,1.1,1.1,1.1,1e300", ("error", "volume must be at most 1e+15, got 1e+300")),
        ("2099-01-01 00:00,1.1,1.1,1.1,1.1", ("error", "time must be")),
        (f"{TOMORROW},1.1,1.1,1.1,1.1", ("error", "time must be at most 24 h after now")),
        (f"{LATER},3.1,3.1,3.1,3.1", ("error", "a bar must stay within 50 % of the last close")),
        (f"{LATER},1.1,1.1,0.1,1.1", ("error", "a high or low five times away")),
        (f"{LATER},nan,1.1,1.1,1.1", ("error", "open is nan")),
        (f"{LATER},1.1,1.0,1.1,1.1", ("error", "high below")),
        (LINES[3], ("ignored", "a bar that is not later than the last one")),
        ("time,open,high,low,close", ("ignored", "a header")),
        ("", ("ignored", "an empty line")),
        ("nonsense", ("error", "a line must hold date")),
        (
            '{"time": "\\ud800", "open": 1.1, "high": 1.1, "low": 1.1, "close": 1.1}',
            ("error", "a time must be"),
        ),
        ('{"time": "\\ud800"', ("error", "no JSON object")),
        (json.dumps({"time": [1], "open": {}, "high": 1, "low": 1, "close": 1, "id": 7}), ("error", "")),
        ('{"position": "two"}', ("error", "a command must be")),
        ('{"position": 1, "settle": "broker"}', ("error", "a command must be")),
        ('{"position": 1e400}', ("error", "a command must be")),
    ],
)
def test_a_line_that_is_no_new_bar_is_answered_and_not_stored(line, answer, tmp_path):
    told, result = run([*LINES, line, f"{LATER},1.1,1.1,1.1,1.1"], tmp_path)
    assert len(told) == len(LINES) + 2
    key, text = answer
    assert text in told[-2][key]
    assert told[-2]["line"] == len(LINES) + 1
    assert (told[-1]["bar"], result.metrics["bars"]) == (len(LINES), len(LINES) + 1)
    assert run([], resume=tmp_path)[1].metrics["bars"] == len(LINES) + 1


def test_ids_come_back_in_order(tmp_path):
    ids = [7, "m2", None, {"a": [1]}, "\ud800", 1.5]
    names = ["time", "open", "high", "low", "close"]
    bars = [
        json.dumps({"id": one, **dict(zip(names, [str(row[0]), *row[1:5]], strict=True))})
        for one, row in zip(ids, ROWS, strict=False)
    ]
    broken = '{"id": 9, "open": 1}'
    told, _ = run([bars[0], broken, bars[0], *bars[1:], LINES[10]], tmp_path)
    assert [one.get("id", "none") for one in told] == [7, 9, 7, *ids[1:], "none"]
    assert all(json.loads(json.dumps(one)) == one for one in told)


def test_limits_can_be_set(tmp_path):
    odd = [f"{LATER},9.1,9.1,9.1,9.1", f"{TOMORROW},9.1,9.1,9.1,9.1"]
    told, _ = run([*LINES, *odd], tmp_path, limits=Limits(max_move=0.0, max_ahead_hours=72.0))
    assert [one["bar"] for one in told] == list(range(len(LINES) + 2))
    for bad in ({"max_move": -1}, {"max_ahead_hours": math.nan}):
        with pytest.raises(NeuroError, match="must be a number of at least 0"):
            Limits(**bad)


class Divides(Small):
    """Has a feature that is infinite when the volume is 13."""

    def features(self):
        return {**super().features(), "odd": 1.0 / (self.data.volume - 13.0)}


@pytest.mark.parametrize("at", [20, 60, 119])
def test_a_bar_whose_features_are_not_finite_is_refused_and_the_stream_goes_on(at, tmp_path):
    odd = f"{ROWS[at - 1][0] + timedelta(minutes=30)},1.1,1.1,1.1,1.1,13"
    whole, _ = run(LINES, tmp_path / "whole", strategy=Divides)
    told, result = run(
        [*LINES[:at], odd, *LINES[at:]], tmp_path / "odd", strategy=Divides, checkpoint_every=25
    )
    refused = told.pop(at)
    # During the warm-up the network reads no feature.
    assert "error" in refused
    assert told == whole
    assert result.metrics["malformed_lines"] == 1
    for name in ("bars.csv", "predictions.csv", "equity.csv", "features.npy"):
        assert (tmp_path / "odd" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


class DividesByZero(Small):
    """Fails at the bar whose volume is 13."""

    def next(self):
        super().next()
        1 / (self.data.volume[0] - 13.0)


@pytest.mark.parametrize("end", ["reader", "signal"])
@pytest.mark.parametrize("symbols", [None, ["A", "B"]])
def test_a_stream_that_ends_at_a_bar_that_is_refused_is_saved(end, symbols, tmp_path):
    def send(answer):
        if "error" in answer:
            if end == "reader":
                raise BrokenPipeError
            signal.raise_signal(signal.SIGTERM)

    def named(lines):
        return [f"{line},{symbols[n % 2]}" for n, line in enumerate(lines)] if symbols else lines

    head = ["time,open,high,low,close,volume,spread,symbol"] if symbols else []
    odd = f"{LATER},1.1,1.1,1.1,1.1,13,0"
    options = {"strategy": DividesByZero, "symbols": symbols}
    lines, folder = [*head, *named([*LINES, odd, *LINES[3:]])], tmp_path / "live"
    if end == "reader":
        with pytest.raises(NeuroError, match="no process reads the answers"):
            stream(lines, send, out=folder, **options)
    else:
        result = stream(lines, send, out=folder, **options)
        assert (result.manifest["status"], result.metrics["bars"]) == ("interrupted", len(LINES))
    again, result = run([], resume=folder, strategy=DividesByZero)
    assert (again, result.metrics["bars"]) == ([], len(LINES))
    whole = stream([*head, *named(LINES)], lambda answer: None, out=tmp_path / "whole", **options).folder
    for table in whole.rglob("*.csv"):
        assert (folder / table.relative_to(whole)).read_bytes() == table.read_bytes(), table


def test_answers_are_told_again_from_a_bar(tmp_path, monkeypatch):
    monkeypatch.setattr(answers_module, "MOST_ROWS", 30)
    told, _ = run(LINES[:100], tmp_path)
    for first in (99, 95, 65):
        again, _ = run([], resume=tmp_path, tell_from=first)
        assert again == told[first:]
    assert run([], resume=tmp_path)[0] == []
    with pytest.raises(NeuroError, match=r"answers are kept from bar \d+ on, got 3"):
        run([], resume=tmp_path, tell_from=3)
    with pytest.raises(NeuroError, match="tell_from must be"):
        run([], resume=tmp_path, tell_from="yesterday")
    (tmp_path / "answers-told.txt").write_text("97".ljust(20))
    assert run(LINES[100:], resume=tmp_path)[0][:2] == told[98:]
    assert [one["bar"] for one in run([], resume=tmp_path, tell_from=100)[0]] == list(range(100, 120))


def test_a_position_that_differs_stops_trading_until_it_is_settled(tmp_path):
    told, _ = run(LINES[:60], tmp_path, strategy=Brackets)
    assert told[-1]["account"]["is_settled"]
    position = told[-1]["account"]["position"]
    before = json.dumps({"position": position})
    told, _ = run([before, LINES[60]], strategy=Brackets, resume=tmp_path)
    assert told[0]["account"]["is_settled"]
    told, _ = run(LINES[61:105], strategy=Brackets, resume=tmp_path, position=123.0)
    assert {one["account"]["is_settled"] for one in told} == {False}
    sent = [order["id"] for one in told for order in one["orders"]]
    refused = [ended["order"] for one in told for ended in one["ended"] if ended["reason"] == "unsettled"]
    assert sent == refused != []
    told, _ = run(['{"settle": "broker"}', *LINES[105:]], strategy=Brackets, resume=tmp_path)
    assert told[1]["account"]["is_settled"]
    assert told[1]["fills"][-1]["reason"] == "settle"
    (settled, *_) = [one for one in told[1:] if "bar" in one]
    assert settled["account"]["position"] == 123.0
    again, _ = run([], strategy=Brackets, resume=tmp_path, tell_from=0)
    assert [one["bar"] for one in again] == list(range(120))


@pytest.mark.parametrize("cut", ['{"after": 19, "val', '{"after": 19, "values": {"position": 9}}'])
@pytest.mark.parametrize("symbols", [None, ["A", "B"]])
def test_a_command_that_a_kill_cut_off_is_dropped(cut, symbols, tmp_path):
    head = ["time,open,high,low,close,volume,spread,symbol"] if symbols else []
    lines = [f"{line},{symbols[n % 2]}" for n, line in enumerate(LINES[:20])] if symbols else LINES[:20]
    report = json.dumps({"position": 123, **({"symbol": "A"} if symbols else {})})
    run([*head, *lines], tmp_path, symbols=symbols)
    with (tmp_path / "commands.jsonl").open("a") as file:
        file.write(cut)
    first, again = run([report], resume=tmp_path)[0], run([report], resume=tmp_path)[0]
    assert [one["account"] for one in first] == [one["account"] for one in again]
    assert first[0]["account"]["broker_position"] == 123
    run([], resume=tmp_path)


class Plain(Small):
    """Needs one bar of history alone, so that backtrader keeps one."""

    def features(self):
        return {"move": self.data.close - self.data.open}

    def decide(self, signal):
        self.target(0.5 if signal.bar % 3 else -0.5)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Plain, Brackets])
def test_idle_periods_change_nothing(strategy, tmp_path):
    """Before the first bar, while an order waits, after a restart: nothing depends on when bars come."""

    def late(lines, *pauses):
        for number, line in enumerate(lines):
            if number in pauses:
                time.sleep(0.6)
            yield line

    whole, _ = run(LINES[:60], tmp_path / "whole", strategy=strategy)
    told, _ = run(late(LINES[:50], 0, 20, 47), tmp_path / "idle", strategy=strategy)
    told += run(late(LINES[50:60], 0, 5), resume=tmp_path / "idle", strategy=strategy)[0]
    assert told == whole


@pytest.mark.parametrize(
    "features", [{"features": "shape"}, {"features": "shape", "timeframes": "H4"}], ids=str
)
def test_features_with_a_state_of_their_own_go_on_after_a_restart(tmp_path, features):
    whole, _ = run(LINES, tmp_path / "whole", parameters=features)
    told, _ = run(LINES[:70], tmp_path / "live", parameters=features)
    told += run(LINES[70:], resume=tmp_path / "live", parameters=features)[0]
    assert told == whole
    for name in ("predictions.csv", "features.npy", "outputs.npy"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("first", [90, 105, 118])
def test_attributes_of_all_kinds_are_those_of_one_run(tmp_path, first):
    Remembers.ended.clear()
    run(LINES, tmp_path / "whole", strategy=Remembers)
    run(LINES[:first], tmp_path / "live", strategy=Remembers)
    run(LINES[first:], resume=tmp_path / "live", strategy=Remembers)
    whole, resumed = (Remembers.ended[place].remembered() for place in (0, 2))
    assert whole[0] is Side.LONG
    assert resumed == whole


def test_a_restart_at_a_bar_with_fills_notifies_none_of_them_again(tmp_path):
    """Checkpoints of bars 19 and 29, at which an order was executed, and of bar 39, at which none was."""

    def take(message):
        told.append(message)
        if message.get("bar") in (25, 35, 45):
            wanted = message["bar"] // 10 * 10 - 1
            while (
                not (out / MODEL).exists() or Checkpoint.read(out).last_bar < wanted
            ):  # it is written in a thread
                time.sleep(0.01)
            shutil.copytree(out, tmp_path / str(message["bar"]))  # as a kill would leave it

    told, out = [], tmp_path / "whole"
    stream(LINES[:60], take, strategy=Plain, out=out, checkpoint_every=10)
    for bar in (25, 35, 45):
        again, _ = run(LINES[bar + 1 : 60], resume=tmp_path / str(bar), strategy=Plain, tell_from=bar)
        assert again == told[bar:]
        for name in ("trades.csv", "equity.csv"):
            assert (tmp_path / str(bar) / name).read_bytes() == (out / name).read_bytes(), (bar, name)


# -- LiveFeed --------------------------------------------------------------------------------------------------
def test_a_live_feed_leaves_out_what_is_implausible():
    arrived, refused = queue.Queue(), []
    odd = [
        Bar(ROWS[50][0], math.nan, 1.1, 1.1, 1.1),
        Bar(ROWS[50][0], 1.1, 1.1, 1.1, 1.1, 1e300),
        Bar(datetime(2099, 1, 1), 1.1, 1.1, 1.1, 1.1),
        Bar(ROWS[50][0], 5.1, 5.1, 5.1, 5.1),
        Bar("2024-01-01", 1.1, 1.1, 1.1, 1.1),
        Bar(datetime(2024, 6, 1, tzinfo=UTC), 1.1, 1.1, 1.1, 1.1),
        Bar(ROWS[50][0], None, 1.1, 1.1, 1.1),
        ("no", "bar"),
        5,
    ]
    for one in [*(Bar(*row) for row in ROWS[:50]), *odd, *(Bar(*row) for row in ROWS[50:]), None]:
        arrived.put(one)
    cerebro = bt.Cerebro(stdstats=False)
    feed = cerebro.adddata(LiveFeed(queue=arrived, reject=lambda bar, reason: refused.append((bar, reason))))
    cerebro.addstrategy(Small)
    (ran,) = cerebro.run(exactbars=1)
    assert (len(ran), feed.rejected, feed.ignored) == (len(ROWS), len(odd), 0)
    assert list(map(repr, odd)) == [repr(bar) for bar, _ in refused]


# -- hostile lines ---------------------------------------------------------------------------------------------
ODD_VALUES = (
    *(
        None,
        True,
        -1,
        0,
        1e300,
        -1e300,
        10**400,
        math.nan,
        math.inf,
        "",
        "1e400",
        "\ud800",
        "\x00",
        "१.१",
        "1_0",
    ),
    *([], [1], {}, {"a": 1}, "2099-01-01", "0001-01-01", "9999-12-31 23:59:59.999999", "x" * 1000),
)

ODD_SIGNS = ("", "{", '"', ",", ";", "\t", "\x00", "\udcff", "9" * 50)


def hostile(chance, row):
    """Return a bar's line with some values, bytes or signs replaced."""
    names = ["time", "open", "high", "low", "close", "volume", "spread"]
    values = dict(zip(names, [str(row[0]), *row[1:]], strict=True))
    for _ in range(chance.choice((1, 1, 2, 5))):
        values[chance.choice([*names, "id", "position", "settle", ""])] = chance.choice(ODD_VALUES)
    text = json.dumps(values) if chance.random() < 0.5 else ",".join(map(str, values.values()))
    if chance.random() < 0.5:
        place = chance.randrange(len(text))
        text = text[:place] + chance.choice(ODD_SIGNS) + text[place + 1 :]
    return text.replace("\n", "")


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_hostile_lines_are_answered_in_order(count, tmp_path):
    chance, lines, due = random.Random(3), [], []
    for number in range(count):
        due.append(number % 200 == 0 and number // 200 < len(LINES))
        lines.append(LINES[number // 200] if due[-1] else hostile(chance, ROWS[number // 200 % len(ROWS)]))
    told, result = run(lines, tmp_path)
    assert len(told) == count
    assert all({"bar", "error", "ignored", "account"} & one.keys() for one in told)
    assert [one["line"] for one in told if "line" in one] == [
        n + 1 for n, one in enumerate(told) if "line" in one
    ]
    assert all(json.loads(json.dumps(one)) == one for one in told)
    assert run([], resume=tmp_path)[1].metrics["bars"] == result.metrics["bars"]
