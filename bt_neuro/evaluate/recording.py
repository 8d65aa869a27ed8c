"""What a run writes down: tables of the network always, of the account where there is one, and scores."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.evaluate.carried import FEATURES, PREDICTIONS, STATISTICS, VOTES, Carried
from bt_neuro.evaluate.number_records import FeatureRecord, StatisticsRecord, VoteRecord
from bt_neuro.evaluate.records import EquityRecord, Forget, PredictionRecord, TradeRecord
from bt_neuro.plugin.analyzers import HitRate, StepTime


def add_scores(cerebro: bt.Cerebro, carried: Carried) -> None:
    """Add the analyzers that score a run as it goes."""
    # Without the tables the baselines know only the bars from here on, and scores are compared bar by bar.
    cerebro.addanalyzer(HitRate, _name="hit_rate", resumes=carried.has_tables)
    cerebro.addanalyzer(StepTime, _name="step_time")


def add_records(
    cerebro: bt.Cerebro,
    folder: Path,
    files: ExitStack,
    carried: Carried,
    *,
    has_account: bool = True,
) -> None:
    """Add the analyzers that write a run's tables.

    Parameters
    ----------
    folder : to write to
    carried : rows of its tables that are there already, after which to go on
    files : closes the tables, also when the run breaks
    has_account : False writes nothing of money
    """
    tables: dict[str, type[bt.Analyzer]] = {PREDICTIONS: PredictionRecord}
    if has_account:
        tables |= {"equity.csv": EquityRecord, "trades.csv": TradeRecord}
    for name, record in tables.items():
        table = files.enter_context((folder / name).open("a", newline="", encoding="utf-8"))
        cerebro.addanalyzer(record, _name=Path(name).stem, file=table, rows=carried.rows.get(name, 0))

    def open_numbers(path: Path) -> Any:
        return files.enter_context(path.open("r+b" if path.exists() else "wb"))

    numbers = {FEATURES: FeatureRecord, VOTES: VoteRecord, STATISTICS: StatisticsRecord}
    for name, record in numbers.items():
        path, rows = folder / name, carried.rows.get(name, 0)
        cerebro.addanalyzer(record, _name=path.stem, open=partial(open_numbers, path), rows=rows)
    cerebro.addanalyzer(Forget)
