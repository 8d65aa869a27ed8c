"""The page in a real browser: it draws what the run's files say, asks for nothing, runs nothing foreign."""

import json
import shutil

import numpy as np
import pytest
from chromium import SIGNALS_IN_PAGE, Opened, chromium
from report_runs import REAL, SAMPLE, copied, run_of
from small import Small

from bt_neuro import backtest, open_run, tune, walk_forward
from bt_neuro.report.page import write_page
from bt_neuro.runs.stream import stream

pytestmark = pytest.mark.slow  # a browser starts


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def page(browser, run):
    return Opened(browser, run.folder / "report.html").drawn()


def signals_in(predictions, chart):
    """Return bar and side of the signals in the range that is drawn."""
    p = predictions[predictions["signal"] != "none"]
    p = p[(p["bar"] >= np.floor(chart["start"])) & (p["bar"] < np.ceil(chart["end"]))]
    markers = p["signal"].map({"buy": "triangle", "sell": "inverted_triangle"})
    filled = (p["hit"] == 1).astype(int)
    return list(zip(p["bar"], markers, filled, strict=True))


def arrows_of(chart):
    arrows = chart["arrows"]
    return list(zip(arrows["x"], arrows["marker"], arrows["filled"], strict=True))


def test_it_makes_no_request_and_has_no_error(page):
    assert page.requests == [page.address]
    assert page.errors == []


def test_the_watch_sees_a_request_and_an_error(browser, tmp_path):
    planted = tmp_path / "planted.html"
    planted.write_text('<html data-drawn="all"><img src="http://example.com/x.png"><script>oops()</script>')
    opened = Opened(browser, planted).drawn()
    assert "http://example.com/x.png" in opened.requests
    assert any("oops" in error for error in opened.errors)


@pytest.mark.parametrize("bars", [(0, 90), (500, 560), (600, 700), (700, 1e9)])
def test_arrows_are_the_signals_of_the_range(page, run, bars):
    chart = page.show(*bars)
    assert arrows_of(chart) == signals_in(run.predictions, chart)


def test_a_missing_arrow_is_noticed(page, run):
    chart = page.show(600, 700)
    seen = run.predictions[run.predictions["bar"].between(600, 699)]
    signal = seen.index[seen["signal"] != "none"][0]
    assert arrows_of(chart) != signals_in(run.predictions.drop(index=signal), chart)


def test_dots_are_the_confirmed_fractals(page, run):
    chart = page.show(100, 180)
    labels = run.predictions.set_index("bar")["label"].loc[100:179]
    expected = [bar for bar, label in labels.items() for _ in range({"none": 0, "both": 2}.get(label, 1))]
    assert chart["fractals"]["x"] == expected


def test_zooming_in_draws_finer_candles_of_the_same_prices(page, run):
    far = page.show(0, 1e9)
    bars = len(run.equity)
    assert len(far["candles"]["x"]) < bars / 2
    near = page.show(200, 260)
    assert near["candles"]["x"] == list(range(200, 260))
    assert np.allclose(near["candles"]["close"], run.equity["close"][200:260], rtol=1e-6)
    assert max(far["candles"]["high"]) >= max(near["candles"]["high"])


def test_buttons_the_wheel_and_trades_move_the_range(page, run):
    def seen():
        chart = page.chart()
        return chart["start"], chart["end"]

    before = seen()
    page.tab.click("button[data-zoom='0.5']")
    assert np.diff(seen()) < np.diff(before)
    page.tab.click("button[data-zoom='all']")
    assert seen()[0] <= 0
    box = page.tab.locator("#bars-0").bounding_box()
    page.tab.mouse.move(box["x"] + 300, box["y"] + 150)
    whole = seen()
    page.tab.mouse.wheel(0, -300)
    assert seen() == whole  # the page scrolls
    page.tab.locator("#bars-0").scroll_into_view_if_needed()
    box = page.tab.locator("#bars-0").bounding_box()
    page.tab.mouse.move(box["x"] + 300, box["y"] + 150)
    page.tab.keyboard.down("Control")
    page.tab.mouse.wheel(0, -300)
    page.tab.keyboard.up("Control")
    page.tab.wait_for_function(f"chart().x_range.end - chart().x_range.start < {np.diff(whole)[0]}")
    row = page.tab.locator("#trades tbody tr").first
    row.click()
    assert seen()[0] <= int(row.get_attribute("data-from")) < int(row.get_attribute("data-to")) <= seen()[1]


