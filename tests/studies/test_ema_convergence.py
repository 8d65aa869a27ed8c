"""EMA convergence: averages against plain ones, convergence where it was planted."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

from bt_neuro import Dense, Network, NeuroError, RunningBatchNorm, open_run
from bt_neuro.cli import app
from bt_neuro.report.page import write_page
from bt_neuro.report.study_figures import average_figures
from bt_neuro.runs.saved_manifest import read_manifest
from bt_neuro.studies.ema_convergence import (
    CLAIMS,
    DEFINITIONS,
    Convergence,
    band_convergence,
    claim,
    exponential,
    measure_ema_convergence,
    moving,
    picture_convergence,
    spread_convergence,
)

WINDOW = 10
draws = arrays(float, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.floats(-1, 1, width=32))


def invoke(*words):
    return CliRunner().invoke(app, ["ema-convergence", *map(str, words)])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return what the command printed, and its folder."""
    folder = tmp_path_factory.mktemp("statistics") / "run"
    return invoke("--json", "--out", folder), folder


@pytest.fixture(scope="module")
def folder(done):
    return done[1]


# Averages


@given(draws, st.integers(1, 12))
def test_moving_statistics_are_those_of_pandas(samples, window):
    rolling = pd.DataFrame(samples.T).rolling(window, min_periods=1)
    found = moving(samples, window)
    assert np.allclose(found["mean"], rolling.mean().T)
    assert np.allclose(found["variance"], rolling.var(ddof=0).T, atol=1e-7)


def test_exponential_statistics_are_those_of_the_layer():
    samples = np.random.default_rng(3).uniform(-1, 1, (4, 30))
    layers = [RunningBatchNorm(WINDOW), Dense(3, "sigmoid")]
    network = Network(layers, inputs=4, device="numpy", precision="double")
    found = exponential(samples, WINDOW, "published")
    for t, window in enumerate(samples.T):
        network.predict(window, update_statistics=True)
        (mean,) = [tensor for name, tensor in network.state().items() if name.endswith("moving_mean")]
        (variance,) = [tensor for name, tensor in network.state().items() if name.endswith("moving_variance")]
        assert np.allclose(mean.ravel(), found["mean"][:, t], atol=1e-12)
        assert np.allclose(variance.ravel(), found["variance"][:, t], atol=1e-12)


def test_the_slip_is_the_first_square_and_fades_as_any_start_does():
    samples = np.random.default_rng(4).uniform(-1, 1, (1, 50))
    slip = exponential(samples, WINDOW, "published")["variance"]
    mended = exponential(samples, WINDOW, "mended")["variance"]
    square = ((1 - 1 / WINDOW) * samples[0, 0]) ** 2
    assert (slip[0, 0], mended[0, 0]) == pytest.approx((square, square / WINDOW))
    fades = (slip - mended)[0]
    assert np.allclose(fades, fades[0] * (1 - 1 / WINDOW) ** np.arange(50))


# Convergence, planted: apart for so many samples of 100, then as near as the later half


def planted(apart: int) -> np.ndarray:
    differences = np.random.default_rng(5).choice([-1.0, 1.0], (4, 10 * WINDOW))
    differences[:, :apart] *= 3
    return differences


@pytest.mark.parametrize("apart", [0, 1, 17, 49])
def test_each_definition_finds_where_the_start_ends(apart):
    differences = planted(apart)
    assert set(band_convergence(differences, WINDOW)) == {apart + 1}
    assert set(picture_convergence(differences, WINDOW)) == {apart + 1}
    assert spread_convergence(np.abs(differences[:1]), WINDOW) == [apart + 1]


def test_a_draw_that_never_stays_converges_after_its_last_sample():
    differences = planted(0)
    differences[0, ::WINDOW] = 9  # no whole window without one; too few to widen the band of all draws
    assert band_convergence(differences, WINDOW).tolist() == [101, 1, 1, 1]


# Verdicts

BELOW, INSIDE, ABOVE = (100, 110), (118, 122), (131, 140)


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ((INSIDE, INSIDE, INSIDE), "holds"),
        ((BELOW, BELOW, BELOW), "does not hold"),
        ((ABOVE, ABOVE, ABOVE), "does not hold"),
        ((BELOW, INSIDE, INSIDE), "inconclusive"),
        ((BELOW, BELOW, ABOVE), "inconclusive"),
    ],
)
def test_definitions_that_disagree_leave_a_claim_open(intervals, verdict):
    convergences = [
        Convergence("mean", "published", name, low, low, high, low, high, 0.0)
        for name, (low, high) in zip(DEFINITIONS, intervals, strict=True)
    ]
    found = claim("mean", convergences)
    assert found["verdict"] == verdict
    assert verdict in found["sentence"]


def test_one_seed_gives_one_answer():
    options = {"window": WINDOW, "samples": 100, "draws": 50}
    one, other, another = (measure_ema_convergence(seed, **options) for seed in (1, 1, 2))
    assert one.convergences == other.convergences != another.convergences
    assert one.lines.equals(other.lines)


# The folder, its page, the command


@pytest.mark.slow
def test_the_article_s_claims_are_answered(folder):
    result = open_run(folder)
    verdicts = {one["statistic"]: one["verdict"] for one in result.metrics["claims"]}
    assert verdicts == {"mean": "does not hold", "variance": "inconclusive"}
    by = {(j["statistic"], j["start"], j["definition"]): j for j in result.metrics["convergences"]}
    for statistic, (low, high) in CLAIMS.items():
        convergence = by[statistic, "published", "band"]
        converged = result.draws.query("statistic == @statistic and start == 'published'")["band"]
        assert convergence["sample"] == converged.median()
        assert convergence["claimed_pct"] == pytest.approx(100 * converged.between(low, high).mean())
        assert convergence["low"] <= convergence["sample"] <= convergence["high"]


@pytest.mark.slow
def test_a_picture_draws_the_lines_of_the_table(folder):
    result = open_run(folder)
    lines = result.lines.query("statistic == 'variance' and draw == 1")
    draws = result.draws.query("statistic == 'variance'")
    (plot,) = average_figures(lines, draws, [310, 320])
    (published,) = [glyph for glyph in plot.renderers if glyph.glyph.y == "published"]
    assert np.array_equal(published.data_source.data["published"], lines["published"])
    assert str(draws.query("draw == 1 and start == 'published'")["band"].item()) in plot.title.text


@pytest.mark.slow
def test_the_page_is_written_again_from_the_folder(folder):
    page = folder / "report.html"
    before = page.stat().st_mtime_ns
    assert write_page(open_run(folder)) == page
    assert page.stat().st_mtime_ns > before
    assert "The mean: does not hold" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_command_prints_json_alone(done):
    printed, folder = done
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout) == read_manifest(folder)


@pytest.mark.slow
def test_a_folder_that_holds_something_is_left_alone(folder):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = invoke("--out", folder)
    assert (again.exit_code, "must be empty" in again.stderr) == (1, True)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["run.json", "draws.csv", "lines.csv"])
def test_a_damaged_folder_is_refused(folder, tmp_path, damaged):
    for file in folder.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / damaged).write_text("{")
    with pytest.raises(NeuroError, match=r"cannot be read|missing or damaged"):
        open_run(tmp_path)
