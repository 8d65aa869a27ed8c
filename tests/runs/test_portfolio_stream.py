"""A stream of several instruments: one answer a line, one network each, one account."""

from __future__ import annotations

import json
import math
import random
import shutil
import time
from datetime import timedelta

import pytest
from brackets import Brackets
from modes import random_hours
from small import Small

from bt_neuro import NeuroError, open_run
from bt_neuro.account.account import Account
from bt_neuro.runs.portfolio import portfolio
from bt_neuro.runs.stream import stream
from bt_neuro.watch.tail import read_state

PRICES = ["open", "high", "low", "close", "volume", "spread"]
ACCOUNT = Account(cash=10_000.0, leverage=5.0, commission=0.0001)


def frames(bars=160, minutes=0):
    """Three instruments: B begins late and has a gap, C ends early; each so many minutes after the one before."""
    found = {name: random_hours(bars, seed=number) for number, name in enumerate("ABC")}
    found["B"] = found["B"].drop(index=range(bars // 2, bars // 2 + 10))[20:]
    found["C"] = found["C"][:-30]
    for number, frame in enumerate(found.values()):
        frame["datetime"] += timedelta(minutes=minutes * number)
    return {name: frame.reset_index(drop=True) for name, frame in found.items()}


def rows(some):
    """Return (time, symbol, bar) of each bar in the order of time."""
    found = [
        (row[0], name, dict(zip(PRICES, map(float, row[1:]), strict=True)))
        for name, frame in some.items()
        for row in frame[["datetime", *PRICES]].itertuples(index=False)
    ]
    return sorted(found, key=lambda row: row[:2])


def lines(some):
    return [json.dumps({"symbol": name, "time": str(time), **bar}) for time, name, bar in rows(some)]


def run(given, out=None, **options):
    told = []
    options = {"strategy": Small, "symbols": None if "resume" in options else ["A", "B", "C"], **options}
    return told, stream(given, told.append, out=out, **options)


def write(folder, some):
    folder.mkdir()
    for name, frame in some.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


def same_files(one, other, *names):
    return [name for name in names if (one / name).read_bytes() == (other / name).read_bytes()] == list(names)


NETWORK = ("predictions.csv", "features.npy", "outputs.npy", "statistics.npy")


@pytest.mark.slow
def test_each_instrument_has_the_signals_of_a_portfolio_and_of_a_stream_alone(tmp_path):
    some = frames()
    told, result = run(lines(some), tmp_path / "live", account=ACCOUNT)
    files = write(tmp_path / "bars", some)
    portfolio([files], strategy=Small, account=ACCOUNT, out=tmp_path / "tested", report=False)
    assert [(one["row"], one["symbol"], one["time"]) for one in told] == [
        (number, name, str(time)) for number, (time, name, _) in enumerate(rows(some))
    ]
    for name, frame in some.items():
        assert same_files(tmp_path / "live" / name, tmp_path / "tested" / name, *NETWORK)
        alone, _ = run(lines({name: frame}), tmp_path / name, symbols=None)
        own = [one for one in told if one["symbol"] == name]
        for one, expected in zip(own, alone, strict=True):
            assert {key: one[key] for key in ("bar", "time", "signal", "probabilities", "scored")} == {
                key: expected[key] for key in ("bar", "time", "signal", "probabilities", "scored")
            }
    assert open_run(tmp_path / "live").bars["symbol"].tolist() == [one["symbol"] for one in told]
    assert len(result.equity) == len({one["time"] for one in told})
    assert result.equity["equity"].iloc[-1] == pytest.approx(told[-1]["account"]["equity"])
    assert result.metrics["bars"] == len(told)


@pytest.mark.slow
def test_the_account_is_that_of_a_portfolio_where_no_bars_share_a_time(tmp_path):
    """Else an answer values the others at their last close, and a portfolio at the close of the same hour."""
    some = {
        name: frame.round({"high": 4, "low": 4})  # a file's point is that of its closes
        for name, frame in frames(300, minutes=20).items()
    }

    class Depositor(Brackets):
        def decide(self, signal):
            super().decide(signal)
            if self.data._name == "A" and signal.bar in (100, 200):
                self.broker.add_cash(500)

    options = {"strategy": Depositor, "account": ACCOUNT}
    told, live = run(lines(some), tmp_path / "live", **options)
    tested = portfolio([write(tmp_path / "bars", some)], out=tmp_path / "tested", report=False, **options)
    for name in some:
        tables = (*NETWORK, "trades.csv", "equity.csv")
        assert same_files(tmp_path / "live" / name, tmp_path / "tested" / name, *tables), name
        assert len(tested.instrument(name).trades) > 10
    assert same_files(tmp_path / "live", tmp_path / "tested", "equity.csv")
    assert tested.metrics["account"]["deposits"] == 1_000
    for name in ("equity_end", "return_pct"):
        ended = tested.metrics["account"][name]
        assert live.metrics["account"][name] == pytest.approx(ended, rel=1e-9)
    fills = [fill for one in told for fill in one["fills"]]
    assert {fill["symbol"] for fill in fills} == set(some)
    assert all(one["fills"] == [f for f in one["fills"] if f["symbol"] == one["symbol"]] for one in told)


LINES = lines(frames(40))
ALL = len(LINES)
LAST = rows(frames(40))[-1][0]


def line(hours, symbol="B", close=1.1, **more):
    bar = {**dict.fromkeys(PRICES[:4], close), **more}
    symbol = {} if symbol is None else {"symbol": symbol}
    return json.dumps({**symbol, "time": str(LAST + timedelta(hours=hours)), **bar})


ODD_LINES = [
    (line(1, None), "error", "must have a symbol, one of A, B, C, got none", None),
    (line(1, "EURUSD"), "error", "one of A, B, C, got 'EURUSD'", None),
    (line(1, ["A"]), "error", "one of A, B, C", None),
    (f"{LAST + timedelta(hours=1)},1.1,1.1,1.1,1.1", "error", "one of A, B, C, got none", None),
    (line(1, "C", 3.1), "error", "within 50 % of the last close", "C"),
    (line(1, "C", math.nan), "error", "open is nan", "C"),
    (line(0, "B"), "ignored", "not later than the last one", "B"),
    (line(-5, "C"), "error", "not be earlier than the last one of all instruments", "C"),
    (line(-35, "C"), "ignored", "not later than the last one", "C"),
    (json.dumps({"symbol": "A", "position": "two"}), "error", "a command must be", "A"),
    (json.dumps({"position": 2}), "error", "one of A, B, C, got none", None),
    ("{", "error", "no JSON object", None),
    ("", "ignored", "an empty line", None),
]


def test_a_line_that_is_no_new_bar_is_answered_and_not_stored(tmp_path):
    given = [
        json.dumps({"id": n, **json.loads(odd)}) if odd[-1:] == "}" else odd
        for n, (odd, *_) in enumerate(ODD_LINES)
    ]
    told, result = run([*LINES, *given, line(1, "C")], tmp_path)
    for number, (answer, (odd, key, text, symbol)) in enumerate(zip(told[ALL:], ODD_LINES, strict=False)):
        assert text in answer[key], odd
        assert (answer["line"], answer.get("symbol")) == (ALL + 1 + number, symbol)
        assert answer.get("id") == (number if odd[-1:] == "}" else None)
    assert len(told) == ALL + len(ODD_LINES) + 1
    assert (told[-1]["row"], told[-1]["symbol"], result.metrics["bars"]) == (ALL, "C", ALL + 1)


def test_columns_name_the_symbol_in_a_header(tmp_path):
    table = ["Date,Ticker,Open,High,Low,Close", f"{LAST},B,1.1,1.1,1.1,1.1", f"{LAST},X,1.1,1.1,1.1,1.1"]
    told, _ = run(table, tmp_path)
    assert [
        (one.get("symbol"), *[key for key in ("ignored", "row", "error") if key in one]) for one in told
    ] == [
        (None, "ignored"),
        ("B", "row"),
        (None, "error"),
    ]


@pytest.mark.slow
def test_a_restart_runs_all_bars_again_and_tells_none_twice(tmp_path):
    given, warned = lines(frames(60)), []
    whole, _ = run(given, tmp_path / "whole", strategy=Brackets)
    first, _ = run(given[:90], tmp_path / "live", strategy=Brackets)
    second, _ = run(given[87:], resume=tmp_path / "live", strategy=Brackets, warn=warned.append)
    assert first + second[3:] == whole
    assert ["ignored" in one for one in second[:3]] == [True] * 3
    assert warned == [
        "90 bars pass again before a new one is taken: an account of several instruments has no snapshot."
    ]
    for name in ("bars.csv", "equity.csv", "A/trades.csv", "B/predictions.csv", "C/equity.csv"):
        assert same_files(tmp_path / "live", tmp_path / "whole", name), name
    assert run([], resume=tmp_path / "live", strategy=Brackets, tell_from=len(given) - 3)[0] == whole[-3:]


@pytest.mark.slow
def test_history_is_a_folder_and_is_learned_not_traded(tmp_path):
    some = frames(80)
    past = {name: frame[:50] for name, frame in some.items()}
    new = {name: frame[50:] for name, frame in some.items()}
    last = max(frame["datetime"].max() for frame in past.values())
    given = lines({name: frame[frame["datetime"] >= last] for name, frame in new.items()})
    files = write(tmp_path / "bars", past)
    told, _ = run(given, tmp_path / "live", history=files)
    assert all(one["signal"] for one in told)
    assert told[0]["row"] == sum(map(len, past.values()))
    assert told[0]["account"]["equity"] == 10_000.0
    assert run([], resume=tmp_path / "live", tell_from=0)[0] == told
    (files / "C.csv").unlink()
    with pytest.raises(NeuroError, match="a bar file for each symbol, got none for C"):
        run([], tmp_path / "other", history=files)


@pytest.mark.slow
def test_a_position_is_told_and_settled_by_instrument(tmp_path):
    given = lines(frames(60))
    told, _ = run(given[:60], tmp_path, strategy=Brackets)
    commands = [
        json.dumps({"symbol": "B", "position": 5e6, "id": 1}),
        json.dumps({"symbol": "B", "settle": "broker"}),
    ]
    options = {"resume": tmp_path, "strategy": Brackets}
    told, _ = run([commands[0], *given[60:80], commands[1], *given[80:]], **options)
    assert told[0]["account"]["broker_position"] == 5e6
    assert (told[0]["symbol"], told[0]["id"], told[0]["account"]["is_settled"]) == ("B", 1, False)
    for one in told[1:21]:
        assert one["account"]["is_settled"] == (one["symbol"] != "B")
    after = [one for one in told[22:] if one["symbol"] == "B"]
    (fill,) = [one for one in after[0]["fills"] if one.get("reason") == "settle"]
    assert fill["symbol"] == "B"
    again, _ = run([], tell_from=60, **options)
    assert again == [one for one in told if "row" in one]


class Divides(Small):
    """Has a feature that is infinite when the volume is 13."""

    def features(self):
        return {**super().features(), "odd": 1.0 / (self.data.volume - 13.0)}


@pytest.mark.slow
def test_a_bar_whose_features_are_not_finite_is_refused_and_the_stream_goes_on(tmp_path):
    whole, _ = run(LINES, tmp_path / "whole", strategy=Divides)
    time, name, bar = rows(frames(40))[50]
    odd = json.dumps({"symbol": name, "time": str(time), **bar, "volume": 13.0})
    told, result = run([*LINES[:50], odd, *LINES[50:]], tmp_path / "odd", strategy=Divides)
    assert (told[50]["symbol"], "error" in told[50]) == (name, True)
    assert told[:50] + told[51:] == whole
    assert result.metrics["malformed_lines"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": ["A"]}, "two names or more"),
        ({"symbols": ["A", "a"]}, "each once"),
        ({"symbols": ["A", "../B"]}, "must name a folder"),
        ({"symbols": ["A", "bars.csv"]}, "must name a folder"),
        ({"point": 0.1}, "point is of one market"),
        ({"position": 0.0}, "position is of one market"),
        ({"checkpoint_every": 5}, "checkpoint_every is of one market"),
        ({"parameters": {"pretrain": "2024-01-01..2024-01-05"}}, "pretrain must not be given with several"),
        ({"parameters": {"inputs": "X"}}, "must have no inputs"),
    ],
)
def test_what_cannot_be_is_refused(options, message, tmp_path):
    with pytest.raises(NeuroError, match=message):
        run([], tmp_path / "live", **options)
    assert not (tmp_path / "live").exists()


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return run(LINES[:10], tmp_path_factory.mktemp("begun"))[1].folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": ["A", "B"]}, "names must be"),
        ({"parameters": {"size": 0.5}}, "parameters.size must be"),
        ({"strategy": Brackets}, "strategy must be"),
        ({"out": "other"}, "is resumed in place"),
        ({"account": ACCOUNT}, "account"),
    ],
)
def test_a_restart_with_other_settings_is_refused(options, message, begun):
    before = (begun / "run.json").read_bytes()
    with pytest.raises(NeuroError, match=message):
        run([], **{"resume": begun, "symbols": None, **options})
    assert (begun / "run.json").read_bytes() == before


