"""A portfolio: each instrument is learned as if it were alone, on an account that promises no more than there is."""

from __future__ import annotations

import json
import os
import signal
from contextlib import chdir

import backtrader as bt
import numpy as np
import pytest
from command import bt_neuro
from modes import random_hours
from small import Small

from bt_neuro import BarsFeed, RunRecord, backtest, margin_account, open_run, read_bars
from bt_neuro.account.account import Account
from bt_neuro.errors import NeuroError
from bt_neuro.metrics.seeds import MONEY
from bt_neuro.report.summary import summary_of
from bt_neuro.runs.portfolio import bar_files, portfolio

WALK = random_hours(420, seed=4)
# Of eight instruments some begin late, one ends early, one has gaps, one comes every four hours.
ROWS = {
    "A": slice(None), "B": slice(150, None), "C": slice(0, 260), "D": slice(0, None, 4),
    "E": slice(90, None), "F": slice(None), "G": slice(20, 400), "H": slice(None),
}  # fmt: skip
PARAMETERS = {"history_bars": 2, "features": "shape"}


def write(folder, names="ABCDEFGH"):
    for number, name in enumerate(names):
        bars = random_hours(420, seed=number)[ROWS[name]]
        if name == "F":
            bars = bars.drop(bars.index[100:180])
        bars.to_csv(folder / f"{name}.csv", index=False)
    return [folder / f"{name}.csv" for name in names]


