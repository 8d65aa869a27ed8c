"""Which tables a run writes: of the network always, of the account where there is one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import backtrader as bt

from bt_neuro.evaluate.carried import FEATURES, PREDICTIONS, VOTES, Carried
from bt_neuro.evaluate.number_records import FeatureRecord, VoteRecord
from bt_neuro.evaluate.records import EquityRecord, Forget, PredictionRecord, TradeRecord
from bt_neuro.plugin.analyzers import HitRate, StepTime


def add_records(
    cerebro: bt.Cerebro,
    folder: Path,
    files: ExitStack,
    carried: Carried,
    *,
    has_votes: bool,
    has_account: bool = True,
) -> None:
    """Add the analyzers that write a run's tables, going on after the rows that are there already.

    Parameters
    ----------
    files : closes the tables, also when the run breaks
    has_votes : whether several networks learn side by side
    has_account : False writes nothing of money
    """
    # Without the tables the baselines know only the bars from here on, and scores are compared bar by bar.
    cerebro.addanalyzer(HitRate, _name="hit_rate", resumes=carried.has_tables)
    cerebro.addanalyzer(StepTime, _name="step_time")
    tables: list[tuple[str, type[bt.Analyzer], int]] = [(PREDICTIONS, PredictionRecord, carried.predictions)]
    if has_account:
        tables += [("equity.csv", EquityRecord, 0), ("trades.csv", TradeRecord, 0)]
    for name, record, rows in tables:
        table = files.enter_context((folder / name).open("a", newline="", encoding="utf-8"))
        cerebro.addanalyzer(record, _name=Path(name).stem, file=table, rows=rows)
    numbers: list[tuple[str, type[bt.Analyzer], int]] = [(FEATURES, FeatureRecord, carried.features)]
    if has_votes:
        numbers.append((VOTES, VoteRecord, carried.votes))
    for name, record, rows in numbers:
        path = folder / name
        opened = files.enter_context(path.open("r+b" if path.exists() else "wb"))
        cerebro.addanalyzer(record, _name=path.stem, file=opened, rows=rows)
    cerebro.addanalyzer(Forget)
