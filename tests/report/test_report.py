"""What the report is made of: curves against plain loops, tables against the run's files, broken runs."""

import json
import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pytest
from bokeh.models import GlyphRenderer
from hypothesis import given
from hypothesis import strategies as st
from report_runs import SAMPLE, console_text, copied, run_of
from typer.testing import CliRunner

from bt_neuro import NeuroError, Result, open_run, read_bars
from bt_neuro.cli import app
from bt_neuro.learning.epochs import RunningMean
from bt_neuro.metrics.trading import max_drawdown
from bt_neuro.report.account import MONTHS, year_table
from bt_neuro.report.curves import article_curves, running_mean, thinned
from bt_neuro.report.figures import lift_figure
from bt_neuro.report.page import render_page, write_page
from bt_neuro.report.run_tables import bar_table, bars_of
from bt_neuro.report.sections import run_sections
from bt_neuro.report.tables import shown
from bt_neuro.runs.listing import latest_run

numbers = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture
def broken(run, tmp_path):
    return copied(run, tmp_path / "run")


def rewritten(run: Result, table: str, change) -> Result:
    """Change one table of a run's folder, and open it again."""
    path = run.folder / f"{table}.csv"
    change(pd.read_csv(path, keep_default_na=False)).to_csv(path, index=False)
    return with_manifest(run, rows={}, sha256=None)


def with_manifest(run: Result, **manifest) -> Result:
    """Change a run's manifest, and open it again."""
    changed = {key: value for key, value in {**run.manifest, **manifest}.items() if value is not None}
    (run.folder / "run.json").write_text(json.dumps(changed))
    return open_run(run.folder)


# Curves


@given(numbers, st.integers(1, 20))
def test_the_running_mean_is_the_analyzer_s(samples, window):
    plain, expected = RunningMean(window), []
    for sample in samples:
        plain.add(sample)
        expected.append(plain.get())
    assert np.allclose(running_mean(samples, window), expected, atol=1e-9)


def test_the_article_s_curves_end_where_the_run_s_figures_are(run):
    last = {name: curve["value"].iloc[-1] for name, curve in article_curves(run.predictions).items()}
    assert 100 * last["forecast"] == pytest.approx(run.metrics["forecast_pct"])
    assert 100 * last["undefine"] == pytest.approx(run.metrics["undefine_pct"])


@given(numbers, st.integers(2, 30))
def test_thinning_keeps_highest_and_lowest_in_order(values, points):
    at = thinned(values, points)
    kept = np.asarray(values)[at]
    assert (np.diff(at) > 0).all()
    assert (kept.min(), kept.max()) == (min(values), max(values))
    assert len(at) <= max(points, 2) or len(values) <= points


def test_thinning_keeps_gaps_and_the_values_beside_them():
    values = np.array([1.0, np.nan, 5.0, 2.0, *[np.nan] * 8, 3.0, 4.0, np.nan, 9.0])
    assert values[thinned(values, 8)].tolist() == pytest.approx([1, 5, np.nan, np.nan, 3, 9], nan_ok=True)


def test_without_signals_the_lift_is_a_gap():
    """A network that signals at first, and from bar 100 on no more."""
    n, window = 300, 40
    table = {"datetime": pd.date_range("2024-01-01", periods=n, freq="h"), "label": "buy", "hit": 1}
    predictions = pd.DataFrame(table | {"p_none": 0.0, "p_buy": 1.0, "p_sell": 0.0, "signal": "buy"})
    predictions.loc[100:, ["signal", "p_none", "p_buy"]] = ["none", 1.0, 0.0]
    plot = lift_figure(predictions, np.zeros(n, int), window)
    drawn = plot.select_one({"type": GlyphRenderer}).data_source.data["y"]
    assert len(drawn) == n - window + 1
    assert np.isnan(drawn).tolist() == [False] * 100 + [True] * (n - window + 1 - 100)


# Tables


def test_a_deposit_moves_no_curve(run):
    """By hand: 100 paid in at the third bar; the account gains a tenth, and loses half."""
    values, deposits = [100.0, 110.0, 210.0, 105.0], [0.0, 0.0, 100.0, 0.0]
    equity = run.equity[:4].assign(equity=values, deposits=deposits)
    assert bar_table(run.predictions[:0], equity, 100.0)["equity"].tolist() == pytest.approx(
        [100, 110, 110, 55]
    )


def test_the_table_holds_what_the_files_say(run):
    table = bar_table(run.predictions, run.equity, 10_000, read_bars(SAMPLE, end="2024-02-15").frame)
    p = run.predictions
    assert len(table) == len(run.equity)
    assert (table["signal"] == 1).sum() == (p["signal"] == "buy").sum() > 0
    assert (table["hit"] == 1).sum() == run.metrics["hits"]
    assert (table["fractal"] > 0).sum() == p["label"].isin(["buy", "sell", "both"]).sum()
    assert (table["high"] >= table["close"]).all()
    start = table["hold"].first_valid_index()
    assert (start, table["hold"][start]) == (p["bar"].iloc[0], run.equity["equity"].iloc[0])


