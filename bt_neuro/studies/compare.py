"""The article's study on any bars: does batch normalisation help this network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import NeuroError
from bt_neuro.nn.opencl.device import choose
from bt_neuro.runs.backtest import WARM_UP_BARS
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import data_manifest
from bt_neuro.runs.results import Comparison
from bt_neuro.studies.experiment import EXACT, VARIANTS, Study
from bt_neuro.studies.hypotheses import hypotheses_of, sentence_of
from bt_neuro.studies.pass_store import PassStore
from bt_neuro.studies.table import comparison_rows, eras_table, table_of
from bt_neuro.studies.windows import HISTORY_BARS, Spans, Windows
from bt_neuro.validation.parallel import UnitCounter
from bt_neuro.validation.task import interruptible

SAME = ("data.sha256", "options", "versions.bt-neuro")  # settings on which a pass depends
GRID = (1e-3, 5e-4, 2e-4, 5e-5)
LEAST_BARS = 2 * (WARM_UP_BARS + HISTORY_BARS)


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
    """Compare the article's three experts on a bar file, and test the article's claims.

    Plain, dropout and batch normalisation learn at the article's learning rate and at the best of a grid.
    Batch normalisation also learns by the published gradient and Adam, errors included, at the same rates.

    Parameters
    ----------
    path : str or Path
        Bar file, in any format of `read_bars`.
    seeds, seed : int
        Number of networks of each variant, and the first one's seed.
    eras : int, default 3
        Number of epochs over the history before the test.
    history : str
        Length of the history, which ends at the middle of the file.
    test : str
        Length after the middle on which networks of several eras are tested.
    grid : sequence of float
        Learning rates to choose from.
    device : str
        As in `Network`.
    out, resume, bars_options, report
        As in `walk_forward`. `resume` keeps finished passes.
    progress : callable, optional
        Called with the number of bars of all networks that are done, and in total.

    Returns
    -------
    Comparison

    Raises
    ------
    NeuroError
        If an option is invalid or the file is too short. A network that diverges is marked in its rows.

    Notes
    -----
    Learning rates are chosen on the first half of the file, by the mean squared error of one seed. Then all
    networks start anew at `history`, go through it once, and continue through the second half, which no
    choice has seen ("single pass"). Others go through the history `eras` times and continue through `test`.
    Each bar is predicted before its label is confirmed. Outputs of an era on bars learned before are marked
    as in sample.

    Intervals (95 %) resample blocks of bars, the same ones for both sides of a difference, and seeds. The
    same options give the same table, bit-identical on one device, resumed or not.

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
    started = time.perf_counter()
    _validate(seeds, seed, eras, grid)
    bars = read_bars(path, **(bars_options or {}))
    purpose = f"indicators and a window of {HISTORY_BARS} bars to warm up in each half"
    bars.require(LEAST_BARS, f"{purpose}, which needs {LEAST_BARS}")
    windows, times = Windows.of(bars), bars.frame["datetime"]
    spans = Spans.cut(times, windows.first, history, test)
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
    manifest: dict[str, Any] = {
        "data": data_manifest(bars),
        "options": options,
        "device": device if device == "numpy" else str(choose(device)),
        "spans": spans.as_dict(times),
    }
    folder = RunFolder.open(out, resume, f"{bars.path.stem}-compare", "compare", manifest, SAME)
    store = PassStore(folder.path)
    study = Study(
        windows=windows,
        spans=spans,
        grid=tuple(options["grid"]),
        seeds=tuple(range(seed, seed + seeds)),
        eras=eras,
        device=device,
        store=store,
    )
    with folder.recording(lambda: store.n_finished > 0):
        with interruptible(lambda: f"{store.n_finished} of {study.n_passes()} passes are finished"):
            _run(study, progress)
        learned = time.perf_counter()
        rows = comparison_rows(study, bars.frame)
        table = table_of(rows, eras)
        folder.write_table("compare.csv", table)
        folder.write_table("eras.csv", eras_table(study))
        folder.save(
            status="complete",
            metrics={
                "sentence": sentence_of(bars.path.name, study, rows, manifest["spans"]),
                "claims": hypotheses_of(study, rows),
                "rates": {variant.name: study.rates(variant) for variant in VARIANTS},
                "notes": _notes(study),
                "grid": {
                    variant.name: {f"{rate:g}": error for rate, error in study.grid_errors(variant).items()}
                    for variant in EXACT
                },
                "table": table.astype(object).where(table.notna(), None).to_dict("records"),
            },
            time={"wall_s": time.perf_counter() - started, "networks_s": learned - started},
        )
    comparison = Comparison(folder.path, folder.manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(comparison)
    return comparison


def _run(study: Study, progress: Callable[[int, int], None] | None) -> None:
    """Run the passes that are not finished, in order."""
    counter = UnitCounter(progress, study.n_network_bars())
    study.choose(counter)
    for variant in VARIANTS:
        study.run(variant, counter)


def _notes(study: Study) -> list[str]:
    """Return notes on the inputs and on the choice of rates."""
    notes = [
        "Plain and dropout get the features unscaled, through tanh. Scaling them is part of what "
        "normalisation does here.",
    ]
    for variant, best in study.best_rates.items():
        tried = (*study.grid, variant.article_rate)
        for edge, beyond in ((min(tried), "lower"), (max(tried), "higher")):
            if best == edge:
                notes.append(
                    f"{best:g}, the best rate of {variant.name}, is the last tried: a {beyond} one may be "
                    "better."
                )
    return notes


def _validate(seeds: int, seed: int, eras: int, grid: Sequence[float]) -> None:
    for name, number, least in (("seeds", seeds, 1), ("seed", seed, 0), ("eras", eras, 1)):
        if not isinstance(number, int) or number < least:
            raise NeuroError(f"{name} must be an integer, {least} or more, got {number!r}. Give another one.")
    if not grid or not all(0 < rate < 1 for rate in grid) or len(set(grid)) < len(grid):
        raise NeuroError(
            f"grid must be different learning rates between 0 and 1, got {list(grid)}. "
            "Give some, such as 1e-3, 2e-4."
        )