class Buyer(Small):
    """Wants all of the equity in every instrument."""

    def decide(self, signal):
        assert signal.data is self.data
        assert signal.data._name in "ABCDEFGH"
        self.target(1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bars")


@pytest.mark.parametrize("names", ["ABD", pytest.param("ABCDEFGH", marks=pytest.mark.slow)])
def test_each_instrument_is_predicted_as_if_it_were_alone(folder, tmp_path, names):
    assert_as_alone(write(folder, names), tmp_path, "numpy")


@pytest.mark.slow
def test_each_instrument_is_predicted_as_if_it_were_alone_on_a_device(folder, tmp_path, runtime):
    assert_as_alone(write(folder), tmp_path, str(runtime.index))


def assert_as_alone(paths, tmp_path, where):
    parameters = {**PARAMETERS, "device": where}
    together = portfolio(paths, strategy=Small, parameters=parameters, out=tmp_path / "all", report=False)
    for path in paths:
        alone = backtest(path, strategy=Small, parameters=parameters, out=tmp_path / path.stem, report=False)
        one = together.instrument(path.stem)
        assert one.predictions.equals(alone.predictions)
        assert np.array_equal(one.outputs, alone.outputs)
        scores = together.metrics["instruments"][path.stem]
        for key in ("hit_rate_pct", "lift_pct", "brier_score", "best_baseline", "predicted_bars"):
            assert scores[key] == alone.metrics[key], key
    pooled = together.metrics["pooled"]
    assert pooled["signals"] == sum(one["signals"] for one in together.metrics["instruments"].values())
    assert pooled["lift_low_pct"] < pooled["lift_pct"] < pooled["lift_high_pct"]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_the_networks_of_a_vote_are_traded_alone(folder, tmp_path, shared):
    options = {
        "strategy": Small,
        "account": Account.of("forex", spread=12),
        "shared": shared,
        "report": False,
    }
    parameters, paths = {**PARAMETERS, "learning_rate": 0.05}, write(folder, "AB")
    votes = portfolio(
        paths,
        **options,
        parameters={**parameters, "seeds": 2, "seed": 3},
        out=tmp_path / "votes",
        seed_money=True,
    )
    seeds = votes.metrics["seeds"]
    for number in range(2):
        own = {**parameters, "seed": 3 + number}
        alone = portfolio(paths, **options, parameters=own, out=tmp_path / str(number)).metrics
        assert alone["account"]["trades"] > 5
        assert {name: seeds[name]["each"][number] for name in MONEY} == {
            name: alone["account"][name] for name in MONEY
        }
        assert alone["seeds"] is alone["instruments"]["A"]["seeds"] is None
        for name in "AB":
            scores = votes.metrics["instruments"][name]["seeds"]
            for key in ("hit_rate_pct", "coverage_pct", "brier_score"):
                assert scores[key]["each"][number] == pytest.approx(alone["instruments"][name][key])
    assert "Traded alone, the 2 networks returned" in votes.metrics["sentence"]
    *_, by_instrument, by_network = summary_of(votes).tables
    assert [row[0] for row in by_instrument.rows] == ["A", "B"]
    assert "vote" in [row[0] for row in by_network.rows]
    unasked = portfolio(paths, **options, parameters={**parameters, "seeds": 2}, out=tmp_path / "not")
    assert any("is unknown: add --seed-money" in note for note in summary_of(unasked).notes)


class Depositor(Small):
    """Trades nothing, and pays in twice."""

    def decide(self, signal):
        if self.data._name == "A" and signal.bar in (100, 300):
            self.broker.add_cash(2_500)


def test_a_deposit_is_no_return(folder, tmp_path):
    run = portfolio(
        write(folder, "ABD"), strategy=Depositor, parameters=PARAMETERS, out=tmp_path, report=False
    )
    account, equity = run.metrics["account"], run.equity
    assert equity[equity["deposits"] > 0].index.tolist() == [101, 301]
    assert account["equity_end"] == account["equity_start"] + account["deposits"] == 15_000
    assert (account["return_pct"], account["sharpe_ratio_daily_annualised"]) == (0, None)
    assert "The account returned +0.0 %" in run.metrics["sentence"]


def test_equal_parts_are_held_from_each_first_prediction_to_the_end_of_the_run(folder, tmp_path):
    class Ends(Small):
        def decide(self, signal):
            if signal.bar == 200 and self.data._name == "A":
                self.env.runstop()

    paths = write(folder, "AB")
    run = portfolio(paths, strategy=Ends, parameters=PARAMETERS, out=tmp_path, report=False)
    changes = []
    for path in paths:
        one, closes = run.instrument(path.stem), read_bars(path).frame["close"]
        first, last = one.predictions["bar"].iloc[0], one.equity["bar"].iloc[-1]
        assert 0 < first < last < len(closes) - 1
        changes.append(100 * (closes[last] / closes[first] - 1))
        assert run.metrics["instruments"][path.stem]["price_change_pct"] == pytest.approx(changes[-1])
    assert run.metrics["account"]["equal_hold_pct"] == pytest.approx(np.mean(changes))


def test_positions_together_stay_within_the_equity(folder, tmp_path):
    paths = write(folder, "ABCD")
    account = Account(cash=10_000.0, leverage=30.0, lot_step=1e-8)
    run = portfolio(paths, strategy=Buyer, parameters=PARAMETERS, account=account, out=tmp_path / "run")
    money = run.metrics["account"]
    assert money["refused_orders"] == money["cut_orders"] == 0
    assert money["orders"] == 4  # one an instrument: each has its part
    assert money["reconciliation"]["is_reconciled"]
    assert run.equity["positions"].max() == 4
    invested = 0.0
    for name in run.names:
        table = run.instrument(name).equity
        entry = table[table["position"] != 0].iloc[0]
        invested += entry["position"] * entry["close"]
    assert 9_000 < invested < 11_000
    assert (tmp_path / "run" / "report.html").exists()
    assert open_run(tmp_path / "run").metrics["sentence"] == str(run)


class LateBuyer(Small):
    """Buys A at once; B and C when A has grown to most of the equity."""

    def decide(self, signal):
        if signal.data._name == "A" or signal.bar > 200:
            self.target(1.0)


def test_a_position_that_has_grown_leaves_less_to_the_others(tmp_path):
    for name in "ABC":
        bars = random_hours(260, seed=ord(name))
        if name == "A":
            rise = np.geomspace(1, 8, len(bars))
            bars[["open", "high", "low", "close"]] = bars[["open", "high", "low", "close"]].mul(rise, axis=0)
            bars["low"] = bars[["open", "low", "close"]].min(axis=1)
        bars.to_csv(tmp_path / f"{name}.csv", index=False)
    account = Account(cash=10_000.0, leverage=30.0, lot_step=1e-8)
    options = {"strategy": LateBuyer, "parameters": PARAMETERS, "account": account, "report": False}
    run = portfolio([tmp_path], **options, out=tmp_path / "run")
    tables = [run.instrument(name).equity.set_index("datetime") for name in run.names]
    held = sum((table["position"] * table["close"]).abs() for table in tables)
    equity = run.equity.set_index("datetime")["equity"]
    assert run.equity["positions"].max() == 3
    assert 0.97 < (held / equity)[210:].max() < 1.01  # the bar of the fills moves after the order


@pytest.mark.slow
def test_the_order_of_files_does_not_matter(folder, tmp_path):
    paths = write(folder, "ABD")
    runs = [
        portfolio(some, strategy=Small, parameters=PARAMETERS, out=tmp_path / str(number), report=False)
        for number, some in enumerate((paths, paths[::-1]))
    ]
    for name in "ABD":
        first, second = (run.instrument(name).predictions for run in runs)
        assert first.equals(second)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pretrain": "2024-01-01..2024-01-05"}, "pretrain must not be given with several files"),
        ({"data": "A"}, "data must not be given"),
    ],
)
def test_what_takes_one_file_is_refused(folder, parameters, message):
    with pytest.raises(NeuroError, match=message):
        portfolio(write(folder, "ABCD"), parameters=parameters)


