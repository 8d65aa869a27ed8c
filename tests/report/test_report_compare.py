"""The page of a comparison: what it draws against the tables, what it says, what it refuses."""

import json
import re
import shutil

import numpy as np
import pytest
from chromium import Opened, chromium
from comparisons import SKILL, planted_comparison
from typer.testing import CliRunner

from bt_neuro import NeuroError, open_run
from bt_neuro.cli import app
from bt_neuro.report.page import render_page, write_page
from bt_neuro.report.study_sections import era_sections, errors_section
from bt_neuro.runs.listing import latest_run


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return planted_comparison(tmp_path_factory.mktemp("comparison") / "run")


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    skill = {**SKILL, "batch_norm-published": float("nan")}
    return planted_comparison(tmp_path_factory.mktemp("diverged") / "run", skill, seeds=1, eras=1)


@pytest.fixture
def copied(comparison, tmp_path):
    return shutil.copytree(comparison.folder, tmp_path / "run")


def lines_of(plot, column):
    """Return each line of a figure by its name in the legend."""
    drawn = {item.label.value: item.renderers[0] for item in plot.above[0].items}
    return {name: line.data_source.data[column] for name, line in drawn.items()}


# What is drawn


def test_a_line_is_the_mean_of_its_seeds_and_a_band_holds_them_all(comparison):
    eras = comparison.eras
    for part, name in zip(era_sections(eras), ("error", "undefine_pct", "forecast_pct"), strict=True):
        scale = 1 if name == "error" else 0.01  # percentages are drawn as shares
        for plot, which in zip(part.figures, ("article", "best"), strict=True):
            plain = eras.query("expert == 'plain' and which == @which")
            label = f"plain {plain['learning_rate'].iloc[0]:g}"
            for column in ("mean", "min", "max"):
                expected = plain.groupby("era")[name].agg(column) * scale
                assert np.allclose(lines_of(plot, column)[label], expected), (name, which, column)
            low, high = scale * eras[name].min(), scale * eras[name].max()
            assert plot.y_range.start < low <= high < plot.y_range.end


def test_the_published_gradient_is_dashed_and_nothing_else_is(comparison):
    rates = comparison.metrics["rates"]["batch_norm-published"].values()
    for plot, rate in zip(era_sections(comparison.eras)[0].figures, rates, strict=True):
        dashes = {item.label.value: item.renderers[0].glyph.line_dash for item in plot.above[0].items}
        assert [name for name, dash in dashes.items() if dash] == [f"published {rate:g}"]


def test_eras_are_called_in_sample_in_title_and_legend(comparison):
    for part in era_sections(comparison.eras):
        assert "in sample" in part.title
        assert all("in sample" in plot.above[0].title for plot in part.figures)


def test_an_error_stands_with_its_interval_and_in_sample_ones_nowhere(comparison):
    table = comparison.table
    figures = errors_section(table).figures
    assert len(figures) == table.loc[~table["in_sample"], "regime"].nunique() == 3
    single = table[(table["regime"] == "single pass") & (table["which"] != "baseline")]
    dots = next(glyph for glyph in figures[0].renderers if "error" in glyph.data_source.data)
    for column, end in (("error", ""), ("low", "_low"), ("high", "_high")):
        assert np.allclose(dots.data_source.data[column], single[f"mean_squared_error{end}"]), column


@pytest.mark.slow
def test_a_network_that_diverged_is_named_and_draws_nothing(diverged):
    article, _ = era_sections(diverged.eras)[0].figures
    assert len(lines_of(article, "mean")["published 0.001: diverged"]) == 0
    assert "1 of 1 diverged" in render_page(diverged)


# What the page says


def test_the_page_has_sentence_verdicts_table_and_notes(comparison):
    page = " ".join(write_page(comparison).read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-").split())
    headline = re.search("<h1>(.*?)</h1>((?: <p class=.lead.>.*?</p>)*)", page)
    assert re.sub("<[^>]*>", "", headline[0]) == comparison.metrics["sentence"]
    for claim in comparison.claims:
        assert f"<dt>{claim['claim']}</dt><dd>{claim['verdict']}</dd>" in page
    for regime, rows in comparison.table.groupby("regime"):
        assert regime.capitalize() in page
        for error in rows["mean_squared_error"]:
            assert f"<td>{error:.4f}</td>" in page
    assert all(note in page for note in comparison.metrics["notes"])


# Folders


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "run.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "run.json").write_text("[]"), "is no manifest"),
        (lambda folder: (folder / "eras.csv").unlink(), "missing or damaged"),
        (lambda folder: (folder / "compare.csv").write_text("a,b\n1,2\n"), "missing or damaged"),
    ],
    ids=["half a manifest", "no manifest", "no eras", "another table"],
)
def test_what_is_no_whole_comparison_is_refused(copied, damage, message):
    damage(copied)
    with pytest.raises(NeuroError, match=message):
        open_run(copied)


def test_report_opens_a_comparison_as_it_does_a_run(copied):
    (copied / "report.html").unlink(missing_ok=True)
    done = CliRunner().invoke(app, ["report", str(copied), "--json"])
    assert json.loads(done.stdout)["html"] == str(copied / "report.html")
    assert latest_run(copied.parent) == copied


@pytest.mark.slow
def test_a_sentence_cannot_run_as_a_script(copied):
    evil = "</script><script>window.ran = true</script>"
    manifest = json.loads((copied / "run.json").read_text())
    manifest["metrics"]["sentence"] = evil
    manifest["metrics"]["claims"][0]["claim"] = evil
    del manifest["manifest_sha256"]
    (copied / "run.json").write_text(json.dumps(manifest))
    assert evil not in write_page(open_run(copied)).read_text(encoding="utf-8")


# In a real browser


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, PHONE, {"color_scheme": "dark"}], ids=["desk", "phone", "dark"])
def test_it_draws_all_asks_for_nothing_and_nothing_sticks_out(browser, comparison, options):
    opened = Opened(browser, write_page(comparison), **options).drawn()
    assert (opened.errors, opened.requests) == ([], [opened.address])
    drawn = opened.tab.evaluate("Bokeh.documents.map((one) => one.roots()[0].name)")
    assert {"error-article", "undefine_pct-best", "forecast_pct-best", "errors-single pass"} <= set(drawn)
    assert opened.tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    opened.tab.close()