def test_the_drawdown_is_that_of_the_metrics_whatever_is_paid_in_or_out(run):
    cash, paid = run.manifest["account"]["cash"], np.zeros(len(run.equity))
    table = bar_table(run.predictions, run.equity, cash)
    assert table["fall"].min() == pytest.approx(-run.metrics["max_drawdown_pct"] / 100)
    paid[[50, 400]] = 5_000, -2_000
    equity = run.equity.assign(deposits=paid, equity=run.equity["equity"] + paid.cumsum())
    table = bar_table(run.predictions, equity, cash)
    assert table["fall"].min() == pytest.approx(-max_drawdown(equity, cash)["max_drawdown_pct"] / 100)
    assert table["fall"][50] == table["fall"][49]


@pytest.mark.slow
def test_a_resumed_run_keeps_the_bars_before_its_account(broken):
    resumed = rewritten(broken, "equity", lambda equity: equity[equity["bar"] >= 300])
    tables = resumed.predictions, resumed.equity, 10_000
    whole = bar_table(*tables, read_bars(SAMPLE, end="2024-02-15").frame)
    assert (whole.index[0], whole["equity"].first_valid_index()) == (0, 300)
    assert (whole["hold"].first_valid_index(), whole["hold"][300]) == (300, whole["equity"][300])
    assert bar_table(*tables).index[0] == 300
    assert "Account" in render_page(resumed)


def test_bars_are_read_again_only_if_they_are_the_same(broken, tmp_path):
    assert bars_of(broken)[1] == ""
    source = tmp_path / "bars.csv"
    data = broken.manifest["data"]
    for change, why in (
        ({"file": str(source)}, "is missing"),
        ({"sha256": "0"}, "has changed since the run"),
        ({"options": {"resample": "H4", "end": "2024-02-15"}}, "was read with other options"),
        ({"options": {"start": "2024-01-10"}}, "was read with other options"),
    ):
        bars, reason = bars_of(with_manifest(broken, data=data | change))
        assert bars is None
        assert reason.endswith(why)


# Pages of runs that went wrong


LITTLE = {
    "no trades": ("trades", lambda table: table[:0], "No trade was closed."),
    "no signals": ("predictions", lambda table: table.assign(signal="none", hit=""), "Calibration"),
    "no labels": ("predictions", lambda table: table.assign(label="", known_bar="", hit=""), "Nothing"),
    "no predictions": ("predictions", lambda table: table[:0], "Nothing could be scored"),
    "one prediction": ("predictions", lambda table: table[:1], "Drift"),
    "no bars": ("equity", lambda table: table[:0], "No bar ran"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("table", "change", "expected"), LITTLE.values(), ids=LITTLE)
def test_little_to_show_is_still_a_page(broken, table, change, expected):
    without_open_trade = with_manifest(broken, open_trades=[])
    assert expected in render_page(rewritten(without_open_trade, table, change))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"status": "failed", "error": "bar 7: low", "metrics": None}, "This run failed: bar 7: low."),
        ({"status": "interrupted"}, "This run was interrupted."),
    ],
    ids=["failed", "interrupted"],
)
def test_a_page_says_how_its_run_ended(broken, manifest, expected):
    assert expected in " ".join(render_page(with_manifest(broken, **manifest)).split())


@pytest.mark.parametrize("status", ["interrupted", "failed"])
@pytest.mark.parametrize("kind", ["walk-forward", "portfolio"])
def test_a_run_that_broke_off_before_its_tables_has_a_page(kind, status, broken):
    (broken.folder / "equity.csv").unlink()
    run = with_manifest(broken, kind=kind, status=status, error="no", metrics=None, sha256=None, rows={})
    assert "no figures, because the" in render_page(run)
    with pytest.raises(
        NeuroError, match=r"equity.csv is missing: .*\nContinue it with --resume .*, if it has"
    ):
        _ = run.equity


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"account": {"spread_source": "none: 0", "mean_spread_points": 0.0}},
            "The file has no spread column",
        ),
        ({"metrics": {"lost_at": "2024-01-09 10:00:00"}}, "All money was lost by 2024-01-09 10:00:00"),
    ],
    ids=["no costs", "lost"],
)
def test_what_makes_an_account_doubtful_stands_in_the_head(broken, changed, expected):
    changed = {name: broken.manifest[name] | value for name, value in changed.items()}
    assert expected in render_page(with_manifest(broken, **changed)).partition("<h2>")[0]
    assert expected in console_text(Result(broken.folder, broken.manifest | changed))
    assert expected not in render_page(broken)


@pytest.mark.slow
def test_figures_over_time_are_drawn_where_there_is_some(broken):
    whole = {part.name for part in run_sections(broken)}
    few = rewritten(broken, "predictions", lambda table: table[:100])
    assert whole - {part.name for part in run_sections(few)} == {"hits"}
    np.save(few.folder / "statistics.npy", np.load(few.folder / "statistics.npy")[:1])
    assert "inputs" not in {part.name for part in run_sections(few)}


