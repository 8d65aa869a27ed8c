"""The learner of a strategy: made, and restored from a checkpoint."""

from __future__ import annotations

from typing import Any

from bt_neuro.errors import CheckpointError, StrategyError
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.labels import Label
from bt_neuro.learning.learner import Learner
from bt_neuro.nn.network import Network
from bt_neuro.plugin.phase import Phase
from bt_neuro.plugin.run_observer import with_state


def make_learner(strategy: Any, checkpoint: Checkpoint | None) -> Learner:
    """Return the learner of a strategy, with a new network.

    Parameters
    ----------
    strategy : a `NeuroStrategy`
    checkpoint : gives the seeds, if the run resumes

    Raises
    ------
    StrategyError
        A method of the strategy has returned something else than layers or a label.
    CheckpointError
        Another number of seeds.
    """
    p, names = strategy.p, list(strategy._feature_lines)
    inputs = p.history_bars * len(names)
    layers, label, seeds = strategy.layers(inputs), strategy.label(), p.seeds
    name = type(strategy).__name__
    if not isinstance(layers, list | tuple):
        raise StrategyError(f"{name}.layers() must return a list of layers, got {layers!r}")
    if isinstance(label, type):
        raise StrategyError(f"{name}.label() must return a label, got the class {label.__name__}. Add ().")
    if not isinstance(label, Label):
        parts = "classes, delay_bars, update, state, restore"
        raise StrategyError(f"{name}.label() must return a Label ({parts}), got {label!r}")
    seed = p.seed if seeds == 1 else range(p.seed, p.seed + seeds)
    if checkpoint is not None:
        seed, saved = checkpoint.network.seed, len(checkpoint.network.seeds)
        if seeds not in (1, saved):
            raise CheckpointError(
                f"cannot resume {checkpoint.path}: seeds must be {saved}, got {seeds}. Leave seeds out."
            )
    network = Network(
        layers,
        inputs,
        optimizer=strategy.optimizer(),
        loss=strategy.loss(),
        seed=seed,
        device=p.device,
        precision=p.precision,
    )
    return Learner(network, label, names, p.history_bars, learning=p.learning)


def resume_learner(strategy: Any, checkpoint: Checkpoint) -> None:
    """Restore the learner, phase, pretraining and analyzers of a strategy."""
    if strategy.pretraining is not None:
        strategy.pretraining.restore(checkpoint)
    if strategy._is_fitting:  # the bars of the span pass again, and are collected again
        checkpoint.restore_network(strategy._learner)
    else:
        checkpoint.restore(strategy._learner)
    if checkpoint.last_bar is not None:
        strategy._phase = Phase.RESUME
    for name, keeper in with_state(strategy.analyzers.getitems()).items():
        if hasattr(keeper, "restore") and name in checkpoint.analyzers.values:
            keeper.restore(checkpoint.analyzers.group(name))
