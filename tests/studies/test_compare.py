"""The article's study: what networks see, what may choose what, and what figures are allowed to say."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from comparisons import GRID, SAMPLE, outputs_of, planted_comparison
from helpers import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from small import Logged, small_network
from typer.testing import CliRunner

from bt_neuro import Adam, BarsFeed, FoldError, NeuroError, compare, read_bars
from bt_neuro.cli import app
from bt_neuro.runs.saved_manifest import read_manifest
from bt_neuro.studies.experiment import EXACT, VARIANTS, Member, Study, Variant, progressive_pass
from bt_neuro.studies.hypotheses import (
    HOLDS,
    NOT,
    OPEN,
    close_hit_rates,
    higher_rate,
    lower_error,
    no_dropout,
    slips_cost,
)
from bt_neuro.studies.outputs import Outputs, error_difference, hit_rate, mean_error
from bt_neuro.studies.pass_store import PassStore
from bt_neuro.studies.table import AFTER, SINGLE
from bt_neuro.studies.windows import HISTORY_BARS, Spans, Windows

# The article's networks, as small a study as there can be
LENGTHS = {"history": "100b", "test": "100b"}
OPTIONS = {
    **LENGTHS,
    "seeds": 1,
    "eras": 2,
    "grid": [1e-3],
    "bars_options": {"end": "2024-01-19"},
    "report": False,
}


@pytest.fixture(scope="module")
def bars():
    return read_bars(SAMPLE, end="2024-03-29")


@pytest.fixture(scope="module")
def windows(bars):
    return Windows.of(bars)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return planted_comparison(tmp_path_factory.mktemp("compare") / "planted")


@pytest.fixture(scope="module")
def compared(best, tmp_path_factory):
    """A comparison whose networks were really run."""
    return compare(SAMPLE, out=tmp_path_factory.mktemp("compare") / "run", **OPTIONS)


# -- the order of one bar ------------------------------------------------------------------------------------
class Stream(Logged):
    params = (("history_bars", HISTORY_BARS),)


def test_a_pass_says_what_a_strategy_says(bars, windows):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=bars.frame))
    cerebro.addstrategy(Stream)
    (strategy,) = cerebro.run()
    signals = [entry for entry in strategy.log if len(entry) == 2]
    said = progressive_pass(
        small_network(windows.inputs, optimizer=Adam(0.01), seed=[0]),
        windows,
        range(windows.first, len(bars)),
    )
    assert [bar for bar, _ in signals] == list(range(windows.first, len(bars)))
    assert len(bars) > 1024 + windows.first  # more than one launch
    assert_same_bits(said[0].astype(float), np.array([outputs for _, outputs in signals]))


def test_passes_that_go_on_are_one(windows):
    whole, parts = (small_network(windows.inputs, optimizer=Adam(0.01), seed=[0, 1]) for _ in range(2))
    first, cut, last = 60, 300, 420
    once = progressive_pass(whole, windows, range(first, last))
    twice = [
        progressive_pass(parts, windows, range(first, cut)),
        progressive_pass(parts, windows, range(cut, last), continues=True),
    ]
    assert_same_bits(np.concatenate(twice, axis=1), once)


def test_a_pass_that_begins_anew_learns_nothing_before_it(windows):
    network = small_network(windows.inputs, optimizer=Adam(0.01), seed=[0])
    progressive_pass(network, windows, range(60, 100))
    assert network.steps == 39


def test_a_pass_tells_how_far_it_is(windows):
    calls = []
    network = small_network(windows.inputs, seed=[0])
    progressive_pass(network, windows, range(60, 1300), progress=calls.append)
    assert calls == [1, 1024, 1239 - 1024]


# -- which bars serve what -----------------------------------------------------------------------------------
@given(
    bars=st.integers(400, 3000),
    first=st.integers(0, 90),
    history=st.sampled_from(["100b", "1M", "26W", "9Y"]),
    test=st.sampled_from(["100b", "12M", "2Y"]),
)
def test_what_is_scored_has_served_no_choice(bars, first, history, test):
    spans = Spans.cut(pd.Series(pd.date_range("2020-02-29", periods=bars, freq="4h")), first, history, test)
    assert spans.choice.start == first
    assert spans.choice.stop == spans.history.stop == spans.rest.start == spans.test.start == bars // 2
    assert set(spans.history) <= set(spans.choice)
    assert set(spans.test) <= set(spans.rest)
    assert spans.rest.stop == bars


def test_lengths_of_time():
    times = pd.Series(pd.date_range("2020-01-01", "2024-01-01", freq="D"))
    spans = Spans.cut(times, 50, "12M", "6M")
    ends = [str(times[bar].date()) for bar in (spans.history[0], spans.test[0], spans.test[-1])]
    assert ends == ["2021-01-01", "2022-01-01", "2022-06-30"]


@pytest.mark.parametrize("history", ["99b", "4D"])
def test_too_few_bars_are_refused(history):
    times = pd.Series(pd.date_range("2024-01-01", periods=1000, freq="h"))
    with pytest.raises(FoldError, match=f"history {history} and test 1M must have 100 bars each, got 9[69]"):
        Spans.cut(times, 50, history, "1M")


def study_of(windows, bars, folder, **changes) -> Study:
    return Study(
        **{
            "windows": windows,
            "spans": Spans.cut(bars.frame["datetime"], windows.first, **LENGTHS),
            "grid": (1e-3, 1e-4),
            "seeds": (0,),
            "eras": 2,
            "device": "auto",
            "store": PassStore(folder),
            **changes,
        }
    )


def test_the_choice_does_not_touch_the_second_half(best, tmp_path):
    bars = read_bars(SAMPLE, end="2024-01-19")
    windows = Windows.of(bars)
    middle = len(bars) // 2
    features, targets = windows.features.copy(), windows.targets.copy()
    features[middle - windows.first_row :] = targets[middle:] = np.nan  # which a network refuses
    perturbed = replace(windows, features=features, targets=targets)
    for name in ("whole", "perturbed"):
        (tmp_path / name).mkdir()
    one = study_of(windows, bars, tmp_path / "whole")
    other = study_of(perturbed, bars, tmp_path / "perturbed")
    for study in (one, other):
        study.choose(lambda bars: None)
    assert one.best_rates == other.best_rates
    for variant in EXACT:
        assert_same_bits(one.grid_outputs(variant), other.grid_outputs(variant))


def test_each_pass_begins_where_the_last_era_ended(windows, bars, tmp_path):
    steps = list(study_of(windows, bars, tmp_path, eras=3).steps())
    assert [step.name for step in steps] == ["era-1", "single", "era-2", "era-3", "test"]
    assert [step.era for step in steps] == [1, 0, 2, 3, 0]


def test_lanes_are_shared_where_the_best_rate_is_the_article_s(windows, bars, tmp_path):
    study = study_of(windows, bars, tmp_path, seeds=(0, 1))
    for variant, known in zip(EXACT, ((0.1, 0.2), (0.1, 0.2), (0.2, 0.1)), strict=True):
        study.store.write(f"{variant.name}-grid", outputs_of(windows, study.spans.choice, known))
    plain, _, norm, published = VARIANTS
    assert study.members(plain) == [Member(1e-6, 0), Member(1e-6, 1), Member(1e-4, 0), Member(1e-4, 1)]
    assert study.members(norm) == study.members(published) == [Member(1e-3, 0), Member(1e-3, 1)]
    assert study.rates(published) == {"article": 1e-3, "best": 1e-3}


# -- intervals -----------------------------------------------------------------------------------------------
KEY = {"expert": "plain", "gradient": "exact", "which": "best", "learning_rate": 1e-3}


def answers(rng, bars=300, offsets=(0.0, 0.0, 0.0), noise=0.1, skill=0.0, key=KEY) -> Outputs:
    """Return answers to labels, one class each, off by noise and by an offset a seed."""
    targets = np.eye(3)[np.random.default_rng(5).integers(0, 3, bars)]
    said = skill * targets + (1 - skill) * 0.5 + rng.normal(scale=noise, size=(len(offsets), bars, 3))
    return Outputs(key, said + np.array(offsets)[:, None, None], targets)


def test_intervals_hold_what_bars_and_seeds_leave_open(rng):
    """Two variants that differ by the luck of their seeds alone are nearly always within the interval."""
    covered = 0
    for _ in range(60):
        one, other = (answers(rng, 120, rng.normal(scale=0.05, size=3)) for _ in range(2))
        found = error_difference(one, other)
        covered += found.low < 0 < found.high
    assert covered >= 50


def test_an_interval_of_bars_alone_would_be_too_narrow(rng):
    """Seeds that differ widen the interval, though bars are drawn alike: the negative control."""
    alike, apart = (
        answers(np.random.default_rng(1), offsets=moved) for moved in ([0.1] * 3, [0.0, 0.1, 0.2])
    )
    widths = [found.high - found.low for found in map(mean_error, (alike, apart))]
    assert widths[1] > 2 * widths[0]


def test_the_same_networks_in_two_rows_differ_by_nothing(rng):
    one = answers(rng, offsets=[0.0, 0.1])
    assert error_difference(one, replace(one, key={**KEY, "which": "article"})) == (0, 0, 0)


def test_one_seed_has_the_interval_of_its_bars(rng):
    found = mean_error(answers(rng, offsets=[0.0]))
    assert found.low < found.value < found.high


def test_a_hit_rate_of_few_signals_is_none(rng):
    silent = answers(rng, bars=20, skill=1.0, noise=0.0)
    assert hit_rate(silent) is not None  # some 13 signals of each of three seeds
    assert hit_rate(replace(silent, outputs=silent.outputs[:1])) is None


# -- verdicts ------------------------------------------------------------------------------------------------
def planted_rows(**skill: float) -> dict[str, list[Outputs]]:
    """Return answers of all variants at both rates, each with so much skill; NaN diverges."""
    rng, found = np.random.default_rng(2), []
    for variant in VARIANTS:
        for which in ("article", "best"):
            key = {"expert": variant.expert, "gradient": variant.gradient, "which": which}
            known = skill.get(f"{variant.expert}_{variant.gradient}", skill.get(variant.expert, 0.2))
            found.append(answers(rng, skill=known, key=key))
    return {SINGLE: found, AFTER: found}


@pytest.mark.parametrize(
    ("claim", "skill", "verdict"),
    [
        (lower_error, {"batch_norm": 0.5}, HOLDS),
        (lower_error, {"batch_norm": 0.5, "dropout": 0.9}, NOT),
        (lower_error, {"batch_norm": 0.1}, NOT),
        (lower_error, {}, OPEN),
        (lower_error, {"batch_norm": np.nan}, OPEN),
        (close_hit_rates, {"plain": 0.9, "dropout": 0.9, "batch_norm": 0.9}, HOLDS),
        (close_hit_rates, {"batch_norm": 0.5}, NOT),
        (close_hit_rates, {"plain": np.nan}, OPEN),
        (no_dropout, {"batch_norm": 0.5}, HOLDS),
        (no_dropout, {"dropout": 0.5}, NOT),
        (no_dropout, {}, OPEN),
        (slips_cost, {"batch_norm_published": 0.1}, HOLDS),
        (slips_cost, {"batch_norm_published": 0.5}, NOT),
        (slips_cost, {}, OPEN),
    ],
)
def test_a_verdict_is_what_the_intervals_allow(claim, skill, verdict):
    found = claim(planted_rows(**skill))
    assert found["verdict"] == verdict, found
    assert all(figure.keys() == {"what", "value", "low", "high"} for figure in found["figures"])


@pytest.mark.parametrize(
    ("plain", "batch_norm", "verdict"),
    [
        ((0.0, 0.4), (0.4, 0.4), HOLDS),  # at 1e-3 with normalisation alone
        ((0.4, 0.4), (0.4, 0.4), NOT),  # at 1e-3 with and without
        ((0.0, 0.4), (0.0, 0.4), NOT),  # neither
        ((np.nan, 0.4), (0.4, 0.4), HOLDS),
        ((0.0, 0.4), (np.nan, 0.4), NOT),
    ],
)
def test_a_rate_is_usable_that_beats_a_constant(windows, bars, tmp_path, plain, batch_norm, verdict):
    study = study_of(windows, bars, tmp_path, grid=GRID)
    for variant in EXACT:
        known = batch_norm if variant.expert == "batch_norm" else plain
        study.store.write(f"{variant.name}-grid", outputs_of(windows, study.spans.choice, known))
    assert higher_rate(study)["verdict"] == verdict


# -- the folder ----------------------------------------------------------------------------------------------
def test_the_folder_holds_table_eras_and_manifest(planted):
    assert read_manifest(planted.folder) == planted.manifest
    assert planted.manifest["status"] == "complete"
    assert str(planted) == planted.metrics["sentence"]
    table = planted.table
    assert table["regime"].unique().tolist() == [
        "single pass",
        "single pass, test bars",
        "after 3 eras",
        "in sample, era 3",
    ]
    assert table.groupby("regime", sort=False).size().tolist() == [11, 11, 11, 8]
    assert table.loc[table["in_sample"], "regime"].unique().tolist() == ["in sample, era 3"]
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    assert records == planted.metrics["table"]


def test_a_row_adds_up(planted):
    table = planted.table.set_index(["regime", "expert", "gradient", "which"])
    single = table.loc["single pass"]
    plain, norm = (single.loc[expert, "exact", "best"] for expert in ("plain", "batch_norm"))
    assert norm["difference_to_plain"] == pytest.approx(
        norm["mean_squared_error"] - plain["mean_squared_error"]
    )
    assert np.isnan(plain["difference_to_plain"])
    assert norm["mean_squared_error_low"] < norm["mean_squared_error"] < norm["mean_squared_error_high"]
    assert norm["signals"] / norm["bars"] / norm["seeds"] * 100 == pytest.approx(norm["coverage_pct"])
    assert norm["hit_rate_pct"] == pytest.approx(100, abs=1)  # with that much skill


def test_one_row_a_network_and_era_all_in_sample(planted):
    eras = planted.eras
    assert list(eras) == [
        "expert", "gradient", "learning_rate", "which", "seed", "era", "error", "undefine_pct",
        "forecast_pct", "in_sample",
    ]  # fmt: skip
    assert eras["in_sample"].all()
    assert len(eras) == 8 * 2 * 3
    assert (
        eras.groupby(["expert", "gradient", "which", "seed"])["error"].agg(lambda e: e.diff().max() < 0).all()
    )


def test_the_sentence_says_that_it_helps(planted):
    assert ": in a single pass batch normalisation helps this network, mean squared error 0.0" in str(planted)


@pytest.mark.slow
def test_a_network_that_diverged_is_a_result(tmp_path):
    skill = {"plain": 0.1, "dropout": 0.1, "batch_norm": np.nan, "batch_norm-published": 0.1}
    grid = {"batch_norm": (np.nan, 0.5)}
    found = planted_comparison(tmp_path / "run", skill, grid_skill=grid, seeds=2, eras=1, end="2024-02-02")
    rows = found.table[found.table["expert"].eq("batch_norm") & found.table["gradient"].eq("exact")]
    assert rows["diverged"].eq(2).all()
    assert rows["mean_squared_error"].isna().all()
    assert rows["hit_rate_pct"].isna().all()
    assert "a network diverged, so that nothing can be said" in str(found)
    assert found.metrics["grid"]["batch_norm"]["0.001"] is None
    assert found.metrics["rates"]["batch_norm"]["best"] == 5e-5


def test_networks_are_kept_as_they_are_even_diverged(tmp_path):
    store = PassStore(tmp_path)
    one, other = (small_network(8, seed=[0, 1]) for _ in range(2))
    rng = np.random.default_rng(1)
    one.learn(rng.normal(size=(5, 8)), rng.uniform(size=(5, 3)))
    state = one.state()
    state["dense_1.kernel"][0, 0] = np.nan
    one.set_state(state, one.steps)
    store.write_networks("some", one, era=3)
    store.restore("some", other)
    assert (store.last_era("some"), other.steps) == (3, 5)
    for name, tensor in one.state().items():
        assert tensor.tobytes() == other.state()[name].tobytes(), name


def test_a_damaged_pass_is_named(tmp_path):
    store = PassStore(tmp_path)
    store.write("some", np.zeros((1, 2, 3), np.float32))
    path = tmp_path / "passes" / "some.pass"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(NeuroError, match=r"some\.pass is damaged"):
        store.outputs("some")


# -- going on ------------------------------------------------------------------------------------------------
def same_tables(one: Path, other: Path) -> None:
    for name in ("compare.csv", "eras.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.slow
def test_a_comparison_that_is_complete_is_only_written_anew(compared, tmp_path):
    shutil.copytree(compared.folder, tmp_path / "run")
    passes = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "passes").iterdir()}
    again = compare(SAMPLE, resume=tmp_path / "run", **OPTIONS)
    same_tables(again.folder, compared.folder)
    assert {path: path.stat().st_mtime_ns for path in passes} == passes


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [0.2, 0.3, 0.5, 0.7, 0.9])
def test_interrupted_anywhere_the_table_is_the_same(compared, tmp_path, stop_at):
    def interrupt(done, in_all):
        if done > stop_at * in_all:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"of 19 passes are finished: continue with --resume .*run"):
        compare(SAMPLE, out=tmp_path / "run", progress=interrupt, **OPTIONS)
    begun = json.loads((tmp_path / "run" / "run.json").read_text())
    assert begun["status"] == "interrupted"
    again = compare(SAMPLE, resume=tmp_path / "run", **OPTIONS)
    same_tables(again.folder, compared.folder)


def test_interrupted_at_once_it_leaves_nothing(best, tmp_path):
    def interrupt(done, in_all):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"0 of 19 passes are finished$"):
        compare(SAMPLE, out=tmp_path / "run", progress=interrupt, **OPTIONS)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "last", ["plain-era-1", "plain-single", "dropout-era-2", "batch_norm-published-era-1"]
)
def test_killed_after_any_pass_the_table_is_the_same(compared, tmp_path, last):
    folder, words = tmp_path / "run", command(tmp_path / "run")
    process = subprocess.Popen([sys.executable, "-m", "bt_neuro", *words], stdout=subprocess.DEVNULL)
    try:
        while not (folder / "passes" / f"{last}.pass").exists():
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    resumed = bt_neuro(*command(None), "--resume", folder)
    assert resumed.exit_code == 0, resumed.output
    same_tables(folder, compared.folder)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"seeds": 2}, "options.seeds must be 1, .*, got 2"),
        ({"grid": [1e-4]}, r"options.grid must be \[0.001\], .*, got \[0.0001\]"),
        ({"eras": 3}, "options.eras must be 2, .*, got 3"),
        ({"bars_options": {"end": "2024-01-20"}}, "options.bars_options.end must be"),
    ],
)
def test_another_comparison_is_no_resumption(compared, options, complaint):
    with pytest.raises(NeuroError, match=complaint):
        compare(SAMPLE, resume=compared.folder, **{**OPTIONS, **options})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"seeds": 0}, "seeds must be an integer, 1 or more, got 0"),
        ({"eras": 0}, "eras must be an integer, 1 or more, got 0"),
        ({"seed": -1}, "seed must be an integer, 0 or more, got -1"),
        ({"grid": []}, r"grid must be different learning rates between 0 and 1, got \[\]"),
        ({"grid": [1e-3, 1e-3]}, "grid must be different learning rates"),
        ({"grid": [np.nan]}, "grid must be different learning rates"),
        ({"history": "soon"}, "A length must be .*, got 'soon'"),
        ({"history": "50b"}, "must have 100 bars each, got 50"),
        ({"bars_options": {"end": "2024-01-05"}}, "to warm up in each half"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_what_cannot_run_leaves_no_folder(tmp_path, options, complaint):
    with pytest.raises(NeuroError, match=complaint):
        compare(SAMPLE, out=tmp_path / "run", **{**OPTIONS, **options})
    assert not (tmp_path / "run").exists()


def test_some_folder_is_no_resumption(tmp_path):
    with pytest.raises(NeuroError, match="is no run folder"):
        compare(SAMPLE, resume=tmp_path, device="numpy", **OPTIONS)


# -- the command ---------------------------------------------------------------------------------------------
def command(out: Path | None) -> list[object]:
    words = ["compare", SAMPLE, "--to", "2024-01-19", "--history", "100b", "--test", "100b"]
    words += ["--seeds", 1, "--eras", 2, "--grid", "1e-3"]
    return [str(word) for word in [*words, *(["--out", out] if out else [])]]


def bt_neuro(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_the_command_prints_its_sentence_first_and_a_table_each_regime(compared, tmp_path):
    out = bt_neuro(*command(tmp_path / "run"))
    assert out.exit_code == 0, out.output
    lines = out.stdout.splitlines()
    assert lines[0] == str(compared)
    assert out.stderr == ""
    assert any(line.startswith("In sample, era 2, 99 bars") for line in lines)
    assert sum(line.split()[:4] == ["batch_norm,", "published", "0.001,", "best"] for line in lines) == 4
    assert lines[-1] == f"Written to {tmp_path / 'run'}"
    same_tables(tmp_path / "run", compared.folder)


@pytest.mark.slow
def test_json_stands_alone(planted):
    bars = ["--to", planted.manifest["options"]["bars_options"]["end"], "--device", "numpy"]
    lengths = ["--history", "240b", "--test", "240b", "--seeds", 2, "--grid", "1e-3,5e-5"]
    out = bt_neuro("compare", SAMPLE, *bars, *lengths, "--resume", planted.folder, "--json")
    assert out.exit_code == 0, out.output
    assert json.loads(out.stdout)["metrics"] == json.loads(json.dumps(planted.metrics))


@pytest.mark.parametrize("words", [[], [SAMPLE, "--grid", "fast"], [SAMPLE, "--seeds", 0]])
def test_wrong_usage(words):
    assert bt_neuro("compare", *words).exit_code == 2


def test_contestants_are_the_article_s():
    found = {variant.name: variant.article_rate for variant in VARIANTS}
    assert found == {"plain": 1e-6, "dropout": 1e-6, "batch_norm": 1e-3, "batch_norm-published": 1e-3}
    published = next(c for c in VARIANTS if c.gradient == "published").layers(12)
    assert [layer.gradient for layer in published if hasattr(layer, "gradient")] == ["published"] * 3
    assert isinstance(VARIANTS[0], Variant)
    assert Member(1e-3, 0) == Member(1e-3, 0)
