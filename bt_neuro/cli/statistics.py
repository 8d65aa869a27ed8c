"""bt-neuro compare --statistics."""

from __future__ import annotations

import json
from pathlib import Path

import typer


def statistics(out: Path | None, *, seed: int, png: bool, as_json: bool) -> None:
    """Test when exponential averages join moving ones; errors are the caller's to turn into lines."""
    from bt_neuro.report.ema_convergence import render_text
    from bt_neuro.report.screenshot import take_picture
    from bt_neuro.studies.ema_convergence_folder import compare_statistics

    result = compare_statistics(out, seed=seed)
    if png:
        take_picture(result.folder / "report.html", result.folder / "report.png")
    if as_json:
        typer.echo(json.dumps(result.manifest, indent=2))
    else:
        typer.echo(f"{render_text(result.manifest)}\n\nWritten to {result.folder}")
