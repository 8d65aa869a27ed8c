"""Importance of the parameters of a search: what each explains alone, and what chance would."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
SHUFFLES = 400
FEW = 3  # values that are groups; of more the ranks are a number, with a curve


def importance(parameter: ArrayLike, figure: ArrayLike, *, seed: int = 0) -> tuple[float, float]:
    """Return how much of a figure's variance one parameter explains alone, and how much chance would.

    The variance is that of the figure's ranks. A number explains it by a parabola of its ranks; a text, or a
    number of few values, by its groups.

    Parameters
    ----------
    parameter : value of each trial
    figure : of each trial, finite
    seed : of the shuffles

    Returns
    -------
    share : 0 to 1
    chance : what shuffled figures exceed in 5 % of the cases

    Examples
    --------
    >>> share, chance = importance(range(20), [(x - 9) ** 2 for x in range(20)])
    >>> share > 0.9 > chance
    True
    """
    ranks = pd.Series(np.asarray(figure, dtype=np.float64)).rank().to_numpy(np.float64, copy=True)
    ranks -= ranks.mean()
    total = float(ranks @ ranks)
    if total == 0.0:
        return 0.0, 0.0
    generator = np.random.default_rng(seed)
    shuffled = np.stack([ranks, *(generator.permutation(ranks) for _ in range(SHUFFLES))], axis=1)
    shares = ((_basis(parameter).T @ shuffled) ** 2).sum(axis=0) / total
    return float(shares[0]), float(np.quantile(shares[1:], 0.95))


def _basis(parameter: ArrayLike) -> Floats:
    """Return orthonormal columns that span the parabolas, or the groups, of a parameter."""
    values = pd.Series(parameter)
    if not pd.api.types.is_numeric_dtype(values) or values.nunique() <= FEW:
        columns = pd.get_dummies(values.astype(str)).to_numpy(np.float64)
    else:
        ranks = values.rank().to_numpy(np.float64, copy=True)
        ranks -= ranks.mean()
        columns = np.stack([ranks, ranks**2], axis=1)
    left, sizes, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    return np.asarray(left[:, sizes > 1e-9 * max(float(sizes[0]), 1e-300)], dtype=np.float64)
