"""Who is compared, and how networks go through bars: all lanes at once, in the order of one bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.layers import Layer
from bt_neuro.nn.models import article_layers
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam
from bt_neuro.studies.windows import Windows

Array = NDArray[np.floating]

_BARS_A_LAUNCH = 1024


@dataclass(frozen=True)
class Variant:
    """One of the article's experts.

    Attributes
    ----------
    expert : as `article_layers` names it
    gradient : of its batch normalisation, "exact" or "published", slips included
    article_rate : the learning rate that the article trained it with
    """

    expert: str
    gradient: str
    article_rate: float

    @property
    def name(self) -> str:
        return self.expert if self.gradient == "exact" else f"{self.expert}-{self.gradient}"

    def layers(self, features: int) -> list[Layer]:
        """Return its layers, for bars of so many features."""
        options = {} if self.gradient == "exact" else {"gradient": self.gradient}
        return article_layers(features, self.expert, **options)

    def network(self, windows: Windows, lanes: Sequence[Lane], device: str) -> Network:
        """Return a fresh network, a lane for each learning rate and seed."""
        return Network(
            self.layers(windows.features.shape[1]),
            windows.inputs,
            optimizer=[Adam(lane.learning_rate) for lane in lanes],
            seed=[lane.seed for lane in lanes],
            device=device,
        )


@dataclass(frozen=True)
class Lane:
    """One network of those that share a launch."""

    learning_rate: float
    seed: int


PLAIN, DROPOUT, BATCH_NORM = (
    Variant("plain", "exact", 1e-6),
    Variant("dropout", "exact", 1e-6),
    Variant("batch_norm", "exact", 1e-3),
)
PUBLISHED = Variant("batch_norm", "published", 1e-3)
VARIANTS = (PLAIN, DROPOUT, BATCH_NORM, PUBLISHED)


def progressive_pass(
    network: Network,
    windows: Windows,
    bars: range,
    *,
    goes_on: bool = False,
    tell: Callable[[int], object] = lambda bars: None,
) -> Array:
    """Predict each bar, and learn each as soon as its label is known: `Learner`'s order, to the bit.

    Parameters
    ----------
    network : of several lanes
    windows : those of all bars
    bars : to predict, one or more
    goes_on : whether the last bar that was predicted is the one before them, and is learned first. If not,
        they begin anew: nothing before them is learned
    tell : called with the number of bars done since it was last called

    Returns
    -------
    (lanes, bars, 3), outputs; those of bar t have seen prices up to the close of t and labels up to that of
    t - 1. The last bar itself is not learned: its label is known one bar later
    """
    said, first = [], bars.start
    if not goes_on:
        said.append(network.predict(windows.window(range(first, first + 1)), update_statistics=True))
        first += 1
        tell(1)
    for start in range(first, bars.stop, _BARS_A_LAUNCH):
        asked = range(start, min(start + _BARS_A_LAUNCH, bars.stop))
        known = range(asked.start - 1, asked.stop - 1)
        said.append(
            network.learn_then_predict(windows.window(known), windows.target(known), windows.window(asked))
        )
        tell(len(asked))
    return np.concatenate(said, axis=1)