def test_a_folder_needs_two_files_with_names_of_their_own(folder, tmp_path):
    (path,) = write(tmp_path, "A")
    with pytest.raises(NeuroError, match="two files or more, got 1"):
        portfolio([tmp_path])
    with pytest.raises(NeuroError, match="got A twice"):
        portfolio([path, path])


def test_bar_files_of_a_folder_have_endings_in_either_case_and_are_not_hidden(tmp_path):
    bars = ["A.csv", "B.CSV", "C.Parquet", "D.csv.gz", "E.zip", "F.json", "G.feather", "H.prn", "I.csv.zst"]
    for name in (*bars, "._A.csv", ".B.csv", "notes.md", "report.html"):
        (tmp_path / name).touch()
    assert [path.name for path in bar_files([tmp_path])] == bars


@pytest.mark.slow
def test_the_command_takes_a_folder(tmp_path):
    write(tmp_path, "AB")
    words = ["backtest", tmp_path, "--device", "numpy", "--no-report", "--out", tmp_path / "run"]
    out = bt_neuro(*words, "--json")
    assert out.exit_code == 0, out.output
    assert list(json.loads(out.stdout)["metrics"]["instruments"]) == ["A", "B"]
    shown = bt_neuro("report", tmp_path / "run", "--no-open")
    assert shown.exit_code == 0, shown.output


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_signal_ends_all_instruments_at_the_same_bar(folder, tmp_path):
    class Signalled(Small):
        def decide(self, given):
            if given.bar == 200 and self.data._name == "A":
                signal.raise_signal(signal.SIGTERM)

    result = portfolio(
        write(folder, "AF"), strategy=Signalled, parameters=PARAMETERS, out=tmp_path, report=False
    )
    assert (result.manifest["status"], result.manifest["stopped_by"]) == ("interrupted", "SIGTERM")
    times = {result.instrument(name).equity["datetime"].iloc[-1] for name in result.names}
    assert times == {WALK["datetime"][200]}


@pytest.mark.slow
@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}, {"runonce": False}], ids=str)
def test_an_own_cerebro_runs_the_same_portfolio(folder, tmp_path, mode):
    paths = write(folder, "ABC")
    account = Account.of("forex", spread=2.0, lot_step=1e-8)
    options = {"strategy": Small, "parameters": PARAMETERS, "account": account, "report": False}
    expected = portfolio(paths, **options, out=tmp_path / "run")
    cerebro = bt.Cerebro(stdstats=False, **mode)
    for path in paths:
        cerebro.adddata(BarsFeed(bars=read_bars(path).frame), name=path.stem)
    margin_account(cerebro, "forex", spread=2.0, lot_step=1e-8)
    for path in paths:
        cerebro.addstrategy(Small, data=path.stem, budget=1 / 3, **PARAMETERS)
    cerebro.addanalyzer(RunRecord, report=False, out=None)
    with chdir(tmp_path):
        ran = cerebro.run()
    for name, strategy in zip("ABC", ran, strict=True):
        own, one = strategy.analyzers.runrecord.result, expected.instrument(name)
        assert own.predictions.equals(one.predictions)
        assert own.trades.equals(one.trades)
        assert "reconciliation" not in own.metrics  # of the whole account with the trades of a part
    assert cerebro.broker.getvalue() == pytest.approx(expected.metrics["account"]["equity_end"])