def test_bars_that_are_answered_otherwise_at_a_restart_are_named(begun, tmp_path):
    """Else the account would not have the orders that were told."""
    folder = shutil.copytree(begun, tmp_path / "live")
    bars = (folder / "bars.csv").read_text().splitlines(keepends=True)
    (folder / "bars.csv").write_text("".join([*bars[:5], bars[5].replace("2024", "2023"), *bars[6:]]))
    with pytest.raises(NeuroError, match=r"time of row 4 was 2024-.*, got 2023-.*new folder with --history"):
        run([], resume=folder)
    (folder / "bars.csv").write_bytes("".join(bars).encode().replace(b":", b"\xff", 1))
    with pytest.raises(NeuroError, match=r"bars.csv is damaged: bar 0: "):
        run([], resume=folder)
    (folder / "bars.csv").write_text("".join(bars))
    (folder / "bars.csv").write_text("".join(bars[:-3]))
    warned = []
    run([], resume=folder, warn=warned.append)
    assert warned[-1] == "3 bars that were answered are not in bars.csv. Send them again."
    assert [one["row"] for one in run(LINES[7:10], resume=folder)[0]] == [7, 8, 9]
    (folder / "answers.jsonl").unlink()
    assert run([], resume=folder)[0] == []  # answered again, and not told again
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 10
    assert len(run(LINES[10:12], resume=folder)[0]) == 2


