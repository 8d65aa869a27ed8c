"""All passes of a comparison, those that a folder holds already left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.network import Network
from bt_neuro.studies.compare_folder import ComparisonFolder
from bt_neuro.studies.passes import VARIANTS, Lane, Variant, progressive_pass
from bt_neuro.studies.spans import Spans
from bt_neuro.studies.windows import WING, Windows

Array = NDArray[np.floating]

EXACT = tuple(variant for variant in VARIANTS if variant.gradient == "exact")


class Step(NamedTuple):
    """One pass of all lanes of a variant; `era` is 0 for one that leaves the eras."""

    name: str
    bars: range
    era: int = 0


@dataclass(frozen=True, eq=False)
class Study:
    """What is compared on which bars.

    Attributes
    ----------
    windows, spans : the bars
    grid : learning rates to choose from
    seeds : of the networks; the choice is made with the first
    eras : how often history is learned before the test
    device : to run on
    folder : where passes are kept
    """

    windows: Windows
    spans: Spans
    grid: tuple[float, ...]
    seeds: tuple[int, ...]
    eras: int
    device: str
    folder: ComparisonFolder

    # -- the choice of learning rates ------------------------------------------------------------------------
    def choose(self, tell: Callable[[int], object]) -> None:
        """Let each expert go through the first half at each rate of the grid."""
        for variant in EXACT:
            name, lanes = f"{variant.name}-grid", [Lane(rate, self.seeds[0]) for rate in self.grid]
            if self.folder.said(name) is None:
                network = variant.network(self.windows, lanes, self.device)
                self.folder.keep(name, self._pass(network, self.spans.choice, False, len(lanes), tell))
            else:
                tell(len(lanes) * len(self.spans.choice))

    @property
    def scored_choice(self) -> range:
        """The bars of the first half whose labels are known in it."""
        return self.spans.choice[:-WING]

    def grid_outputs(self, variant: Variant) -> Array:
        """Return what an expert said on `scored_choice`, (rates, bars, 3)."""
        said = self.folder.said(f"{variant.name}-grid")
        assert said is not None
        return said[:, :-WING]

    def grid_errors(self, variant: Variant) -> dict[float, float | None]:
        """Return the mean squared error on the first half at each rate, None of a network that diverged."""
        said = self.grid_outputs(variant)
        errors = ((said - self.windows.target(self.scored_choice)) ** 2).mean(axis=(1, 2)).tolist()
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

    # -- single pass and eras --------------------------------------------------------------------------------
    def rates(self, variant: Variant) -> dict[str, float]:
        """Return the learning rates a variant is compared at, by kind.

        The published gradient takes the best one of the exact: what its slips cost is asked at one rate.
        """
        of_expert = next(one for one in EXACT if one.expert == variant.expert)
        return {"article": variant.article_rate, "best": self.best_rates[of_expert]}

    def lanes(self, variant: Variant) -> list[Lane]:
        """Return a variant's networks; where both rates are one, they share them."""
        rates = dict.fromkeys(self.rates(variant).values())
        return [Lane(rate, seed) for rate in rates for seed in self.seeds]

    def steps(self) -> Iterator[Step]:
        """Yield the passes of a variant in their order: each begins where the last era ended."""
        for era in range(1, self.eras + 1):
            yield Step(f"era-{era}", self.spans.history, era)
            if era == 1:
                yield Step("single", self.spans.rest)
        yield Step("test", self.spans.test)

    def run(self, variant: Variant, tell: Callable[[int], object]) -> None:
        """Run all passes of a variant that are not in the folder yet."""
        lanes, steps, folder = self.lanes(variant), list(self.steps()), self.folder
        networks = len(self.rates(variant)) * len(self.seeds)  # also where both rates are one
        whole = folder.said(f"{variant.name}-{steps[-1].name}") is not None
        learned, network = folder.last_era(variant.name), None
        for step in steps:
            name = f"{variant.name}-{step.name}"
            if whole or (folder.said(name) is not None and step.era <= learned):
                tell(networks * len(step.bars))
                continue
            if network is None:
                network = variant.network(self.windows, lanes, self.device)
            if learned:
                # Also where nothing was interrupted, so that both ways are one.
                folder.restore(variant.name, network)
            said = self._pass(network, step.bars, step.era == 0, networks, tell)
            folder.keep(name, said)
            if step.era:
                folder.keep_networks(variant.name, network, step.era)
                learned = step.era
        folder.forget_networks(variant.name)

    def said(self, variant: Variant, step: str, rate: float) -> Array:
        """Return what a variant's networks of one rate said in a pass, (seeds, bars, 3)."""
        said = self.folder.said(f"{variant.name}-{step}")
        assert said is not None
        return said[[lane.learning_rate == rate for lane in self.lanes(variant)]]

    def network_bars(self) -> int:
        """Return how many bars all networks will go through together."""
        choice = len(EXACT) * len(self.grid) * len(self.spans.choice)
        networks = len(self.seeds) * 2 * len(VARIANTS)
        return choice + networks * sum(len(step.bars) for step in self.steps())

    def passes(self) -> int:
        """Return how many passes there are."""
        return len(EXACT) + len(VARIANTS) * len(list(self.steps()))

    def _pass(
        self, network: Network, bars: range, goes_on: bool, networks: int, tell: Callable[[int], object]
    ) -> Array:
        return progressive_pass(
            network, self.windows, bars, goes_on=goes_on, tell=lambda done: tell(networks * done)
        )
