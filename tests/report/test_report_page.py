"""The page in a real browser: it draws what the run's files say, asks for nothing, runs nothing foreign."""

import json
import shutil
from pathlib import Path

import axe_playwright_python
import numpy as np
import pandas as pd
import pytest
from chromium import SIGNALS_IN_PAGE, Opened, chromium
from comparisons import planted_comparison
from paths import ROOT
from report_runs import REAL, SAMPLE, copied, run_of
from small import Small

from bt_neuro import (
    NeuroStrategy,
    backtest,
    lookahead_check,
    open_run,
    permutation_test,
    portfolio,
    tune,
    walk_forward,
    warmup_check,
)
from bt_neuro.report.page import write_page
from bt_neuro.report.side_by_side import write_side_by_side
from bt_neuro.runs.stream import stream
from bt_neuro.studies.ema_convergence import ema_convergence
from bt_neuro.validation.check_run import write_check

PAGE = "report.html"
LEAKY = ROOT / "tests" / "validation" / "leaky" / "close_ahead.py"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

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
    assert min(far["account"]["fall"]) == pytest.approx(-run.metrics["max_drawdown_pct"] / 100, rel=1e-6)


def test_buttons_the_wheel_and_trades_move_the_range(page, run):
    def seen():
        chart = page.chart()
        return chart["start"], chart["end"]

    before = seen()
    page.tab.click("button[data-move='0.5']")
    assert np.diff(seen()) < np.diff(before)
    page.tab.click("button[data-move='all']")
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


SELECTED = "() => model('trades').selected.indices"
MARKS = """() => { const plot = chart(), { frame } = Bokeh.index.find_one(plot), { data } = model("fills")
    const box = Bokeh.index.find_one(plot).canvas.el.getBoundingClientRect()
    const x = (bar) => box.x + frame.x_scale.compute(bar), y = (price) => box.y + frame.y_scale.compute(price)
    return data.trade.map((trade, at) => [trade, (x(data.entry[at]) + x(data.exit[at])) / 2,
        (y(data.entry_price[at]) + y(data.exit_price[at])) / 2, x(data.exit[at]) - x(data.entry[at])]) }"""


def test_a_trade_selected_in_the_table_is_seen_on_the_chart_and_the_other_way_round(page, run):
    tab = page.tab
    tab.locator("#trades tbody tr").nth(2).click()
    (trade,) = tab.evaluate(SELECTED)
    chart = page.chart()
    by_entry = run.trades.sort_values("entry_bar", kind="stable").iloc[trade]
    assert chart["start"] <= by_entry["entry_bar"] < by_entry["exit_bar"] <= chart["end"]
    tab.wait_for_timeout(600)  # a smooth scroll
    marks = tab.evaluate(MARKS)
    assert trade in [one for one, *_ in marks]
    right = tab.evaluate("innerWidth")
    inside = [mark for mark in marks if mark[0] != trade and 0 < mark[1] < right]
    other, x, y, _ = max(inside, key=lambda mark: mark[3])  # the middle of the longest line
    tab.mouse.click(x, y)
    tab.wait_for_function(f"model('trades').selected.indices[0] === {other}")
    assert tab.locator("#trades tr[aria-current]").get_attribute("data-trade") == str(other)
    assert tab.locator("#trade").inner_text().startswith(f"Trade {other + 1}: ")


def test_the_best_trade_is_found_and_seen_in_three_actions_by_keyboard(browser, run):
    opened = Opened(browser, run.folder / "report.html").drawn()
    tab = opened.tab

    def tab_to(selector):
        for _ in range(150):
            if tab.evaluate(f"document.activeElement.matches({selector!r})"):
                return
            tab.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#trades th[data-key=net] button")
    tab.keyboard.press("Enter")  # sorts: the best first
    tab_to("#trades tbody tr:first-child button")
    tab.keyboard.press("Enter")  # selects it, on the chart too
    (trade,) = tab.evaluate(SELECTED)
    assert trade in [one for one, *_ in tab.evaluate(MARKS)]
    text = tab.locator("#trade").inner_text().replace("\N{MINUS SIGN}", "-")
    assert f"net {run.trades['net'].max():,.2f} " in text
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.closest('tr').rowIndex") == 2
    tab.locator("#bars-0").focus()
    before = opened.chart()
    tab.keyboard.press("+")
    assert opened.chart()["end"] - opened.chart()["start"] < before["end"] - before["start"]
    tab.keyboard.press("n")
    assert tab.evaluate(SELECTED) != [trade]
    tab.close()


