"""Classifier of river on a `Network`, for river's pipelines, metrics and `progressive_val_score`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import base

from bt_neuro.errors import LayerError
from bt_neuro.nn.layers import Dense, Layer, RunningBatchNorm
from bt_neuro.nn.losses import Loss
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam, Optimizer

HIDDEN = (RunningBatchNorm(100), Dense(64, "tanh"), Dense(64, "tanh"))


class NeuroClassifier(base.Classifier):  # type: ignore[misc]
    """Classifier that learns one sample at a time, with a softmax over the classes seen so far.

    Parameters
    ----------
    layers
        Layers before the output; the first one normalises, so that features need no scaling.
    optimizer
        Optimiser, ``Adam(1e-3)`` by default.
    loss
        Loss; `CategoricalCrossentropy` with `class_weight` where a class is rare.
    n_features
        Largest number of features. A feature takes its place when it is first learned from; a missing one
        is 0.
    n_classes
        Largest number of classes.
    seed
        Seed of the initial weights.
    device
        As in `Network`: "auto", "cpu", "gpu", part of a device's name, or "numpy".

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> from bt_neuro.nn.river import NeuroClassifier
    >>> model = NeuroClassifier(device="numpy")
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy()).get() > 0.85
    True
    """

    def __init__(
        self,
        layers: Sequence[Layer] = HIDDEN,
        optimizer: Optimizer | None = None,
        loss: str | Loss = "categorical_crossentropy",
        n_features: int = 32,
        n_classes: int = 8,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.layers, self.optimizer, self.loss = layers, optimizer, loss
        self.n_features, self.n_classes, self.seed, self.device = n_features, n_classes, seed, device
        self._features: dict[Any, int] = {}  # places, in the order of first appearance
        self._classes: dict[Any, int] = {}
        self._network: Network | None = None

    @property
    def _multiclass(self) -> bool:
        return True

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {"device": "numpy"}

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        """Learn one sample; raise LayerError if there is no place for a new feature or class.

        A sample that cannot be learned takes no place.
        """
        # By name within a sample: the order of a dictionary means nothing.
        features = self._with_room(
            self._features, sorted(x.keys() - self._features.keys(), key=str), "n_features"
        )
        classes = self._with_room(self._classes, [y] if y not in self._classes else [], "n_classes")
        target = np.zeros(self.n_classes)
        target[classes[y]] = 1
        self._made().learn(self._window(x, features), target)
        self._features, self._classes = features, classes

    def predict_proba_one(self, x: dict[Any, Any], **_: Any) -> dict[Any, float]:
        """Return the probability of each class seen so far; nothing changes."""
        if not self._classes:
            return {}
        outputs = self._made().predict(self._window(x, self._features)).astype(float)[: len(self._classes)]
        total = outputs.sum()
        shares = outputs / total if total > 0 else np.full(len(outputs), 1 / len(outputs))
        return dict(zip(self._classes, shares.tolist(), strict=True))

    def _with_room(self, places: dict[Any, int], names: list[Any], limit: str) -> dict[Any, int]:
        if len(places) + len(names) > getattr(self, limit):
            raise LayerError(
                f"{limit} must be {len(places) + len(names)} or more for {names[-1]!r} beside {len(places)} others, "
                f"got {getattr(self, limit)}. Raise it."
            )
        return {**places, **{name: len(places) + i for i, name in enumerate(names)}} if names else places

    def _window(self, x: dict[Any, Any], places: dict[Any, int]) -> NDArray[np.floating]:
        window = np.zeros(self.n_features)
        for name, value in x.items():
            if name in places:  # others have no place yet
                window[places[name]] = value
        return window

    def _made(self) -> Network:
        if self._network is None:
            layers = [*self.layers, Dense(self.n_classes, "softmax")]
            self._network = Network(
                layers,
                self.n_features,
                optimizer=self.optimizer or Adam(1e-3),
                loss=self.loss,
                seed=self.seed,
                device=self.device,
            )
        return self._network
