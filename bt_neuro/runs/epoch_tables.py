"""Tables of pretraining, in sample: one row per era, one row per example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from bt_neuro.io import atomic_write, read_csv
from bt_neuro.learning.epochs import Epoch
from bt_neuro.learning.label_queue import Example
from bt_neuro.metrics.predictions import labels_of
from bt_neuro.runs.tables import TextTable

ERAS, EXAMPLES = "eras.csv", "examples.csv"
HEADER = ("learning_rate", "era", "error", "undefine_pct", "forecast_pct", "in_sample")


class EpochRecord(bt.Analyzer):
    """Write ``eras.csv``, one row per network and era, and ``examples.csv``, one row per example.

    Params:

      - ``folder`` (required): folder to write to, without such files
      - ``report`` (default: ``None``): called with (era, number of eras, bars learned in it, its bars) after
        each launch
    """

    params = (("folder", None), ("report", None))

    def start(self) -> None:
        self._written = 0  # eras

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        pretraining = self.strategy.pretraining
        if pretraining is not None and self._written < len(pretraining.log.epochs):  # those of the run before
            self._write()

    def notify_examples(self, era: int, learned: int, examples: int) -> None:
        if self.p.report is not None:
            self.p.report(era, self.strategy.pretraining.eras, learned, examples)

    def notify_epoch(self, epochs: tuple[Epoch, ...]) -> None:
        if not Path(self.p.folder, EXAMPLES).exists():
            write_examples(self.p.folder, self.strategy.pretraining.examples)
        self._write()

    def _write(self) -> None:
        ended, seeds = self.strategy.pretraining.log.epochs, self.strategy.network.seeds
        several = len(seeds) > 1
        with TextTable(Path(self.p.folder, ERAS), ("seed", *HEADER) if several else HEADER) as table:
            for epochs in ended[self._written :]:
                for seed, epoch in zip(seeds, epochs, strict=True):
                    figures = (epoch.error, epoch.undefine_pct, epoch.forecast_pct)
                    cells = ("" if figure is None else figure for figure in figures)
                    row = (epoch.learning_rate, epoch.number, *cells, True)
                    table.append(*((seed, *row) if several else row))
        self._written = len(ended)


def examples_table(examples: Sequence[Example]) -> pd.DataFrame:
    """Return ``bar``, ``label`` and ``known_bar`` of each example."""
    targets = np.array([example.target for example in examples])
    return pd.DataFrame(
        {
            "bar": [example.bar for example in examples],
            "label": labels_of(targets),
            "known_bar": [example.known_bar for example in examples],
        }
    )


def write_examples(folder: Path, examples: Sequence[Example]) -> None:
    """Write the `examples_table` of a run."""
    with atomic_write(folder / EXAMPLES) as partial:
        examples_table(examples).to_csv(partial, index=False, lineterminator="\n")


def read_examples(folder: Path) -> pd.DataFrame:
    """Return the `examples_table` of a run; no rows if nothing was learned before the predictions."""
    path = folder / EXAMPLES
    if not path.exists():
        return pd.DataFrame({"bar": [], "label": [], "known_bar": []})
    return read_csv(path, keep_default_na=False)


def read_eras(folder: Path) -> pd.DataFrame:
    """Return the eras of a run, a row per network and era; no rows without pretraining."""
    path = folder / ERAS
    return read_csv(path) if path.exists() else pd.DataFrame(columns=list(HEADER))


def pretraining_manifest(folder: Path, span: str) -> dict[str, Any] | None:
    """Return the manifest's entry on pretraining; None before the end of the first era."""
    eras = read_eras(folder)
    if eras.empty:
        return None
    last = eras[eras["era"] == eras["era"].max()].drop(columns=["era", "in_sample"])
    return {
        "in_sample": True,
        "span": span,
        "bars": len(read_examples(folder)),
        "eras": int(eras["era"].max()),
        "last_era": last.astype(object).where(last.notna(), None).to_dict("records"),
    }
