"""Folders of comparisons with planted outputs: no network runs, all else is real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from paths import SAMPLE

from bt_neuro import Comparison, compare, read_bars
from bt_neuro.runs.folder import RunFolder
from bt_neuro.studies.experiment import EXACT, VARIANTS, Study
from bt_neuro.studies.pass_store import PassStore
from bt_neuro.studies.windows import Spans, Windows

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
    settings = {"data": {"sha256": bars.sha256}, "options": {**options, "bars_options": {"end": end}}}
    RunFolder.create(out, "planted", "compare", settings)
    study = Study(
        windows=windows,
        spans=Spans.cut(bars.frame["datetime"], windows.first, **lengths),
        grid=GRID,
        seeds=tuple(range(seeds)),
        eras=eras,
        device="numpy",
        store=PassStore(out),
    )
    for one in EXACT:
        known = (grid_skill or {}).get(one.name, tuple(skill[one.name] for _ in GRID))
        study.store.write(f"{one.name}-grid", outputs_of(windows, study.spans.choice, known))
    for one in VARIANTS:
        for number, step in enumerate(study.steps()):
            known = tuple(min(skill[one.name] + 0.02 * number, 1) for _ in study.members(one))
            study.store.write(f"{one.name}-{step.name}", outputs_of(windows, step.bars, known, number))
    return compare(SAMPLE, resume=out, bars_options={"end": end}, **options)


def outputs_of(windows: Windows, bars: range, known: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """Return outputs of members that know so much of the labels, (members, bars, 3)."""
    targets = np.nan_to_num(windows.target(bars), nan=0.3)
    noise = np.random.default_rng(seed).uniform(0.0, 0.6, (len(known), *targets.shape))
    share = np.array(known)[:, None, None]
    return (share * targets + (1 - share) * noise).astype(np.float32)
