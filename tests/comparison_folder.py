"""A comparison's folder as `compare` writes it, of made-up figures, for the tests of its page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

EXPERTS = (  # expert, gradient, which, learning rate, error that it comes to
    ("plain", "exact", "article", 1e-6, 0.2103),
    ("plain", "exact", "best", 2e-4, 0.1712),
    ("dropout", "exact", "article", 1e-6, 0.2125),
    ("dropout", "exact", "best", 5e-5, 0.1768),
    ("batch_norm", "exact", "article", 1e-3, 0.1851),
    ("batch_norm", "exact", "best", 5e-5, 0.1692),
    ("batch_norm", "published", "article", 1e-3, 0.1903),
)
BASELINES = (("class frequencies", 0.1996), ("last two bars", 0.3121), ("softmax regression", 0.1801))
REGIMES = {
    "single pass": (41_000, False),
    "single pass, test bars": (6_200, False),
    "after 4 eras": (6_200, False),
    "in sample, last era": (6_100, True),
}
ERAS, SEEDS = 4, 3
CLAIMS = [
    {
        "claim": "With batch normalisation and a 1,000 times higher learning rate the error is lower",
        "verdict": "holds",
        "figures": {
            "batch_norm less plain, single pass": {"difference": -0.0252, "low": -0.027, "high": -0.0231},
            "best rate of plain": 2e-4,
            "batch_norm less dropout, after 4 eras": None,
        },
    },
    {
        "claim": "A higher learning rate becomes usable",
        "verdict": "cannot be told",
        "figures": {"rate": 1e-3},
    },
    {"claim": "The published slips cost accuracy", "verdict": "does not hold", "figures": {"rate": 1e-3}},
]


def _row(who: dict, regime: str, error: float) -> dict:
    bars, in_sample = REGIMES[regime]
    rate = 61 - 100 * (error - 0.17)
    return {
        **who,
        "regime": regime,
        "in_sample": in_sample,
        "bars": bars,
        "seeds": SEEDS,
        "diverged": 0,
        "mean_squared_error": error,
        "mean_squared_error_low": error - 0.0012,
        "mean_squared_error_high": error + 0.0013,
        "mean_squared_error_seeds_sd": 0.0004,
        "difference_to_plain": error - 0.1712,
        "difference_to_plain_low": error - 0.1722,
        "difference_to_plain_high": error - 0.1702,
        "hit_rate_pct": rate,
        "hit_rate_pct_low": rate - 1,
        "hit_rate_pct_high": rate + 1,
        "coverage_pct": 25.0,
        "error": np.sqrt(error),
        "undefine_pct": 61.2,
        "forecast_pct": rate,
    }


def table() -> pd.DataFrame:
    """Return ``compare.csv``: the second networks of the list get better over the eras, baselines stay."""
    rows = []
    for regime, (_, in_sample) in REGIMES.items():
        for expert, gradient, which, rate, error in EXPERTS:
            who = {"expert": expert, "gradient": gradient, "which": which, "learning_rate": rate}
            rows.append(_row(who, regime, error - 0.02 * in_sample))
        for name, error in () if in_sample else BASELINES:
            who = {"expert": name, "gradient": "", "which": "baseline", "learning_rate": None}
            rows.append(_row(who, regime, error))
    return pd.DataFrame(rows)


def eras() -> pd.DataFrame:
    """Return ``eras.csv``."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "expert": expert, "gradient": gradient, "learning_rate": rate, "which": which, "seed": seed,
            "era": era, "error": np.sqrt(error) - 0.01 * np.log(era) + 0.002 * rng.normal(),
            "undefine_pct": 70 - 5 * np.log(era) + rng.normal(), "forecast_pct": 55 + 3 * np.log(era) + rng.normal(),
            "in_sample": True,
        }
        for expert, gradient, which, rate, error in EXPERTS
        for seed in range(SEEDS)
        for era in range(1, ERAS + 1)
    )  # fmt: skip


def write_folder(folder: Path, status: str = "complete") -> Path:
    """Write the folder of a comparison."""
    folder.mkdir(parents=True)
    manifest = {
        "bt_neuro": "0.1.0",
        "status": status,
        "started": "2026-11-20T19:00:00",
        "data": {"file": "EURUSD_H1.csv", "sha256": "0", "bars": 83_260, "notes": ["spread is constant"]},
        "options": {"seeds": SEEDS, "eras": ERAS},
        "metrics": {
            "sentence": "EURUSD_H1.csv, 2016-10-01 to 2023-12-29, 41,000 bars that no choice has seen: batch "
            "normalisation helps this network.",
            "claims": CLAIMS,
            "notes": ["plain diverged at 0.001"],
        },
    }
    if status != "complete":
        del manifest["metrics"]
    else:
        table().to_csv(folder / "compare.csv", index=False)
        eras().to_csv(folder / "eras.csv", index=False)
    (folder / "compare.json").write_text(json.dumps(manifest))
    return folder
