"""The sentence says what the figures say, and nothing to learn from earns no skill."""

from functools import partial

import pytest
from random_walk import SEEDS, random_walk, walk_file
from small import Small

from bt_neuro import backtest
from bt_neuro.metrics.summary import sentence
from bt_neuro.metrics.verdict import PROFIT

backtest = partial(backtest, report=False)  # the page takes as long as all the rest

FAST = {"device": "auto"}  # Small asks for NumPy, to be the same everywhere
METRICS = {
    "start": "2003-07-25 10:00:00",
    "end": "2016-12-30 23:00:00",
    "bars": 83_260,
    "account_start": "2003-07-25 10:00:00",
    "account_bars": 83_260,
    "predicted_start": "2003-07-29 14:00:00",
    "scored_bars": 83_207,
    "signals": 23_893,
    "coverage_pct": 28.7,
    "hit_rate_pct": 58.2,
    "hit_rate_low_pct": 57.6,
    "hit_rate_high_pct": 58.9,
    "lift_pct": -0.34,
    "verdict": "worse than the best baseline",
    "brier_score": 0.5094,
    "best_baseline": "visible shape",
    "brier_difference": 0.1744,
    "hit_rate_baseline": "visible shape",
    "brier_difference_low": 0.17,
    "brier_difference_high": 0.178,
    "difference_low_pct": -12.9,
    "difference_high_pct": -11.7,
    "best_baseline_hit_rate_pct": 71.2,
    "equal_coverage_hit_rate_pct": 58.9,
    "return_pct": -46.3,
    "has_costs": True,
    "buy_and_hold_after_costs_pct": -8.44,
    "money_verdict": "no skill in money",
}


@pytest.mark.parametrize(
    ("changed", "status", "expected"),
    [
        (
            {},
            "complete",
            "x.csv, 2003-07-25 to 2016-12-30, 83,260 bars: 23,893 signals on 28.7 % of the bars, 58.2 % of "
            "them hit (95 % interval 57.6 to 58.9), a lift of -0.3 percentage points over the visible half of a "
            "fractal. Signals: worse than the best baseline (visible shape: Brier score 0.335 against 0.509, a "
            "difference of +0.170 to +0.178; 71.2 % hit at equal coverage against 58.9 %, a difference of "
            "-12.9 to -11.7). The account returned -46.3 % after costs against -8.4 % "
            "for buy and hold: no skill in money.",
        ),
        (
            {"signals": 0, "buy_and_hold_after_costs_pct": None, "return_pct": 0.0},
            "interrupted",
            "x.csv, 2003-07-25 to 2016-12-30, 83,260 bars (interrupted before the end): no signals. The "
            "account returned +0.0 % after costs: no skill in money.",
        ),
        (
            {"scored_bars": 0, "signals": 0}
            | {"account_start": "2010-01-04 00:00:00", "account_bars": 40_000},
            "complete",
            "x.csv, 2003-07-25 to 2016-12-30, 83,260 bars: nothing could be scored. Resumed at 2010-01-04 "
            "00:00:00 with a flat account. The account returned -46.3 % after costs against -8.4 % for buy "
            "and hold: no skill in money.",
        ),
        (
            {"signals": 0, "has_costs": False},
            "complete",
            "x.csv, 2003-07-25 to 2016-12-30, 83,260 bars: no signals. The account returned -46.3 % without "
            "any costs against -8.4 % for buy and hold: no skill in money.",
        ),
        (
            {"scored_bars": 0, "signals": 0},
            "complete",
            "x.csv, 2003-07-25 to 2016-12-30, 83,260 bars: nothing could be scored. The account returned "
            "-46.3 % after costs against -8.4 % for buy and hold: no skill in money.",
        ),
    ],
)
def test_the_sentence(changed, status, expected):
    assert sentence(METRICS | changed, "x.csv", status) == expected


@pytest.mark.parametrize(
    ("changed", "resumed"),
    [
        ({"account_start": "2006-01-02 00:00:00", "account_bars": 66_000}, ""),
        (
            {"account_start": "2010-01-04 00:00:00", "account_bars": 40_000},
            ". Resumed at 2010-01-04 00:00:00 with a flat account",
        ),
    ],
)
def test_the_sentence_of_a_run_with_eras(changed, resumed):
    eras = {"eras": 10, "span": "2003-05-05..2005-12-31"}
    metrics = METRICS | {"predicted_start": "2006-01-02 00:00:00", "scored_bars": 0} | changed
    told = sentence(metrics, "x.csv", "complete", eras)
    bars = f"{changed['account_bars']:,} bars"
    assert f", {bars}, tested after 10 eras on 2003-05-05..2005-12-31: nothing could be scored" in told
    assert f"nothing could be scored{resumed}. The account returned" in told


def test_a_walk_has_sound_bars_and_its_seed():
    walk = random_walk(1, 2_000)
    assert (walk["high"] >= walk[["open", "close"]].max(axis=1)).all()
    assert (walk["low"] <= walk[["open", "close"]].min(axis=1)).all()
    assert (walk["open"][1:].to_numpy() == walk["close"][:-1].to_numpy()).all()
    assert random_walk(1, 2_000).equals(walk)
    moves = walk["close"].pct_change().dropna()
    assert abs(moves.autocorr()) < 0.06
    assert moves.std() == pytest.approx(0.0012, rel=0.05)


@pytest.mark.slow
def test_a_random_walk_is_no_skill_in_money(tmp_path):
    """Without costs, the harder case: with them the account loses. docs/explanation/scores.md has 50,000 bars each."""
    called = 0
    for seed in SEEDS:
        result = backtest(
            walk_file(tmp_path, seed, 3_000), strategy=Small, parameters=FAST, out=tmp_path / f"run{seed}"
        )
        skill = result.metrics["money_verdict"] == PROFIT
        called += skill
        assert str(result).endswith(f": {result.metrics['money_verdict']}.")
        assert skill or "no skill in money" in str(result) or "too few trades" in str(result)
    assert called <= 2
