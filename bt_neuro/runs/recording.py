"""Recording of a run: subscribers that write its tables bar by bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any, Self

import backtrader as bt

from bt_neuro.io import Fields
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.plugin.analyzers import Seconds
from bt_neuro.plugin.run_observer import BarRecord, RunObserver, Subscriber
from bt_neuro.plugin.run_state import forget
from bt_neuro.runs.tables import ArrayTable, TextTable
from bt_neuro.runs.trades import TradeRecord, time_text

PREDICTIONS, EQUITY, TRADES = "predictions.csv", "equity.csv", "trades.csv"
FEATURES, OUTPUTS, STATISTICS = ARRAYS = "features.npy", "outputs.npy", "statistics.npy"

# Rows by the operator %, which takes three quarters of the time of an f-string.
_PREDICTION = "%d,%s,%.9g,%.9g,%.9g,%s"
_CONFIRMED, _UNKNOWN = _PREDICTION + ",%s,%d,%s", _PREDICTION + ",,,"
_EQUITY = "%d,%s" + 6 * ",%.10g"


class Recording(AbstractContextManager["Recording"]):
    """Tables that a run writes; as a context manager it closes them.

    Parameters
    ----------
    folder : folder to write to
    resumed : number of rows that each table holds, by file
    """

    def __init__(self, folder: Path, resumed: Mapping[str, int] | None = None) -> None:
        held = resumed or {}
        self._tables: dict[str, Any] = {
            PREDICTIONS: PredictionTable(folder / PREDICTIONS, held.get(PREDICTIONS, 0)),
            **{
                name: ArrayRecord(folder / name, row, held.get(name, 0))
                for name, row in zip(ARRAYS, (_features, _outputs, _statistics), strict=True)
            },
        }
        self._subscribers: dict[str, Subscriber] = {"step_time": Seconds()}
        self._subscribers |= {Path(name).stem: table for name, table in self._tables.items()}
        self._continues = EQUITY in held  # else the account starts flat
        equity = EquityTable(folder / EQUITY, held.get(EQUITY, 0), continues=self._continues)
        self._tables[EQUITY] = self._subscribers["equity"] = equity
        self._trades = TextTable(folder / TRADES, TradeRecord.header, held.get(TRADES, 0))
        self._tables[TRADES] = self._trades

    def add_to(
        self,
        cerebro: bt.Cerebro,
        now_and_then: Sequence[Callable[[bt.Strategy], None]] = (),
        more: Mapping[str, Subscriber] | None = None,
    ) -> None:
        """Add the analyzers ``run_observer`` and ``trades``.

        Parameters
        ----------
        now_and_then : functions called with the strategy every 256 bars
        more : further subscribers by name
        """
        for analyzer, params in self.analyzers(now_and_then, more):
            cerebro.addanalyzer(analyzer, **params)

    def analyzers(
        self,
        now_and_then: Sequence[Callable[[bt.Strategy], None]] = (),
        more: Mapping[str, Subscriber] | None = None,
    ) -> list[tuple[type[bt.Analyzer], dict[str, Any]]]:
        """Return the analyzers that `add_to` adds, with their params."""
        observer = {
            "subscribers": {**self._subscribers, **(more or {})},
            "now_and_then": (forget, *now_and_then),
        }
        trades = {"_name": "trades", "table": self._trades, "continues": self._continues}
        return [(TradeRecord, trades), (RunObserver, {"_name": "run_observer", **observer})]

    def add_features(self, row: Sequence[float]) -> None:
        """Record the features of a bar that has no record."""
        self._tables[FEATURES].append(row)

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows of each table, by file; tables without rows included."""
        return {name: table.rows for name, table in self._tables.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for table in self._tables.values():
            table.close()


class PredictionTable(TextTable):
    """One row per predicted bar, written when its label is confirmed, or at the end of the run."""

    header = ("bar", "datetime", "p_none", "p_buy", "p_sell", "signal", "label", "known_bar", "hit")

    def __init__(self, path: Path, rows: int = 0) -> None:
        super().__init__(path, self.header, rows)
        self._unknown: dict[int, tuple[str, Signal, ScoredSignal | None]] = {}
        # Rows and bytes written at the end of the run, and again by a run that resumes it.
        self._last_rows = self._last_size = 0

    def stop(self) -> None:
        self.flush()
        before = self.size
        for bar, row in self._unknown.items():
            self._write(bar, *row)
        self.flush()
        self._last_rows, self._last_size = len(self._unknown), self.size - before

    def on_bar(self, record: BarRecord) -> None:
        unknown = self._unknown
        for scored in record.scored:
            bar = scored.signal.bar
            if bar in unknown:  # checkpoints of scripts hold no waiting bars
                text, signal, _ = unknown[bar]
                unknown[bar] = text, signal, scored
        if record.signal is not None:
            unknown[record.bar] = time_text(record.time), record.signal, None
        # Rows are in the order of bars; labels with varying delays may not be.
        while unknown:
            bar = next(iter(unknown))
            row = unknown[bar]
            if row[-1] is None and bar >= record.first_open:
                return
            self._write(bar, *row)
            del unknown[bar]

    def state(self) -> dict[str, Any]:
        """Return plain JSON values for `restore`; the rows written so far are in the file."""
        self.flush()
        unknown = [
            {
                "bar": bar,
                "time": time,
                "outputs": signal.all_outputs,
                "target": list(scored.target) if scored else [],
                "known_bar": scored.known_bar if scored else 0,
            }
            for bar, (time, signal, scored) in self._unknown.items()
        ]
        size = self.size - self._last_size if self._last_rows else self.size
        return {"rows": self.rows - self._last_rows, "size": size, "unknown": unknown}

    def restore(self, saved: Fields) -> None:
        """Restore the bars whose rows are not in the file yet."""
        for values in saved.items("unknown"):
            row = Fields(values, "predictions.unknown")
            bar, outputs, target = row.integer("bar"), row.numbers("outputs"), row.numbers("target")
            shaped = outputs and len(outputs) % 3 == 0 and len(target) in (0, 3)
            if not shaped or not all(0 <= output <= 1 for output in outputs):
                raise row.invalid("outputs", "numbers from 0 to 1, three a network, and three or no targets")
            signal = Signal.of(bar, outputs)
            scored = ScoredSignal(signal, tuple(target), row.integer("known_bar")) if target else None
            self._unknown[bar] = row.text("time"), signal, scored

    def _write(self, bar: int, time: str, signal: Signal, scored: ScoredSignal | None) -> None:
        cells = bar, time, *signal.probabilities, signal.name
        if scored is None:
            self.write(_UNKNOWN % cells)
        else:
            hit = scored.is_hit
            self.write(_CONFIRMED % (*cells, scored.label, scored.known_bar, "" if hit is None else int(hit)))


class EquityTable(TextTable):
    """One row per bar: close, cash, equity and position at the close, costs and deposits within the bar."""

    header = ("bar", "datetime", "close", "cash", "equity", "position", "costs", "deposits")

    def __init__(self, path: Path, rows: int = 0, *, continues: bool = False) -> None:
        super().__init__(path, self.header, rows)
        self._continues = continues
        self._paid = self._deposits = 0.0

    def on_bar(self, record: BarRecord) -> None:
        if record.account is not None:
            cash, equity, position, paid, deposits = record.account
            time, costs, deposited = time_text(record.time), paid - self._paid, deposits - self._deposits
            self._paid, self._deposits = paid, deposits
            money = record.close, cash, equity, position, costs, deposited
            self.write(_EQUITY % (record.bar, time, *money))

    def stop(self) -> None:
        self.flush()

    def state(self) -> dict[str, Any]:
        """Return plain JSON values for `restore`; the rows written so far are in the file."""
        self.flush()
        return {"rows": self.rows, "size": self.size, "paid": self._paid, "deposits": self._deposits}

    def restore(self, saved: Fields) -> None:
        """Restore the sums so far, if the account continues."""
        if self._continues:
            self._paid, self._deposits = saved.number("paid"), saved.number("deposits")


class ArrayRecord(ArrayTable):
    """An `ArrayTable` with at most one row of numbers per bar record."""

    def __init__(self, path: Path, row: Callable[[BarRecord], Any], rows: int = 0) -> None:
        super().__init__(path, rows)
        self._row = row

    def on_bar(self, record: BarRecord) -> None:
        row = None if record.is_recorded else self._row(record)
        if row is not None:
            self.append(row)

    def stop(self) -> None:
        self.flush()

    def state(self) -> dict[str, Any]:
        """Return the number of rows, all of which are in the file."""
        self.flush()
        return {"rows": self.rows}


def _features(record: BarRecord) -> Any:
    return record.features


def _outputs(record: BarRecord) -> Any:
    return None if record.signal is None else record.signal.votes or (record.signal.outputs,)


def _statistics(record: BarRecord) -> Any:
    return None if record.statistics is None else (record.bar, *chain.from_iterable(record.statistics))
