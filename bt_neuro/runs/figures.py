"""Figures of a strategy that has run, for the manifest of its folder."""

from __future__ import annotations

from typing import Any

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.baselines import Predictors
from bt_neuro.metrics.seeds import SeedMoney
from bt_neuro.metrics.summary import run_metrics
from bt_neuro.nn.config import to_config
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.epoch_tables import read_examples
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.results import Result


def network_manifest(ran: NeuroStrategy) -> dict[str, Any]:
    """Return layers, optimiser, features and size of a network."""
    network = ran.network
    return {
        "layers": [to_config(layer) for layer in network.layout.layers],
        "optimizer": to_config(network.layout.optimizer),
        "parameters": network.n_parameters,
        "features": list(ran.learner.feature_names),
    }


def run_figures(
    ran: NeuroStrategy,
    bars: Bars,
    account: Account,
    folder: RunFolder,
    result: Result,
    seed_money: SeedMoney | None = None,
) -> dict[str, Any]:
    """Return the metrics of the run's tables, and write the probabilities of the baselines."""
    learner, examples = ran.learner, read_examples(folder.path)
    sizes = learner.history_bars, learner.delay_bars
    passes = ran.pretraining.epochs if ran.pretraining is not None else 1
    run = Predictors.of(
        result.predictions, result.outputs, bars.frame, result.features, *sizes, examples, passes
    )
    folder.write_table("baselines.csv", run.table(), float_format="%.6g")
    return {
        **run_metrics(
            run,
            equity=result.equity,
            trades=result.trades,
            bars=bars,
            account=account,
            status=folder.manifest["status"],
            pretraining=folder.manifest.get("pretraining"),
            orders=ran.broker.counts.as_dict() | {"order_notes": list(ran.broker.messages.values())},
            seed_money=seed_money,
        ),
        "reconciliation": _reconciliation(ran, result),
        "step_time": ran.analyzers.run_observer.get_analysis()["step_time"],
    }


def _reconciliation(ran: NeuroStrategy, result: Result) -> dict[str, Any]:
    open_trade = ran.analyzers.trades.get_analysis()["open_trade"]
    return ran.broker.books.statement(float(result.trades["net"].sum()), open_trade, ran.broker.getvalue())
