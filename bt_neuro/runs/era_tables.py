"""What a run learned before its test: a table of its eras, one of the bars they went through. In-sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from bt_neuro.io import atomic_write
from bt_neuro.learning.epochs import Epoch
from bt_neuro.learning.label_queue import Example
from bt_neuro.metrics.predictions import labels_of

ERAS, EXAMPLES = "eras.csv", "examples.csv"
HEADER = ("learning_rate", "era", "error", "undefine_pct", "forecast_pct", "in_sample")


class EraRecord(bt.Analyzer):
    """Write ``eras.csv``, a row a network after each era, and ``examples.csv``, a row a bar that is learned.

    Params:
      - ``folder`` (required): to write to, without such files
      - ``report`` (default: ``None``): called with (era, eras, bars learned in it, bars) after each launch
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

    def notify_epoch(self, eras: tuple[Epoch, ...]) -> None:
        path = Path(self.p.folder, EXAMPLES)
        if not path.exists():
            with atomic_write(path) as partial:
                examples = examples_table(self.strategy.pretraining.examples)
                examples.to_csv(partial, index=False, lineterminator="\n")
        self._write()

    def _write(self) -> None:
        ended, seeds = self.strategy.pretraining.log.epochs, self.strategy.network.seeds
        rows: list[tuple[Any, ...]] = [] if self._written else [("seed", *HEADER)]
        for eras in ended[self._written :]:
            for seed, era in zip(seeds, eras, strict=True):
                figures = (era.error, era.undefine_pct, era.forecast_pct)
                cells = ("" if figure is None else figure for figure in figures)
                rows.append((seed, era.learning_rate, era.number, *cells, True))
        several = len(seeds) > 1
        lines = (",".join(map(str, row if several else row[1:])) for row in rows)
        with Path(self.p.folder, ERAS).open("a", newline="", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
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


def read_examples(folder: Path) -> pd.DataFrame:
    """Return ``bar``, ``label`` and ``known_bar`` of what was learned before the test, if anything was."""
    path = folder / EXAMPLES
    if not path.exists():
        return pd.DataFrame({"bar": [], "label": [], "known_bar": []})
    return pd.read_csv(path, keep_default_na=False)


def read_eras(folder: Path) -> pd.DataFrame:
    """Return the eras of a run, a row a network and era; nothing where there are none."""
    path = folder / ERAS
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(HEADER))


def pretraining_manifest(folder: Path, span: str) -> dict[str, Any] | None:
    """Return what ``run.json`` says of the eras of a run; None where none has ended."""
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