@pytest.mark.slow
def test_an_instrument_without_a_bar_waits(tmp_path):
    told, result = run([one for one in lines(frames(100)) if '"C"' not in one], tmp_path)
    assert {one["symbol"] for one in told if one["signal"]} == {"A", "B"}
    assert result.metrics["instruments"]["C"]["bars"] == 0


def test_its_state_can_be_watched(tmp_path):
    told, _ = run(LINES, tmp_path)
    state = read_state(tmp_path)
    assert state.health["bars"] == ALL
    assert [one["equity"] for one in state.equity] == [one["account"]["equity"] for one in told]


@pytest.mark.slow
def test_idle_periods_change_nothing(tmp_path):
    """Orders, fills and account too: nothing depends on when lines come."""

    def late(some, *pauses):
        for number, one in enumerate(some):
            if number in pauses:
                time.sleep(0.6)
            yield one

    given = lines(frames(60))
    whole, _ = run(given, tmp_path / "whole", strategy=Brackets)
    told, _ = run(late(given[:90], 0, 41, 88), tmp_path / "idle", strategy=Brackets)
    told += run(late(given[90:], 0, 5), resume=tmp_path / "idle", strategy=Brackets)[0]
    assert told == whole


ODD = (
    None,
    True,
    -1,
    1e300,
    math.nan,
    "",
    "x",
    "\ud800",
    [],
    {"a": 1},
    "2099-01-01",
    "A",
    "Z",
    "broker",
    10**400,
)


