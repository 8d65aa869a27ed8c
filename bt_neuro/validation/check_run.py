"""Run folders of the look-ahead check and the warm-up check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import strategy_manifest
from bt_neuro.runs.results import Check
from bt_neuro.validation.lookahead_result import LookaheadResult
from bt_neuro.validation.warmup import WarmupResult


def write_check(
    result: LookaheadResult | WarmupResult,
    *,
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    options: dict[str, Any],
    out: str | Path | None = None,
    report: bool = True,
) -> Check:
    """Write the folder of a check that has ended.

    Parameters
    ----------
    result : of the check
    strategy, parameters : what was checked
    options : of the check, plain values
    out : folder to write, new or empty. Default: ``runs/<file stem>-<check>-<time>``
    report : write ``report.html``

    Raises
    ------
    NeuroError
        If the folder is not empty or cannot be written.
    """
    kind = "lookahead-check" if isinstance(result, LookaheadResult) else "warmup-check"
    first, *others = result.data
    manifest = {
        **strategy_manifest(strategy, parameters),
        "data": result.data if others else result.data[first],
        "options": options,
    }
    folder = RunFolder.create(out, f"{first}-{kind}", kind, manifest)
    folder.save(status="complete", metrics=result.as_dict())
    check = Check(folder.path, folder.manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(check)
    return check