@pytest.mark.slow
def test_closes_are_drawn_where_the_bars_are_gone(broken):
    page = render_page(with_manifest(broken, data=broken.manifest["data"] | {"file": "gone.csv"}))
    assert "Closes alone: gone.csv is missing." in page


DAMAGE = {
    "no folder": (shutil.rmtree, "is no run"),
    "half a manifest": (lambda folder: (folder / "run.json").write_text("{"), "cannot be read"),
    "no manifest": (lambda folder: (folder / "run.json").write_text("[]"), "no manifest"),
    "no table": (lambda folder: (folder / "equity.csv").unlink(), "equity.csv is missing"),
    "another table": (
        lambda folder: (folder / "trades.csv").write_text("a,b\n1,2\n"),
        "not what the run wrote",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_no_run_is_refused(broken, damage, message):
    damage(broken.folder)
    with pytest.raises(NeuroError, match=message):
        open_run(broken.folder)


def test_a_run_that_has_not_ended_is_refused(broken):
    with pytest.raises(NeuroError, match="has not ended"):
        with_manifest(broken, status="running")


def test_a_page_is_written_whole_or_not_at_all(broken):
    before = (broken.folder / "report.html").read_bytes()
    (broken.folder / "predictions.csv").write_text("bar\n1\n")
    with pytest.raises(NeuroError, match="datetime"):
        write_page(Result(broken.folder, broken.manifest))
    assert (broken.folder / "report.html").read_bytes() == before


@pytest.mark.slow
def test_a_page_that_cannot_be_written_names_its_folder(broken):
    page = broken.folder / "report.html"
    page.unlink()
    page.mkdir()
    with pytest.raises(NeuroError, match=r"cannot write .*report\.html"):
        write_page(broken)


def test_each_figure_and_heading_of_a_page_is_explained(run):
    page = render_page(run)
    texts = [
        *re.findall(r"<dt>(.*?)</dt>", page.partition("<summary>")[0]),
        *re.findall(r"<th [^>]*>(.*?)</th>", page),
    ]
    bare = {unescape(text) for text in texts if "data-tip" not in text}
    assert {
        name
        for name in bare
        if not name.startswith(("Over ", "95 % Interval", "year", *MONTHS, "cost", "value"))
    } == set()


# Python and the command line


def test_a_notebook_shows_the_sentence_and_the_main_figures(run):
    html = run._repr_html_()
    assert f"<p>{run.metrics['sentence']}</p>" in html
    assert f"<td>{run.metrics['hit_rate_pct']:.1f} %</td>" in html
    assert "<pre>File " in read_bars(SAMPLE)._repr_html_()


def test_plot_returns_the_figures_of_the_page(run):
    layout = run.plot()
    for name in ("bars", "equity", "drawdown", "hit_rate", "error", "reliability", "sweep", "drift"):
        assert layout.select_one({"name": name}) is not None, name


def test_a_notebook_shows_a_plot_without_the_network(run):
    html = unescape(run.plot()._repr_html_())
    assert html.startswith("<iframe srcdoc=")
    assert "Bokeh" in html
    assert not re.search(r"<(script|link)[^>]*(src|href)=", html)


def bt_neuro(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)])


@pytest.mark.slow
def test_the_latest_run_is_the_default(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bt_neuro().exit_code == 1
    assert bt_neuro().stderr.startswith("Error: no run in runs/")
    copied(run, tmp_path / "runs" / "one")
    assert latest_run("runs").name == "one"
    out = bt_neuro("--json")
    assert json.loads(out.stdout)["html"] == "runs/one/report.html"


def test_report_names_its_remedy_and_has_an_example(tmp_path):
    out = bt_neuro(tmp_path)
    assert (out.exit_code, out.stdout) == (1, "")
    assert out.stderr.startswith(f"Error: {tmp_path} is no run")
    assert "Example: bt-neuro report" in " ".join(bt_neuro("--help").stdout.split())


def test_a_year_is_measured_from_the_money_it_begins_with():
    """By hand: an open position falls over the new year; a year of a few days, or of ruin, has no ratio."""
    days = [
        pd.date_range(first, periods=n)
        for first, n in (("2022-12-30", 2), ("2023-01-01", 40), ("2024-01-01", 40))
    ]
    values = [100.0, 100.0, 70.0, *np.linspace(75, 80, 39), 40.0, *[-1.0] * 39, -1.0]
    times = [time for part in (*days, [pd.Timestamp("2025-01-01")]) for time in part]
    equity = pd.DataFrame({"datetime": times, "equity": values})
    trades = pd.DataFrame({"exit_datetime": pd.to_datetime([])})
    rows = {row[0]: row[1:4] for row in year_table(equity, trades, 100.0).rows}
    none = shown(None)
    assert rows["2022"] == ("+0.0", "0.0", none)
    assert rows["2023"][:2] == ("-20.0", "30.0")
    assert float(rows["2023"][2]) < 0
    assert rows["2024"] == ("-101.2", "101.2", none)
    assert rows["2025"] == (none, none, none)