def test_a_heading_sorts_the_trades(page, run):
    page.tab.click("#trades th:nth-child(9)")
    nets = page.tab.locator("#trades tbody td:nth-child(9)").all_inner_texts()
    numbers = [float(net.replace("\N{MINUS SIGN}", "-").replace(",", "")) for net in nets]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers == sorted(run.trades["net"].round(2), reverse=True)


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.mark.parametrize("options", [PHONE, {"color_scheme": "dark"}], ids=["phone", "dark"])
def test_nothing_sticks_out_on_a_phone_or_in_the_dark(browser, run, options):
    opened = Opened(browser, run.folder / "report.html", **options).drawn()
    assert opened.errors == []
    wide = opened.tab.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    opened.tab.close()


def test_names_cannot_run_as_scripts(browser, run, tmp_path):
    evil = '</script><script>window.ran = true</script><img src=x onerror="window.ran = true">'
    source = tmp_path / "<script>window.ran = true<\N{DIVISION SLASH}script>.csv"
    shutil.copy(SAMPLE, source)
    run = copied(run, tmp_path / "run")
    run.manifest.update(strategy=evil, error=evil, status="failed")
    run.manifest["data"] |= {"file": str(source), "notes": [evil]}
    run.manifest["metrics"] |= {"sentence": evil, "best_baseline": evil}
    (run.folder / "run.json").write_text(json.dumps(run.manifest))
    opened = Opened(browser, write_page(open_run(run.folder))).drawn()
    assert opened.tab.evaluate("window.ran") is None
    assert opened.requests == [opened.address]
    assert opened.tab.locator("h1").inner_text() == evil
    opened.tab.close()


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"needs the real bars at {REAL}")
def test_it_stays_quick_at_83_000_bars(browser, tmp_path):
    run = backtest(REAL, strategy=Small, out=tmp_path / "run")
    page = run.folder / "report.html"
    assert page.stat().st_size < 12e6
    opened = Opened(browser, page).drawn()
    drawn_ms = opened.tab.evaluate("performance.getEntriesByName('bars-0')[0].startTime")
    print(f"{page.stat().st_size / 1e6:.1f} MB, bars drawn after {drawn_ms:.0f} ms")
    assert opened.errors == []
    chart = opened.show(40_000, 40_200)
    assert arrows_of(chart) == signals_in(run.predictions, chart)
    assert opened.tab.evaluate(SIGNALS_IN_PAGE) == (run.predictions["signal"] != "none").sum()
    opened.tab.close()


def test_a_page_of_folds_is_drawn_without_error(browser, tmp_path):
    folder = walk_forward(
        SAMPLE, strategy=Small, train="600b", test="300b", jobs=1, out=tmp_path / "folds",
        bars_options={"end": "2024-03-31"},
    ).folder  # fmt: skip
    opened = Opened(browser, folder / "report.html").drawn()
    assert (opened.errors, len(opened.requests)) == ([], 1)
    drawn = opened.tab.evaluate("Bokeh.documents.map((one) => one.roots()[0].name)")
    assert {"fold-hits", "fold-returns"} <= set(drawn)


def tuned(folder):
    options = {"train": "600b", "test": "300b", "objective": "brier_score", "trials": 2, "jobs": 1}
    tune(
        SAMPLE, strategy=Small, search=["wing=1,2"], out=folder, bars_options={"end": "2024-03-31"}, **options
    )


def streamed(folder):
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()[:400]
    stream(lines, lambda signal: None, strategy=Small, out=folder)


def voted(folder):
    options = {"parameters": {"seeds": 2, "pretrain": "2024-01-02..2024-01-15", "eras": 2}}
    backtest(SAMPLE, strategy=Small, out=folder, bars_options={"end": "2024-02-15"}, **options)


KINDS = {
    tuned: (("trials-0", "trials-1"), "Best trials"),
    streamed: (("bars-0", "article-0"), "predicted."),
    voted: (("bars-0", "eras-0"), "Each network alone"),
}


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("run", KINDS, ids=lambda run: run.__name__)
def test_every_kind_of_run_has_a_page(browser, tmp_path, run, options):
    run(tmp_path / "run")
    figures, words = KINDS[run]
    opened = Opened(browser, write_page(open_run(tmp_path / "run")), **options).drawn()
    assert (opened.errors, opened.requests) == ([], [opened.address])
    assert words in opened.tab.inner_text("body")
    for target in figures:
        assert opened.tab.locator(f"#{target} canvas").count()
    assert opened.tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    opened.tab.close()