def test_every_trade_is_in_the_table_and_a_heading_sorts_all(page, run):
    page.tab.click("#trades th[data-key=net] button")
    if page.tab.get_attribute("#trades th[data-key=net]", "aria-sort") != "descending":
        page.tab.click("#trades th[data-key=net] button")
    nets = page.tab.evaluate("order.map((row) => trades.data.net[row])")
    still_open = [trade["net"] for trade in run.manifest["open_trades"]]
    expected = sorted([*run.trades["net"], *still_open], reverse=True)
    assert np.allclose(nets, expected)
    column = page.tab.evaluate("headings.findIndex(({ dataset }) => dataset.key === 'net') + 1")
    shown = page.tab.locator(f"#trades tbody td:nth-child({column})").all_inner_texts()
    numbers = [float(net.replace("\N{MINUS SIGN}", "-").replace(",", "")) for net in shown]
    assert numbers == np.round(expected, 2).tolist()[: len(numbers)]


FILTERS = {
    "side": ("1", lambda t: t["side"] == "long"),
    "result": ("lost", lambda t: (t["net"] <= 0) & (t["is_open"] == 0)),
    "hour": ("9", lambda t: t["entry_datetime"].dt.hour == 9),
    "least": ("12", lambda t: t["bars"] >= 12),
    "most": ("3", lambda t: t["bars"] <= 3),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_keep_the_trades_they_name(page, run, name):
    value, rule = FILTERS[name]
    field = page.tab.locator(f"#filters [name={name}]")
    field.select_option(value) if name in ("side", "result", "hour") else field.fill(value)
    rows = pd.concat([run.trades.assign(is_open=0), open_trades(run)], ignore_index=True)
    kept = page.tab.evaluate("order.map((row) => trades.data.net[row])")
    assert sorted(kept) == pytest.approx(sorted(rows.loc[rule(rows), "net"]))
    page.tab.click("#filters button")
    page.tab.wait_for_function(f"order.length === {len(rows)}")


def open_trades(run):
    rows = pd.DataFrame(run.manifest.get("open_trades", []), columns=None)
    return (
        rows.assign(is_open=1, entry_datetime=pd.to_datetime(rows["entry_datetime"])) if len(rows) else rows
    )


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.mark.parametrize("options", [PHONE, {"color_scheme": "dark"}], ids=["phone", "dark"])
def test_nothing_sticks_out_on_a_phone_or_in_the_dark(browser, run, options):
    opened = Opened(browser, run.folder / "report.html", **options).drawn()
    assert opened.errors == []
    wide = opened.tab.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    opened.tab.close()


@pytest.mark.parametrize(
    ("scheme", "background"), [("dark", "rgb(26, 32, 40)"), ("light", "rgb(246, 247, 249)")]
)
def test_tooltips_have_the_colours_of_the_page(browser, run, scheme, background):
    opened = Opened(browser, run.folder / "report.html", color_scheme=scheme).drawn()
    opened.tab.locator("#bars-0").scroll_into_view_if_needed()
    opened.tab.locator("#bars-0").hover(position={"x": 400, "y": 120})
    tip = opened.tab.locator("div[style*='--raised']").first
    tip.wait_for()
    assert tip.evaluate("tip => getComputedStyle(tip).backgroundColor") == background
    opened.tab.close()


def test_what_a_finger_touches_has_44_pixels(browser, run):
    opened = Opened(browser, run.folder / "report.html", **PHONE, is_mobile=True).drawn()
    sizes = opened.tab.evaluate(
        """() => [...document.querySelectorAll("a, button, select, input, summary")]
            .map((one) => [one.textContent.trim() || one.name, one.getBoundingClientRect()])
            .map(([name, { width, height }]) => [name, width, height])"""
    )
    assert len(sizes) > 50
    assert [size for size in sizes if min(size[1:]) < 44] == []
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
    assert page.stat().st_size < 8e6
    opened = Opened(browser, page).drawn()
    drawn_ms = opened.tab.evaluate("performance.getEntriesByName('bars-0')[0].startTime")
    print(f"{page.stat().st_size / 1e6:.1f} MB, bars drawn after {drawn_ms:.0f} ms")
    assert opened.errors == []
    chart = opened.show(40_000, 40_200)
    assert arrows_of(chart) == signals_in(run.predictions, chart)
    assert opened.tab.evaluate(SIGNALS_IN_PAGE) == (run.predictions["signal"] != "none").sum()
    opened.tab.close()


def tuned(folder):
    search = ["learning_rate=1e-3..1e-1:log", "features=article,shape"]
    options = {"train": "200b", "test": "200b", "objective": "sharpe", "trials": 10, "jobs": 1}
    tune(SAMPLE, strategy=Small, search=search, out=folder, bars_options={"end": "2024-03-15"}, **options)
    return folder / "report.html"


def looked(folder):
    words = {"strategy": NeuroStrategy, "parameters": {"device": "numpy"}}
    result = lookahead_check(SAMPLE, cuts=2, bars_options={"end": "2024-01-12"}, **words)
    return write_check(result, options={}, out=folder, **words).folder / PAGE


def leaked(folder):
    words = {"strategy": f"{LEAKY}:CloseAhead", "parameters": {"device": "numpy"}}
    result = lookahead_check(SAMPLE, cuts=2, bars_options={"end": "2024-01-12"}, **words)
    words["strategy"] = NeuroStrategy
    return write_check(result, options={}, out=folder, **words).folder / PAGE


def warmed(folder):
    words = {"strategy": Small, "parameters": {}}
    result = warmup_check(SAMPLE, step=50, starts=1, span=300, bars_options={"end": "2024-01-31"}, **words)
    return write_check(result, options={}, out=folder, **words).folder / PAGE


def streamed(folder):
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()[:400]
    stream(lines, lambda signal: None, strategy=Small, out=folder)
    return write_page(open_run(folder))


def together(folder):
    files = [folder.parent / name for name in ("ONE.csv", "TWO.csv")]
    for file in files:
        shutil.copy(SAMPLE, file)
    options = {"parameters": {"device": "numpy"}, "bars_options": {"end": "2024-01-31"}}
    return portfolio(files, strategy=Small, out=folder, **options).folder / PAGE


def voted(folder):
    options = {"parameters": {"seeds": 2, "pretrain": "2024-01-02..2024-01-15", "eras": 2}}
    backtest(SAMPLE, strategy=Small, out=folder, bars_options={"end": "2024-02-15"}, **options)
    return folder / "report.html"


def walked(folder):
    options = {"train": "600b", "test": "300b", "jobs": 1, "bars_options": {"end": "2024-03-31"}}
    walk_forward(SAMPLE, strategy=Small, out=folder, **options)
    return folder / "report.html"


def permuted(folder):
    options = {"n": 2, "jobs": 1, "bars_options": {"end": "2024-02-15"}}
    permutation_test(SAMPLE, strategy=Small, out=folder, **options)
    return folder / "report.html"


def compared(folder):
    return write_page(planted_comparison(folder))


def averaged(folder):
    return write_page(ema_convergence(folder))


def beside(folder):
    options = {"strategy": Small, "bars_options": {"end": "2024-01-31"}, "report": False}
    runs = [backtest(SAMPLE, out=folder / str(wing), parameters={"wing": wing}, **options) for wing in (1, 2)]
    together(folder / "together")
    return write_side_by_side([*runs, open_run(folder / "together")], folder / "compare.html")


KINDS = {
    tuned: (("trials-1", "importance-0", "parallel-0"), "Best trials"),
    looked: ((), "This covers"),
    leaked: ((), "First difference"),
    warmed: (("stages-0", "stages-1"), "Late starts against the first bar"),
    streamed: (("bars-0", "account-0", "article-0"), "since the start"),
    together: (("account-time-0", "earned-0"), "Equal parts held"),
    voted: (("bars-0", "eras-0", "votes-2"), "Each network alone"),
    walked: (("bars-0", "folds-0"), "Folds"),
    permuted: (("surrogates-0",), "surrogates"),
    compared: (("error-0", "errors-0"), "Claims"),
    averaged: (("converged-0",), "By each definition"),
    beside: (("equity-0",), "parameters.wing"),
}
LOOKS = {
    "desk": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": PHONE,
}


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def kind(request, tmp_path_factory):
    """The page of a kind of run, its figures, and words of it."""
    folder = tmp_path_factory.mktemp(request.param.__name__) / "run"
    return request.param(folder), *KINDS[request.param]


def violations(tab):
    """Return what axe-core finds: rule, element and reason."""
    tab.evaluate(AXE)
    found = tab.evaluate("axe.run()")["violations"]
    return [(rule["id"], node["html"], node["failureSummary"]) for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("look", LOOKS)
def test_every_kind_of_run_has_a_page_that_everyone_can_use(browser, kind, look):
    file, figures, words = kind
    opened = Opened(browser, file, **LOOKS[look]).drawn()
    assert (opened.errors, opened.requests) == ([], [opened.address])
    assert words in opened.tab.inner_text("body")
    for target in figures:
        assert opened.tab.locator(f"#{target} canvas").count()
    assert opened.tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert violations(opened.tab) == []
    opened.tab.close()


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_of_a_backtest_has_no_violation(browser, run, look):
    opened = Opened(browser, run.folder / "report.html", **LOOKS[look]).drawn()
    assert violations(opened.tab) == []
    opened.tab.close()


def test_a_planted_violation_is_found(page):
    page.tab.evaluate("document.querySelector('#filters select').parentNode.outerHTML = '<select></select>'")
    assert "select-name" in [rule for rule, *_ in violations(page.tab)]
