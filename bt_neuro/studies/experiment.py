"""Experiment of a comparison: variants, members and passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.progressive import progressive_outputs
from bt_neuro.nn.layers import Layer
from bt_neuro.nn.models import article_layers
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam
from bt_neuro.studies.pass_store import PassStore
from bt_neuro.studies.windows import WING, Spans, Windows

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Variant:
    """A kind of network: one of the article's experts.

    Attributes
    ----------
    expert : as `article_layers` names it
    gradient : of its batch normalisation, "exact" or "published", with its errors
    article_rate : learning rate of the article
    """

    expert: str
    gradient: str
    article_rate: float

    @property
    def name(self) -> str:
        return self.expert if self.gradient == "exact" else f"{self.expert}-{self.gradient}"

    def layers(self, features: int) -> list[Layer]:
        options = {} if self.gradient == "exact" else {"gradient": self.gradient}
        return article_layers(features, self.expert, **options)

    def network(self, windows: Windows, members: Sequence[Member], device: str) -> Network:
        """Return new networks, one for each member."""
        return Network(
            self.layers(windows.features.shape[1]),
            windows.inputs,
            optimizer=[Adam(member.learning_rate) for member in members],
            seed=[member.seed for member in members],
            device=device,
        )


@dataclass(frozen=True)
class Member:
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
EXACT = tuple(variant for variant in VARIANTS if variant.gradient == "exact")


def progressive_pass(
    network: Network,
    windows: Windows,
    bars: range,
    *,
    continues: bool = False,
    progress: Callable[[int], object] = lambda bars: None,
) -> Array:
    """Predict each bar and learn its label once confirmed, as `progressive_outputs` does.

    Parameters
    ----------
    network : of several members
    windows : of all bars
    bars : to predict, one or more
    continues : whether the bar before them was predicted last; it is learned first
    progress : called with the number of bars since the last call

    Returns
    -------
    (members, bars, 3) array
        Outputs. A diverged network is a result.
    """
    seen = range(bars.start - WING * continues, bars.stop)
    return progressive_outputs(
        network,
        windows.window(seen),
        windows.target(seen),
        WING,
        continues=continues,
        require_finite=False,
        on_launch=progress,
    )


class Step(NamedTuple):
    """One pass of all members of a variant; `era` is 0 outside the eras."""

    name: str
    bars: range
    era: int = 0


@dataclass(frozen=True, eq=False)
class Study:
    """A comparison of variants: its bars, learning rates, seeds and passes.

    Attributes
    ----------
    windows, spans : bars
    grid : learning rates to choose from
    seeds : of the networks; the choice uses the first
    eras : number of epochs over the history before the test
    device : as in `Network`
    store : finished passes
    """

    windows: Windows
    spans: Spans
    grid: tuple[float, ...]
    seeds: tuple[int, ...]
    eras: int
    device: str
    store: PassStore

    def choose(self, progress: Callable[[int], object]) -> None:
        """Run each expert over the first half at each rate of the grid."""
        for variant in EXACT:
            name, members = f"{variant.name}-grid", [Member(rate, self.seeds[0]) for rate in self.grid]
            if self.store.outputs(name) is None:
                network = variant.network(self.windows, members, self.device)
                self.store.write(name, self._pass(network, self.spans.choice, False, len(members), progress))
            else:
                progress(len(members) * len(self.spans.choice))

    @property
    def scored_choice(self) -> range:
        """The bars of the first half whose labels are confirmed in it."""
        return self.spans.choice[:-WING]

    def grid_outputs(self, variant: Variant) -> Array:
        """Return the outputs of an expert on `scored_choice`, (rates, bars, 3)."""
        outputs = self.store.outputs(f"{variant.name}-grid")
        assert outputs is not None
        return outputs[:, :-WING]

    def grid_errors(self, variant: Variant) -> dict[float, float | None]:
        """Return the mean squared error on the first half at each rate; None if the network diverged."""
        outputs = self.grid_outputs(variant)
        errors = ((outputs - self.windows.target(self.scored_choice)) ** 2).mean(axis=(1, 2)).tolist()
        return {
            rate: error if math.isfinite(error) else None
            for rate, error in zip(self.grid, errors, strict=True)
        }

    @cached_property
    def best_rates(self) -> dict[Variant, float]:
        """The rate with the least error on the first half, for each expert; the first if all diverged."""
        best = {}
        for variant in EXACT:
            errors = self.grid_errors(variant)
            known = {rate: error for rate, error in errors.items() if error is not None}
            best[variant] = min(known, key=lambda rate: known[rate], default=self.grid[0])
        return best

    def rates(self, variant: Variant) -> dict[str, float]:
        """Return the learning rates of a variant, by kind; the published gradient has those of the exact one."""
        of_expert = next(one for one in EXACT if one.expert == variant.expert)
        return {"article": variant.article_rate, "best": self.best_rates[of_expert]}

    def members(self, variant: Variant) -> list[Member]:
        """Return a variant's networks; equal rates share them."""
        rates = dict.fromkeys(self.rates(variant).values())
        return [Member(rate, seed) for rate in rates for seed in self.seeds]

    def steps(self) -> Iterator[Step]:
        """Yield the passes of a variant in order, each from the networks of the last era."""
        for era in range(1, self.eras + 1):
            yield Step(f"era-{era}", self.spans.history, era)
            if era == 1:
                yield Step("single", self.spans.rest)
        yield Step("test", self.spans.test)

    def run(self, variant: Variant, progress: Callable[[int], object]) -> None:
        """Run the passes of a variant that are not finished."""
        members, steps, store = self.members(variant), list(self.steps()), self.store
        networks = len(self.rates(variant)) * len(self.seeds)  # also if both rates are equal
        is_finished = store.outputs(f"{variant.name}-{steps[-1].name}") is not None
        learned, network = store.last_era(variant.name), None
        for step in steps:
            name = f"{variant.name}-{step.name}"
            if is_finished or (store.outputs(name) is not None and step.era <= learned):
                progress(networks * len(step.bars))
                continue
            if network is None:
                network = variant.network(self.windows, members, self.device)
            if learned:
                # Also without an interruption, so that both have the same bits.
                store.restore(variant.name, network)
            outputs = self._pass(network, step.bars, step.era == 0, networks, progress)
            store.write(name, outputs)
            if step.era:
                store.write_networks(variant.name, network, step.era)
                learned = step.era
        store.remove_networks(variant.name)

    def outputs(self, variant: Variant, step: str, rate: float) -> Array:
        """Return the outputs of a variant's networks of one rate in a pass, (seeds, bars, 3)."""
        outputs = self.store.outputs(f"{variant.name}-{step}")
        assert outputs is not None
        return outputs[[member.learning_rate == rate for member in self.members(variant)]]

    def n_network_bars(self) -> int:
        """Return the number of bars that all networks go through, in total."""
        choice = len(EXACT) * len(self.grid) * len(self.spans.choice)
        networks = len(self.seeds) * 2 * len(VARIANTS)
        return choice + networks * sum(len(step.bars) for step in self.steps())

    def n_passes(self) -> int:
        """Return the number of passes."""
        return len(EXACT) + len(VARIANTS) * len(list(self.steps()))

    def _pass(
        self, network: Network, bars: range, continues: bool, networks: int, progress: Callable[[int], object]
    ) -> Array:
        return progressive_pass(
            network, self.windows, bars, continues=continues, progress=lambda done: progress(networks * done)
        )
