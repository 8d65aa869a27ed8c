"""Run folders of the look-ahead check and the warm-up check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bt_neuro.bars.reader import read_bars
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import data_manifest, strategy_manifest
from bt_neuro.runs.portfolio import bar_files
from bt_neuro.runs.results import Check
from bt_neuro.validation.lookahead_result import LookaheadResult
from bt_neuro.validation.warmup import WarmupResult


def write_check(
    result: LookaheadResult | WarmupResult,
    paths: Sequence[str | Path],
    *,
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    bars_options: dict[str, Any],
    options: dict[str, Any],
    out: str | Path | None = None,
    report: bool = True,
) -> Check:
    """Write the folder of a check that has ended.

    Parameters
    ----------
    result : of the check
    paths, strategy, parameters, bars_options : what was checked
    options : of the check, plain values
    out : folder to write, new or empty. Default: ``runs/<file stem>-<check>-<time>``
    report : write ``report.html``

    Raises
    ------
    NeuroError
        If the folder is not empty or cannot be written.
    """
    kind = "lookahead-check" if isinstance(result, LookaheadResult) else "warmup-check"
    files = bar_files(paths)
    data = {path.stem: data_manifest(read_bars(path, **bars_options)) for path in files}
    manifest = {
        **strategy_manifest(strategy, parameters),
        "data": data if len(data) > 1 else data[files[0].stem],
        "options": options,
    }
    folder = RunFolder.create(out, f"{files[0].stem}-{kind}", kind, manifest)
    folder.save(status="complete", metrics=result.as_dict())
    check = Check(folder.path, folder.manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(check)
    return check
