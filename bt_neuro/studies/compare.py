"""The article's study on any bars: whether this normalisation helps this network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import NeuroError
from bt_neuro.nn.opencl.device import choose
from bt_neuro.runs.backtest import WARM_UP_BARS
from bt_neuro.runs.folder import process_manifest
from bt_neuro.runs.manifest import data_manifest
from bt_neuro.runs.results import RunResult
from bt_neuro.studies.compare_folder import ComparisonFolder
from bt_neuro.studies.experiment import EXACT, Study
from bt_neuro.studies.hypotheses import hypotheses_of, sentence_of
from bt_neuro.studies.passes import VARIANTS
from bt_neuro.studies.spans import Spans
from bt_neuro.studies.table import comparison_rows, eras_table, table_of
from bt_neuro.studies.windows import HISTORY_BARS, Windows

GRID = (1e-3, 5e-4, 2e-4, 5e-5)
LEAST_BARS = 2 * (WARM_UP_BARS + HISTORY_BARS)


class Comparison(RunResult):
    """A comparison that has ended, and its folder.

    Attributes
    ----------
    folder : where everything lies
    manifest : the content of ``compare.json``
    """

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a predictor and regime, with intervals."""
        return pd.read_csv(self.folder / "compare.csv").fillna({"gradient": ""})

    @cached_property
    def eras(self) -> pd.DataFrame:
        """One row a network and era: the article's figures, all of them in sample."""
        return pd.read_csv(self.folder / "eras.csv")

    @property
    def claims(self) -> list[dict[str, Any]]:
        """Each claim of the article: its verdict, and the figures behind it."""
        return self.metrics["claims"]