@pytest.mark.slow
def test_hostile_lines_are_answered_in_order(tmp_path):
    """One answer a line; the bars among them have the answers that they have alone."""
    chance, given, due = random.Random(4), [], []
    names = ["symbol", "time", *PRICES, "id", "ticker", ""]
    for number in range(3_000):
        due.append(number % 50 == 0 and number // 50 < ALL)
        if due[-1]:
            given.append(LINES[number // 50])
            continue
        values = json.loads(chance.choice(LINES))
        for _ in range(chance.choice((1, 2, 5))):
            values[chance.choice(names)] = chance.choice(ODD)
        values["volume"] = -1.0  # so that it never is a bar
        text = json.dumps(values) if chance.random() < 0.7 else ",".join(map(str, values.values()))
        given.append(
            (text[: chance.randrange(len(text))] if chance.random() < 0.3 else text).replace("\n", "")
        )
    told, result = run(given, tmp_path / "odd")
    assert len(told) == len(given)
    assert ["row" in one for one in told] == due
    assert [one["line"] for one in told if "line" in one] == [n for n, d in enumerate(due, 1) if not d]
    assert [one for one in told if "row" in one] == run(LINES[: sum(due)], tmp_path / "alone")[0]
    assert run([], resume=tmp_path / "odd")[1].metrics["bars"] == result.metrics["bars"]
