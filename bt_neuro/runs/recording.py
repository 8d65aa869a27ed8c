"""What a run writes down: tables of the network always, of the account where there is one, and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.plugin.analyzers import Hits, Seconds
from bt_neuro.plugin.run_observer import RunObserver, Subscriber
from bt_neuro.runs.number_tables import FeatureRecord, StatisticsRecord, VoteRecord
from bt_neuro.runs.resumed_rows import FEATURES, PREDICTIONS, STATISTICS, VOTES, ResumedRows
from bt_neuro.runs.tables import EquityRecord, PredictionRecord, TradeRecord, forget


def add_run_observer(
    cerebro: bt.Cerebro,
    folder: Path,
    files: ExitStack,
    resumed_rows: ResumedRows,
    *,
    has_account: bool = True,
    now_and_then: Sequence[Callable[[bt.Strategy], None]] = (),
) -> None:
    """Add the analyzers that write a run's tables and score it as it goes.

    The run_observer's analysis has ``hit_rate`` and ``step_time``, as of `HitRate` and `StepTime`.

    Parameters
    ----------
    folder : to write to
    resumed_rows : rows of its tables that are there already, after which to go on
    files : closes the tables, also when the run breaks
    has_account : False writes nothing of money
    now_and_then : called with the strategy every so many bars
    """

    def text(name: str) -> Any:
        return files.enter_context((folder / name).open("a", newline="", encoding="utf-8"))

    def numbers(name: str) -> Any:
        path = folder / name
        return files.enter_context(path.open("r+b" if path.exists() else "wb"))

    subscribers: dict[str, Subscriber] = {
        # Without tables the baselines know only the bars from here on, and scores are compared bar by bar.
        "hit_rate": Hits(resumes=resumed_rows.has_tables),
        "step_time": Seconds(),
        "predictions": PredictionRecord(text(PREDICTIONS), resumed_rows.rows.get(PREDICTIONS, 0)),
    }
    if has_account:
        subscribers["equity"] = EquityRecord(text("equity.csv"))
        cerebro.addanalyzer(TradeRecord, _name="trades", file=text("trades.csv"))
    kinds = {FEATURES: FeatureRecord, VOTES: VoteRecord, STATISTICS: StatisticsRecord}
    for name, kind in kinds.items():
        subscribers[Path(name).stem] = kind(partial(numbers, name), resumed_rows.rows.get(name, 0))
    cerebro.addanalyzer(
        RunObserver, _name="run_observer", subscribers=subscribers, now_and_then=(forget, *now_and_then)
    )
