"""Sharpe ratio, probabilistic (Bailey and Lopez de Prado 2012) and deflated (the same 2014)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

EULER = 0.5772156649015329
MINIMUM_RETURNS = 3  # a skew needs three


def sharpe_ratio(returns: ArrayLike, periods_a_year: float = 1.0) -> float | None:
    """Return the annualised Sharpe ratio with interest 0.

    None below two returns, or if the standard deviation is rounding noise.

    Examples
    --------
    >>> round(sharpe_ratio([0.011, -0.009, 0.011, -0.009], periods_a_year=252), 3)
    1.375
    >>> sharpe_ratio([0.01, 0.01], periods_a_year=252) is None
    True
    """
    r = np.asarray(returns, dtype=float)
    deviation = float(r.std(ddof=1)) if len(r) > 1 else 0.0
    return float(r.mean()) / deviation * math.sqrt(periods_a_year) if deviation > 1e-12 else None


def probabilistic_sharpe_ratio(returns: ArrayLike, above: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio of one period is above `above`.

    Parameters
    ----------
    returns : of one period each, such as a day; not annualised
    above : a Sharpe ratio of one period

    Returns
    -------
    float or None
        0 to 1; None below three returns, or if they are constant.
    """
    found = return_moments(returns)
    return None if found is None else probability_above(above=above, **found)


def return_moments(returns: ArrayLike) -> dict[str, Any] | None:
    """Return ``ratio``, ``n``, ``skew`` and ``kurtosis`` for `probability_above`; None if undefined."""
    r = np.asarray(returns, dtype=float)
    ratio = sharpe_ratio(r)
    if ratio is None or len(r) < MINIMUM_RETURNS:
        return None
    z = (r - r.mean()) / r.std()
    return {"ratio": ratio, "n": len(r), "skew": float((z**3).mean()), "kurtosis": float((z**4).mean())}


def probability_above(ratio: float, above: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the probability that the true ratio is above a bound, from the estimate and the moments.

    Examples
    --------
    The paper's numbers: a yearly ratio of 2.5 over 1,250 days, skew -3, kurtosis 10, against the best of 100
    trials whose yearly ratios have a variance of 0.5.

    >>> luck = best_of_luck(100, variance=0.5 / 250)
    >>> round(luck, 4), round(probability_above(2.5 / 250**0.5, luck, 1250, skew=-3, kurtosis=10), 4)
    (0.1132, 0.9004)
    """
    return NormalDist().cdf((ratio - above) / standard_error(ratio, n, skew, kurtosis))


def standard_error(ratio: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the standard error of a Sharpe ratio of `n` returns with these moments."""
    # Never negative, since kurtosis >= 1 + skew^2, except by rounding.
    return math.sqrt(max(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, 1e-12)) / math.sqrt(n - 1)


def best_of_luck(n_trials: int, variance: float) -> float:
    """Return the expected Sharpe ratio of the best of `n_trials` strategies without skill.

    Parameters
    ----------
    n_trials : number of independent trials; 1 gives 0
    variance : of their Sharpe ratios of one period

    Examples
    --------
    >>> best_of_luck(1, variance=0.01)
    0.0
    """
    if n_trials < 2:
        return 0.0
    normal = NormalDist().inv_cdf
    expected = (1 - EULER) * normal(1 - 1 / n_trials) + EULER * normal(1 - 1 / (n_trials * math.e))
    return math.sqrt(variance) * expected
