"""The learner of a strategy: made, and restored from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bt_neuro.errors import CheckpointError, StrategyError
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.labels import Label
from bt_neuro.learning.learner import Learner
from bt_neuro.nn.network import Network
from bt_neuro.plugin.phase import Phase
from bt_neuro.plugin.recorded import RecordedCheckpoint, RecordedLearner
from bt_neuro.plugin.run_observer import with_state


def read_checkpoint(strategy: Any) -> Checkpoint | None:
    """Return the checkpoint that a strategy resumes, if any."""
    return None if strategy.p.resume is None else Checkpoint.read(strategy.p.resume)


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
        Another seed, or number of seeds.
    """
    p = strategy.p
    network = make_network(strategy, None if checkpoint is None else resumed_seed(strategy, checkpoint))
    names = list(strategy._feature_lines)
    return Learner(network, label_of(strategy), names, p.history_bars, learning=p.learning)


def resumed_seed(strategy: Any, checkpoint: Checkpoint) -> int | list[int]:
    """Return the seeds of a checkpoint; raise CheckpointError if the strategy was given others."""
    not_given = {"seed": (0, type(strategy).params.seed), "seeds": (1,)}
    for name, saved in checkpoint.seeds.items():
        given = getattr(strategy.p, name)
        if given != saved and given not in not_given[name]:
            raise CheckpointError(
                f"cannot resume {checkpoint.path}: {name} must be {saved}, got {given}. Leave {name} out."
            )
    return checkpoint.network.seed


def label_of(strategy: Any) -> Label:
    """Return the label of a strategy."""
    label, name = strategy.label(), type(strategy).__name__
    if isinstance(label, type):
        raise StrategyError(f"{name}.label() must return a label, got the class {label.__name__}. Add ().")
    if not isinstance(label, Label):
        parts = "classes, delay_bars, update, state, restore"
        raise StrategyError(f"{name}.label() must return a Label ({parts}), got {label!r}")
    return label


def make_network(strategy: Any, seed: int | Sequence[int] | None = None) -> Network:
    """Return a new network of a strategy, with its own seeds or those given."""
    p = strategy.p
    inputs = p.history_bars * len(strategy._feature_lines)
    layers = strategy.layers(inputs)
    if not isinstance(layers, list | tuple):
        raise StrategyError(
            f"{type(strategy).__name__}.layers() must return a list of layers, got {layers!r}"
        )
    own = p.seed if p.seeds == 1 else range(p.seed, p.seed + p.seeds)
    return Network(
        layers,
        inputs,
        optimizer=strategy.optimizer(),
        loss=strategy.loss(),
        seed=own if seed is None else seed,
        device=p.device,
        precision=p.precision,
    )


def resume_learner(strategy: Any, checkpoint: Checkpoint) -> None:
    """Restore the learner, phase, pretraining and analyzers of a strategy."""
    if isinstance(checkpoint, RecordedCheckpoint):
        strategy._learner, strategy._phase = RecordedLearner(strategy, checkpoint), Phase.PLAYBACK
        return
    if strategy.pretraining is not None:
        strategy.pretraining.restore(checkpoint)
    for analyzer in strategy.analyzers:
        if hasattr(analyzer, "on_new_learner"):
            analyzer.on_new_learner(strategy._learner, checkpoint)
    if strategy._is_fitting:  # the bars of the span pass again, and are collected again
        checkpoint.restore_network(strategy._learner)
    else:
        checkpoint.restore(strategy._learner)
    if checkpoint.last_bar is not None:
        strategy._phase = Phase.RESUME
    for name, keeper in with_state(strategy.analyzers.getitems()).items():
        if hasattr(keeper, "restore") and name in checkpoint.analyzers.values:
            keeper.restore(checkpoint.analyzers.group(name))