def compare(
    path: str | Path,
    *,
    seeds: int = 3,
    seed: int = 0,
    eras: int = 3,
    history: str = "12M",
    test: str = "12M",
    grid: Sequence[float] = GRID,
    device: str = "auto",
    out: str | Path | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
) -> Comparison:
    """Compare the article's three experts on bars of your own, and answer the article's claims.

    Plain, dropout and batch normalisation learn at the rate the article used and at the best of a grid;
    batch normalisation also by the published gradient and Adam, slips included, at the same two rates.

    Parameters
    ----------
    path : bar file, whatever `read_bars` reads
    seeds, seed : how many networks of each kind, and the first one's seed
    eras : how often the history is learned before the test
    history : length of that part, the last one before the middle of the file
    test : length of the part after the middle on which networks of many eras are tested
    grid : learning rates to choose from
    device : as in `Network`
    out : the folder to write, which must be new or empty; ``runs/<file stem>-compare-<time>`` by default
    resume : the folder of a comparison that did not end: the passes finished there are kept
    bars_options : of `read_bars`
    progress : called with (bars that networks went through, all of them)
    report : write ``report.html``, which takes a second or two

    Returns
    -------
    Comparison

    Raises
    ------
    NeuroError
        With a remedy. A network that diverges is none: its rows say so.

    Notes
    -----
    Learning rates are chosen on the first half of the file, by the mean squared error of one seed, each bar
    predicted before its label is known. All networks then begin anew at `history`, go through it once and on
    through the second half, which no choice has seen ("single pass"). Others go through the history `eras`
    times, and on through `test`. No network learns a label before it is known; what an era says of bars that
    were learned before is in sample, and labelled so.

    Intervals (95 %) come from drawing blocks of bars, the same for both sides of a difference, and seeds. The
    same options give the same table to the bit on one device, interrupted and resumed or not.

    Examples
    --------
    >>> import tempfile
    >>> from bt_neuro import compare
    >>> comparison = compare("data/SYNTHETIC_EURUSD_H1.csv", seeds=1, eras=1, history="100b", test="100b",
    ...                      grid=[1e-3], bars_options={"end": "2024-01-24"}, out=tempfile.mkdtemp(),
    ...                      report=False)
    >>> sorted(set(comparison.table["expert"]))  # doctest: +NORMALIZE_WHITESPACE
    ['batch_norm', 'class frequencies', 'dropout', 'plain', 'softmax regression', 'visible shape']
    """
    begun = time.perf_counter()
    _check(seeds, seed, eras, grid)
    bars = read_bars(path, **(bars_options or {}))
    bars.require(LEAST_BARS, f"indicators and a window of {HISTORY_BARS} bars to warm up in each half")
    options: dict[str, Any] = {
        "seeds": seeds,
        "seed": seed,
        "eras": eras,
        "history": history,
        "test": test,
        "grid": [float(rate) for rate in grid],
        "device": device,
        "bars_options": {name: str(value) for name, value in (bars_options or {}).items() if value},
    }
    windows = Windows.of(bars)
    times = bars.frame["datetime"]
    spans = Spans.cut(times, windows.first, history, test)
    name = device if device == "numpy" else str(choose(device))
    manifest = {
        "kind": "compare",
        **process_manifest(),
        "data": data_manifest(bars),
        "options": options,
        "device": name,
        "spans": spans.as_dict(times),
    }
    folder = ComparisonFolder.open(out, resume, bars.path.stem, manifest)
    study = Study(
        windows=windows,
        spans=spans,
        grid=tuple(options["grid"]),
        seeds=tuple(range(seed, seed + seeds)),
        eras=eras,
        device=device,
        folder=folder,
    )
    try:
        _run(study, progress)
    except KeyboardInterrupt:
        done = folder.done
        if not done:
            folder.remove()
            raise KeyboardInterrupt("interrupted before the first pass has ended") from None
        folder.write(manifest | {"status": "interrupted"})
        raise KeyboardInterrupt(
            f"interrupted; {done} of {study.passes()} passes are done: go on with --resume {folder.path}"
        ) from None
    except BaseException as error:
        if folder.done:
            folder.write(manifest | {"status": "failed", "error": str(error) or type(error).__name__})
        else:
            folder.remove()
        raise
    learned = time.perf_counter()
    rows = comparison_rows(study, bars.frame)
    table = table_of(rows, eras)
    manifest |= {
        "status": "complete",
        "metrics": {
            "sentence": sentence_of(bars.path.name, study, rows, manifest["spans"]),
            "claims": hypotheses_of(study, rows),
            "rates": {one.name: study.rates(one) for one in VARIANTS},
            "notes": _notes(study),
            "grid": {
                one.name: {f"{rate:g}": error for rate, error in study.grid_errors(one).items()}
                for one in EXACT
            },
            "table": table.astype(object).where(table.notna(), None).to_dict("records"),
        },
        "time": {"wall_s": time.perf_counter() - begun, "networks_s": learned - begun},
    }
    folder.write(manifest, compare=table, eras=eras_table(study))
    comparison = Comparison(folder.path, manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh, which no start waits for

        write_page(comparison)
    return comparison


def _run(study: Study, progress: Callable[[int, int], None] | None) -> None:
    """Run what is not there yet, in order."""
    done, in_all = 0, study.network_bars()

    def tell(network_bars: int) -> None:
        nonlocal done
        done += network_bars
        if progress:
            progress(done, in_all)

    study.choose(tell)
    for variant in VARIANTS:
        study.run(variant, tell)


def _notes(study: Study) -> list[str]:
    """Return what a reader should know of the inputs and of the choice of rates."""
    notes = [
        "Plain and dropout take the features as they are, through tanh: to scale them is part of what "
        "normalisation does here.",
    ]
    for one, best in study.best_rates.items():
        tried = (*study.grid, one.article_rate)
        for edge, beyond in ((min(tried), "lower"), (max(tried), "higher")):
            if best == edge:
                notes.append(
                    f"{best:g}, the best rate of {one.name}, is the last tried: a {beyond} one may do better."
                )
    return notes


def _check(seeds: int, seed: int, eras: int, grid: Sequence[float]) -> None:
    for name, number, least in (("seeds", seeds, 1), ("seed", seed, 0), ("eras", eras, 1)):
        if not isinstance(number, int) or number < least:
            raise NeuroError(f"{name} is {number!r}: give a whole number, {least} or more")
    if not grid or not all(0 < rate < 1 for rate in grid) or len(set(grid)) < len(grid):
        raise NeuroError(f"grid is {list(grid)}: give learning rates between 0 and 1, such as 1e-3, 2e-4")
