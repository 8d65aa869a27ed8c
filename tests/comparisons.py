"""Folders of comparisons whose networks said what a test wants: no network runs, all else is real."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import numpy as np
from paths import SAMPLE

from bt_neuro import Comparison, compare, read_bars
from bt_neuro.studies.compare_folder import MANIFEST, ComparisonFolder
from bt_neuro.studies.experiment import EXACT, Study
from bt_neuro.studies.passes import VARIANTS
from bt_neuro.studies.spans import Spans
from bt_neuro.studies.windows import Windows

GRID = (1e-3, 5e-5)
SKILL = {"plain": 0.1, "dropout": 0.1, "batch_norm": 0.6, "batch_norm-published": 0.4}


def planted_comparison(
    out: Path,
    skill: dict[str, float] = SKILL,
    *,
    seeds: int = 2,
    eras: int = 3,
    grid_skill: dict[str, tuple[float, ...]] | None = None,
    end: str = "2024-02-24",
) -> Comparison:
    """Write a comparison in which variants know so much of the labels: 0 nothing, 1 all; NaN diverged.

    `grid_skill` is what they know of the first half at each rate of `GRID`.
    """
    lengths = {"history": "240b", "test": "240b"}
    options = {"seeds": seeds, "seed": 0, "eras": eras, **lengths, "grid": list(GRID), "device": "numpy"}
    bars = read_bars(SAMPLE, end=end)
    windows = Windows.of(bars)
    out.mkdir(parents=True, exist_ok=True)
    begun = {
        "bt_neuro": importlib.metadata.version("bt-neuro"),
        "data": {"sha256": bars.sha256},
        "options": {**options, "bars_options": {"end": end}},
    }
    (out / MANIFEST).write_text(json.dumps(begun))
    study = Study(
        windows=windows,
        spans=Spans.cut(bars.frame["datetime"], windows.first, **lengths),
        grid=GRID,
        seeds=tuple(range(seeds)),
        eras=eras,
        device="numpy",
        folder=ComparisonFolder(out),
    )
    for one in EXACT:
        known = (grid_skill or {}).get(one.name, tuple(skill[one.name] for _ in GRID))
        study.folder.keep(f"{one.name}-grid", said(windows, study.spans.choice, known))
    for one in VARIANTS:
        for number, step in enumerate(study.steps()):
            known = tuple(min(skill[one.name] + 0.02 * number, 1) for _ in study.lanes(one))
            study.folder.keep(f"{one.name}-{step.name}", said(windows, step.bars, known, number))
    return compare(SAMPLE, resume=out, bars_options={"end": end}, **options)


def said(windows: Windows, bars: range, known: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """Return what lanes that know so much would say, (lanes, bars, 3)."""
    targets = np.nan_to_num(windows.target(bars), nan=0.3)
    noise = np.random.default_rng(seed).uniform(0.0, 0.6, (len(known), *targets.shape))
    share = np.array(known)[:, None, None]
    return (share * targets + (1 - share) * noise).astype(np.float32)
